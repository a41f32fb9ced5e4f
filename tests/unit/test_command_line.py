"""The command line: what it prints, what it refuses, and the exit status that says which."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stillwave.db import migrate

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`stillwave ...` in a folder and with a data folder of its own."""

    def run(*words: str, limit_bytes: int | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        def limits() -> None:
            if limit_bytes is not None:  # as if the disk were full beyond this size
                import signal

                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        settings = {"STILLWAVE_DATA_DIR": str(tmp_path / "data"), "NUMBA_CACHE_DIR": str(_NUMBA), **environ}
        return subprocess.run(
            [sys.executable, "-m", "stillwave", *words], check=False, capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, **settings}, preexec_fn=limits, timeout=180,
        )  # fmt: skip

    return run


_NUMBA = Path(__file__).parents[2] / ".pytest_cache" / "numba"


def user(run: Run, *words: str) -> subprocess.CompletedProcess[str]:
    return run("user", *words, STILLWAVE_NEW_PASSWORD="violet harbour seventeen kites")


def test_it_says_its_version_and_what_it_can_do(run: Run) -> None:
    version = run("version")
    assert (version.returncode, version.stdout) == (0, "0.1.0\n")
    assert run("--version").stdout == version.stdout
    told = run("--help").stdout
    assert all(word in told for word in ("serve", "demo", "render", "doctor", "db", "user", "retention"))
    assert run("dance").returncode == 2


def test_accounts_are_made_listed_and_switched_off(run: Run) -> None:
    assert user(run, "create", "alice@example.org", "+41446681800", "--premium").returncode == 0
    taken = user(run, "create", "ALICE@example.org", "+14155552671")
    assert (taken.returncode, "account already" in taken.stderr) == (1, True)
    bad = user(run, "create", "alice", "+41446681800")
    assert (bad.returncode, "email" in bad.stderr) == (1, True)
    listed = run("user", "list").stdout
    assert "alice@example.org" in listed
    assert "premium" in listed
    assert run("user", "disable", "alice@example.org").returncode == 0
    assert "disabled" in run("user", "list").stdout
    assert run("user", "recover", "alice@example.org").returncode == 1  # switched off
    assert run("user", "enable", "alice@example.org").returncode == 0
    recovered = run("user", "recover", "alice@example.org")
    assert "/reset#code=" in recovered.stdout
    assert run("user", "disable", "nobody@example.org").returncode == 1
    assert run("user", "tier", "alice@example.org", "gold").returncode == 1


def test_the_doctor_finds_a_new_installation_well(run: Run) -> None:
    assert run("doctor").returncode == 1  # no schema yet
    assert migrate.newest() in run("db", "init").stdout
    assert run("db", "migrate").returncode == 0
    well = run("doctor")
    assert (well.returncode, "!!" in well.stdout) == (0, False)


# --- render -------------------------------------------------------------------------------------


def probed(file: Path) -> dict[str, object]:
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(file)], check=True, capture_output=True, text=True
    ).stdout
    stream: dict[str, object] = json.loads(said)["streams"][0]
    return stream


def test_a_session_is_rendered_to_a_file_that_others_read(run: Run, tmp_path: Path) -> None:
    made = run("render", "--from", "alert_focus", "--to", "calm_focus", "--minutes", "1", "--background", "pink_noise", "--seed", "5", "out.flac")
    assert made.returncode == 0, made.stderr
    flac = probed(tmp_path / "out.flac")
    assert (flac["sample_rate"], flac["channels"], flac["bits_per_raw_sample"]) == ("44100", 2, "24")
    sox = subprocess.run(["sox", "--i", str(tmp_path / "out.flac")], check=True, capture_output=True, text=True).stdout
    assert "24-bit" in sox
    assert "2646000 samples" in sox
    first = (tmp_path / "out.flac").read_bytes()
    assert run("render", "--to", "calm_focus", "out.flac").returncode == 1  # it exists
    again = run("render", "--from", "alert_focus", "--to", "calm_focus", "--minutes", "1", "--background", "pink_noise", "--seed", "5", "--force", "out.flac")
    assert again.returncode == 0
    assert (tmp_path / "out.flac").read_bytes() == first
    assert not (tmp_path / "data").exists()  # it needs no account and no database


def test_a_swaying_bed_of_16_bits(run: Run, tmp_path: Path) -> None:
    made = run("render", "--minutes", "1", "--background", "pink_noise", "--method", "am", "--bits", "16", "--seed", "5", "out.wav")
    assert made.returncode == 0, made.stderr
    assert probed(tmp_path / "out.wav")["codec_name"] == "pcm_s16le"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--to", "joy", "out.flac"), 1, "target_state"),
        (("--from", "joy", "out.flac"), 1, "initial_state"),
        (("--background", "silence", "out.flac"), 1, "background"),
        (("out.mp3",), 1, ".flac"),
        (("nowhere/out.flac",), 1, "folder"),
        (("--minutes", "0", "out.flac"), 2, "--minutes"),
        (("--minutes", "1440", "out.flac"), 2, "720"),
        (("--minutes", "480", "out.wav"), 1, "4 GiB"),
        (("--bits", "20", "out.flac"), 1, "must be 16 or 24"),
        (("--method", "nonsense", "out.flac"), 1, "steady"),
        (("--method", "am", "--background", "none", "out.flac"), 1, "when method is 'am'"),
        (("--minutes", "nan", "out.flac"), 2, "--minutes"),
        (("--volume", "71", "out.flac"), 2, "--volume"),
    ],
)
def test_a_wrong_render_is_refused_with_what_to_change(run: Run, tmp_path: Path, words: tuple[str, ...], status: int, said: str) -> None:
    refused = run("render", *words)
    assert refused.returncode == status
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_presets_are_listed_and_rendered(run: Run, tmp_path: Path) -> None:
    listed = json.loads(run("presets", "--json").stdout)
    assert all(one["name"] in run("presets").stdout for one in listed)
    made = run("render", "--preset", listed[0]["name"], "--minutes", "1", "out.flac")
    assert made.returncode == 0
    assert (tmp_path / "out.flac").stat().st_size > 1_000_000
    unknown = run("render", "--preset", "nonsense", "other.flac")
    assert (unknown.returncode, listed[0]["name"] in unknown.stderr) == (1, True)


SEQUENCE = "-SE\na: mix/90 pink/40 200+10/20\n0:00 == a ->\n0:00:30 == a\n"


def test_a_sequence_is_rendered_and_analysed_against_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.sbg").write_text(SEQUENCE)
    made = run("render", "--sbg", "a.sbg", "out.flac")
    assert (made.returncode, "line 2, column 4: not supported and left out: mix" in made.stderr) == (0, True)
    found = run("analyse", "out.flac", "--against", "a.sbg", "--json", "--picture", "out.svg")
    assert found.returncode == 0
    read = json.loads(found.stdout)
    assert read["beat_error_most_hz"] < 0.01
    assert (read["promised_by"], read["method"], read["seconds"]) == ("a.sbg", "binaural", 30.0)
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
    table = run("analyse", "out.flac").stdout
    assert "Binaural beat: 10.00 Hz" in table
    assert max(len(line) for line in table.splitlines()) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("render", "--sbg", "bad.sbg", "out.flac"), "bad.sbg, line 2, column 6"),
        (("render", "--sbg", "a.sbg", "--strict", "out.flac"), "mix"),
        (("render", "--sbg", "none.sbg", "out.flac"), "does not exist"),
        (("render", "--sbg", "a.sbg", "--to", "sleep", "out.flac"), "--to"),
        (("render", "--strict", "out.flac"), "--sbg"),
        (("analyse", "a.sbg"), "not a sound file"),
        (("analyse", "."), "is a folder"),
        (("analyse", "none.wav"), "does not exist"),
        (("analyse", "a.sbg", "--picture", "a.png"), ".svg"),
        (("analyse", "a.sbg", "--picture", "old.svg"), "exists already"),
    ],
)
def test_what_cannot_be_rendered_or_analysed_is_one_clear_error(
    run: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "a.sbg").write_text(SEQUENCE)
    (tmp_path / "bad.sbg").write_text("a: 200+10/20\n0:00 b\n")
    (tmp_path / "old.svg").write_text("old")
    refused = run(*words)
    assert (refused.returncode, said in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)
    assert not (tmp_path / "out.flac").exists()


@pytest.mark.parametrize("bits", ["16", "24"])
@pytest.mark.parametrize("name", ["out.flac", "out.wav"])
def test_a_full_disk_leaves_no_half_file(run: Run, tmp_path: Path, name: str, bits: str) -> None:
    full = run("render", "--minutes", "1", "--background", "pink_noise", "--bits", bits, name, limit_bytes=1_000_000)
    assert full.returncode == 73, full.stderr
    assert "Traceback" not in full.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_named(run: Run) -> None:
    refused = run("render", "--minutes", "1", "--background", "pink_noise", "/proc/out.flac")
    assert refused.returncode in (1, 73)
    assert "Traceback" not in refused.stderr


def test_a_read_only_disk_is_one_clear_error(run: Run, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed"
    fixed.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,ro", "tmpfs", str(fixed)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        refused = run("render", "--minutes", "1", "--background", "none", str(fixed / "out.flac"))
        assert refused.returncode == 73, refused.stderr
        assert "cannot be written" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        subprocess.run(["umount", str(fixed)], check=True)


def test_square_brackets_in_a_name_are_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "calm [one].flac").touch()
    refused = run("render", "--minutes", "1", "calm [one].flac")
    assert refused.returncode == 1
    assert "calm [one].flac exists already" in refused.stderr


def test_a_narrow_list_of_accounts_cuts_no_address(run: Run) -> None:
    assert user(run, "create", "somebody.with.a.long.name@example.org", "+41446681800").returncode == 0
    assert "somebody.with.a.long.name@example.org" in run("user", "list", COLUMNS="40").stdout


# --- keys and starting --------------------------------------------------------------------------


@pytest.fixture
def installed(run: Run, tmp_path: Path) -> Path:
    assert run("db", "init").returncode == 0
    return tmp_path / "data"


def unchanged(data: Path, before: dict[str, bytes]) -> bool:
    return {path.name: path.read_bytes() for path in data.iterdir() if path.is_file() and path.name != "root.key"} == before


@pytest.mark.parametrize("harm", ["lost", "wrong", "rubbish", "open to others"])
def test_without_its_root_key_nothing_starts_and_nothing_is_touched(run: Run, installed: Path, harm: str) -> None:
    key = installed / "root.key"
    before = {path.name: path.read_bytes() for path in installed.iterdir() if path != key}
    if harm == "lost":
        key.unlink()
    elif harm == "wrong":
        key.write_text("ab" * 32)
    elif harm == "rubbish":
        key.write_text("hello")
    else:
        key.chmod(0o644)
    for words in (("serve", "--port", "0"), ("user", "list"), ("db", "migrate"), ("doctor",)):
        refused = run(*words)
        assert refused.returncode == 78, words
        assert "root key" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert unchanged(installed, before)
    assert key.exists() is (harm != "lost")


def test_a_lost_key_store_is_not_replaced_by_an_empty_one(run: Run, installed: Path) -> None:
    """An empty one would start, and every sealed value would be lost in silence."""
    (installed / "keys.db").unlink()
    before = {path.name: path.read_bytes() for path in installed.iterdir()}
    for words in (("user", "list"), ("doctor",), ("db", "migrate"), ("serve", "--port", "0")):
        refused = run(*words)
        assert refused.returncode == 78, words
        assert "keys.db is missing" in refused.stderr
        assert {path.name: path.read_bytes() for path in installed.iterdir()} == before


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("serve", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 78
    assert "--port" in refused.stderr


def test_a_setting_that_cannot_be_used_is_named(run: Run) -> None:
    refused = run("serve", STILLWAVE_PORT="eighty")
    assert (refused.returncode, "STILLWAVE_PORT" in refused.stderr) == (78, True)
    refused = run("doctor", STILLWAVE_DATABASE_URL="mysql://x")
    assert (refused.returncode, "postgresql://" in refused.stderr) == (78, True)
    refused = run("doctor", STILLWAVE_DATABASE_URL="postgresql://127.0.0.1:9/x")
    assert (refused.returncode, "out of reach" in refused.stderr) == (69, True)


def test_a_backup_is_made_tried_and_restored(run: Run, tmp_path: Path) -> None:
    assert user(run, "create", "alice@example.org", "+41446681800").returncode == 0
    nowhere = run("backup")
    assert nowhere.returncode == 1
    assert "STILLWAVE_BACKUP_DIR" in nowhere.stderr
    made = run("backup", "all.backup")
    assert (made.returncode, "all.backup" in made.stdout) == (0, True), made.stderr
    keys = run("backup", "--keys", "keys.backup")
    assert (keys.returncode, "35 days" in keys.stdout) == (0, True), keys.stderr
    tried = run("backup", "verify", "all.backup")
    assert (tried.returncode, "The backup is good" in tried.stdout) == (0, True), tried.stderr
    assert list(tmp_path.rglob("all.backup.verified"))  # the security audit looks for it
    fresh = tmp_path / "fresh"
    where = {"STILLWAVE_DATA_DIR": str(fresh), "STILLWAVE_ROOT_KEY_FILE": str(tmp_path / "data" / "root.key")}
    restored = run("restore", "all.backup", "--keys", "keys.backup", **where)
    assert (restored.returncode, "1 people can sign in" in restored.stdout) == (0, True), restored.stderr
    assert "alice@example.org" in run("user", "list", **where).stdout
    again = run("restore", "all.backup", **where)
    assert (again.returncode, "not empty" in again.stderr) == (1, True)


def test_a_stolen_key_is_made_useless_and_a_kept_copy_of_the_new_one_opens_the_backup(run: Run, tmp_path: Path) -> None:
    # The two drills of docs/operating.md.
    data, away = tmp_path / "data", tmp_path / "another machine"
    assert user(run, "create", "alice@example.org", "+41446681800").returncode == 0
    stolen = (data / "root.key").read_text()
    before = {path.name: path.read_bytes() for path in data.iterdir() if path.name in ("stillwave.db", "keys.db")}
    rotated = run("keys", "rotate")
    assert (rotated.returncode, "Every key is new" in rotated.stdout) == (0, True), rotated.stderr
    assert (data / "root.key").read_text() != stolen
    status = json.loads(run("keys", "status", "--json").stdout)
    assert not status["root_key_hand_over"]
    assert not status["people_unfinished"]
    layers = {line["layer"]: (line["generation"], line["unfinished"], line["retired"]) for line in status["layers"]}
    assert layers.pop("key-check") == (1, False, 0)
    assert layers == dict.fromkeys(("database", "blind-index", "audit", "people"), (2, False, 1))
    assert run("keys", "status").stdout.count("ok") >= 5
    assert "4 retired keys" not in run("keys", "forget").stdout  # 35 days are not over
    assert run("keys", "forget", "--older-than-days", "0").stdout == "4 retired keys are gone.\n"
    assert run("user", "list").stdout.count("alice@example.org") == 1
    assert run("audit-log", "verify").returncode == 0

    away.mkdir()
    for name in ("stillwave.db", "keys.db"):
        (away / name).write_bytes((data / name).read_bytes())
    wrong = run("doctor", STILLWAVE_DATA_DIR=str(away), STILLWAVE_ROOT_KEY=stolen)
    assert (wrong.returncode, "cannot be opened with this root key" in wrong.stderr) == (78, True)
    kept = (data / "root.key").read_text()
    right = run("doctor", STILLWAVE_DATA_DIR=str(away), STILLWAVE_ROOT_KEY=kept)
    assert "Root key" in right.stdout
    assert "fits" in right.stdout
    # A store of keys from before belongs to a root key and a database from before.
    (away / "keys.db").write_bytes(before["keys.db"])
    assert run("doctor", STILLWAVE_DATA_DIR=str(away), STILLWAVE_ROOT_KEY=stolen).returncode == 78
    (away / "stillwave.db").write_bytes(before["stillwave.db"])
    assert "fits" in run("doctor", STILLWAVE_DATA_DIR=str(away), STILLWAVE_ROOT_KEY=stolen).stdout


def test_keys_of_one_person_or_of_everybody_but_not_of_nobody(run: Run) -> None:
    assert user(run, "create", "alice@example.org", "+41446681800").returncode == 0
    assert run("keys", "rotate-person").returncode == 1
    assert run("keys", "rotate-person", "alice@example.org", "--all").returncode == 1
    assert run("keys", "rotate-person", "nobody@example.org").returncode == 1
    assert "1 people" in run("keys", "rotate-person", "alice@example.org").stdout
    assert "1 people" in run("keys", "rotate-person", "--all").stdout
