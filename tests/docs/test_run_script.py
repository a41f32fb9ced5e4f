"""`./run`: finds a Python, installs once, says what is wrong in words, and becomes the program.

pip and uv are stand-ins here, so nothing is downloaded; the folder holds the real script.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ["sh", "dirname", "readlink", "cksum", "cat", "mkdir", "mv", "rm", "sleep", "touch", "chmod", "ln", "cp", "make", "env", "echo"]
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]

# A Python that knows its version, and whose pip installs a uv that installs a program.
PYTHON = """#!/bin/sh
case $1 in
-c) echo "{version} {new} $0" ;;
-m) echo "pip $*" >>"$CALLS"
    {pip}
    while [ $# -gt 0 ]; do [ "$1" = --target ] && target=$2; shift; done
    mkdir -p "$target/bin"; cp "$STUBS/uv" "$target/bin/uv" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $* UV_PYTHON=$UV_PYTHON $UV_PYTHON_DOWNLOADS" >>"$CALLS"
[ -z "$SLOW" ] || sleep "$SLOW"
if [ -n "$FAIL" ]; then echo "$FAIL" >&2; exit 2; fi
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
for name in stillwave python; do
    printf '#!/bin/sh\\necho "%s in $(pwd -P) on $STILLWAVE_DATA_DIR: $*"\\nexit ${STATUS:-0}\\n' $name >"$UV_PROJECT_ENVIRONMENT/bin/$name"
    chmod +x "$UV_PROJECT_ENVIRONMENT/bin/$name"
done
"""


class Door:
    """A clone of Stillwave with `./run`, and a PATH that holds only what the test put there."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.path, self.calls = folder / "clone", folder / "bin", folder / "calls"
        self.clone.mkdir()
        self.path.mkdir()
        for name in ("run", "pyproject.toml", "uv.lock"):
            shutil.copy(ROOT / name, self.clone / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.path / tool).symlink_to(found)
        self.put("uv", UV)
        (self.path / "uv").rename(folder / "uv")
        self.environ = {"PATH": str(self.path), "CALLS": str(self.calls), "STUBS": str(folder), "HOME": str(folder), "SLOW": "", "FAIL": ""}

    def put(self, name: str, text: str) -> None:
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_text(text)
        (self.path / name).chmod(0o755)

    def put_python(self, name: str = "python3", version: str = "3.12.1", pip: str = ":") -> None:
        new = int(tuple(int(part) for part in version.split(".")[:2]) >= (3, 11))
        self.put(name, PYTHON.format(version=version, new=new, pip=pip))

    def start(self, *args: str, shell: str = "sh", script: str | None = None, cwd: Path | None = None, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [shutil.which(shell) or shell, script or str(self.clone / "run"), *args],
            cwd=cwd or self.clone, env=self.environ | environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *args: str, **more) -> tuple[int, str, str]:
        started = self.start(*args, **more)
        out, err = started.communicate(timeout=60)
        return started.returncode, out, err

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def door(tmp_path):
    made = Door(tmp_path)
    made.put_python()
    return made


# --- becoming the program -----------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_first_start_installs_and_serves(door, shell):
    status, out, err = door.run(shell=shell)
    assert (status, out) == (0, f"stillwave in {door.clone} on {door.clone}/data: serve\n"), err
    assert "only on the first start" in err
    pip, uv = door.called()
    assert "--target" in pip
    assert "uv==0.13.9" in pip
    assert uv.startswith("uv sync ")
    assert "--frozen" in uv
    assert "--no-dev" in uv
    assert uv.endswith(f"UV_PYTHON={door.path}/python3 never")


def test_a_second_start_installs_nothing_and_says_nothing(door):
    door.run()
    installed = door.called()
    assert door.run("version") == (0, f"stillwave in {door.clone} on {door.clone}/data: version\n", "")
    assert door.called() == installed


@pytest.mark.parametrize("shell", SHELLS)
def test_the_packaged_postgresql_is_installed_when_it_is_first_asked_for_and_stays(door, shell):
    door.run("version", shell=shell)
    assert "--extra" not in door.called()[-1]
    assert door.run("serve", "--port", "8001", "--postgres", shell=shell)[0] == 0
    assert "--frozen --no-dev --extra=postgres --project" in door.called()[-1]
    installed = door.called()
    door.run("serve", "--postgres", shell=shell)
    assert door.run("version", shell=shell) == (0, f"stillwave in {door.clone} on {door.clone}/data: version\n", "")
    assert door.called() == installed
    with (door.clone / "uv.lock").open("a") as lock:  # an update
        lock.write("\n")
    door.run("version", shell=shell)
    assert "--extra=postgres" in door.called()[-1]


def test_arguments_folder_and_exit_status_are_passed_on(door, tmp_path):
    (tmp_path / "else where").mkdir()
    status, out, _ = door.run(
        "render", "--from", "a b", "*", "", cwd=tmp_path / "else where", STATUS="65", STILLWAVE_DATA_DIR="/srv/waves"
    )
    assert status == 65
    assert out == f"stillwave in {tmp_path}/else where on /srv/waves: render --from a b * \n"


def test_it_finds_its_folder_through_links(door, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "direct").symlink_to(door.clone / "run")
    (tmp_path / "links" / "again").symlink_to("direct")
    _, out, err = door.run("version", script="links/again", cwd=tmp_path)
    assert out == f"stillwave in {tmp_path} on {door.clone}/data: version\n", err


def test_a_folder_with_spaces_works(door, tmp_path):
    moved = tmp_path / "my clone"
    door.clone.rename(moved)
    door.clone = moved
    assert door.run("version")[1] == f"stillwave in {moved} on {moved}/data: version\n"


def test_test_runs_pytest_with_the_development_tools(door, tmp_path):
    _, out, _ = door.run("test", "-k", "tone", cwd=tmp_path)
    assert out.startswith(f"python in {door.clone} on ")
    assert out.endswith(": -m pytest -k tone\n")
    assert "--group=dev" in door.called()[1]


def test_check_runs_make_with_the_development_tools(door):
    (door.clone / "Makefile").write_text("check:\n\t@echo checked in $(CURDIR)\n")
    status, out, err = door.run("check")
    assert (status, out) == (0, f"checked in {door.clone}\n"), err
    assert "--group=dev" in door.called()[1]


# --- when it installs ---------------------------------------------------------------------------


def test_development_tools_stay_once_they_are_there(door):
    door.run("version")
    door.run("test")
    count = len(door.called())
    door.run("version")
    door.run("test")
    door.run("version")
    assert len(door.called()) == count == 3
    with (door.clone / "uv.lock").open("a") as lock:
        lock.write("# newer\n")
    door.run("version")
    assert "--group=dev" in door.called()[3]


@pytest.mark.parametrize("name", ["uv.lock", "pyproject.toml"])
def test_other_packages_are_installed_when_the_list_changed_even_to_an_older_file(door, name):
    door.run("version")
    (door.clone / name).write_text("# other\n")
    os.utime(door.clone / name, (0, 0))
    door.run("version")
    assert [call.split()[0] for call in door.called()] == ["pip", "uv", "uv"]


def test_a_moved_clone_is_installed_anew(door, tmp_path):
    door.run("version")
    door.clone = door.clone.rename(tmp_path / "moved")
    assert door.run("version")[1].startswith("stillwave in ")
    assert [call.split()[0] for call in door.called()] == ["pip", "uv", "uv"]


def test_a_vanished_python_is_noticed(door):
    door.run("version")
    (door.clone / ".venv/bin/python").unlink()
    (door.clone / ".venv/bin/python").symlink_to("/nowhere/python3")
    door.run("version")
    assert len(door.called()) == 3


def test_a_cut_off_bootstrap_heals_itself(door):
    torn = door.clone / ".venv-tools/new/bin"
    torn.mkdir(parents=True)
    (torn / "uv").write_text("half a program")
    assert door.run("version")[0] == 0
    assert not (door.clone / ".venv-tools/new").exists()


def test_a_cut_off_installation_is_thrown_away(door):
    started = door.start("version", SLOW="30")
    while len(door.called()) < 2:
        time.sleep(0.02)
    started.kill()
    started.communicate()
    (door.clone / ".venv/bin").mkdir(parents=True)
    (door.clone / ".venv/torn").write_text("half a package")
    assert door.run("version")[0] == 0
    assert not (door.clone / ".venv/torn").exists()


@pytest.mark.parametrize("locked_by", ["flock", "folder"])
def test_first_starts_at_the_same_moment_install_once(door, locked_by):
    if locked_by == "flock":
        found = shutil.which("flock")
        assert found, "util-linux is part of every system these tests run on"
        (door.path / "flock").symlink_to(found)
    starts = [door.start("version", SLOW="1") for _ in range(3)]
    answers = {start.communicate(timeout=60)[0] for start in starts}
    assert answers == {f"stillwave in {door.clone} on {door.clone}/data: version\n"}
    assert [call.split()[0] for call in door.called()] == ["pip", "uv"]


def test_a_lock_whose_holder_is_gone_is_taken_over(door):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True).stdout
    locked = door.clone / ".venv-tools/locked"
    locked.mkdir(parents=True)
    (locked / "pid").write_text(gone)
    assert door.run("version")[0] == 0
    assert not locked.exists()


# --- what is wrong, in words --------------------------------------------------------------------


def refused(answer: tuple[int, str, str], *words: str) -> None:
    status, out, err = answer
    assert (status, out) == (78, ""), err
    last = err.strip().splitlines()[-1]
    for word in ("Stillwave: ", *words):
        assert word in last


def test_a_python_too_old_is_named(door):
    (door.path / "python3").unlink()
    door.put_python("python3", "3.9.18")
    refused(door.run(), "3.11 or newer", "3.9.18 (python3)")
    assert not (door.clone / ".venv-tools").exists()


def test_no_python_at_all_is_said(door):
    (door.path / "python3").unlink()
    refused(door.run(), "no Python was found", "apt install python3")


def test_a_newer_python_is_found_beside_an_old_one(door):
    door.put_python("python3", "3.10.2")
    door.put_python("python3.13", "3.13.0")
    door.put("python3.14", "#!/bin/sh\nexit 127\n")  # a shim for a version that is not installed
    assert door.run("version")[0] == 0
    assert f"UV_PYTHON={door.path}/python3.13" in door.called()[1]


def test_a_python_without_pip_is_said(door):
    door.put_python(pip='echo "$0: No module named pip" >&2; exit 1')
    refused(door.run(), "no pip", f"{door.path}/python3", "python3-pip")


PIP_OFFLINE = "ERROR: Could not find a version that satisfies the requirement uv==0.13.9 (from versions: none)"
UV_OFFLINE = "error: Failed to fetch: `https://index.example/simple/numpy/`\n  Caused by: error sending request for url"


def test_an_index_out_of_reach_is_said_at_the_bootstrap(door):
    door.put_python(pip=f"echo '{PIP_OFFLINE}' >&2; exit 1")
    refused(door.run(), "package index is out of reach", "check the network")
    assert list((door.clone / ".venv-tools").glob("uv-*")) == []


def test_an_index_out_of_reach_is_said_at_the_packages_and_the_next_start_goes_on(door):
    refused(door.run(FAIL=UV_OFFLINE), "package index is out of reach")
    assert door.run("version")[0] == 0
    assert [call.split()[0] for call in door.called()] == ["pip", "uv", "uv"]


@pytest.mark.parametrize(
    "words", ["error: failed to copy: No space left on device (os error 28)", "OSError: [Errno 28] No space left on device"]
)
def test_a_full_disk_is_said(door, words):
    refused(door.run(FAIL=words), "disk is full", str(door.clone))


def test_a_folder_that_may_not_be_written_is_said(door):
    refused(door.run(FAIL="error: failed to create directory: Permission denied (os error 13)"), "cannot write", str(door.clone))


def test_a_file_in_the_tools_place_is_not_overwritten(door):
    (door.clone / ".venv-tools").write_text("mine")
    status, out, _ = door.run()
    assert (status, out) == (78, "")
    assert (door.clone / ".venv-tools").read_text() == "mine"


def test_another_failure_shows_its_own_words(door):
    status, _, err = door.run(FAIL="error: the moon is in the way")
    assert status == 78
    assert "the moon is in the way" in err
    assert "installing the packages failed" in err


def test_the_script_is_executable_and_speaks_plain_sh():
    script = ROOT / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/bin/sh\n")
    for shell in SHELLS:
        subprocess.run([shell, "-n", str(script)], check=True)
