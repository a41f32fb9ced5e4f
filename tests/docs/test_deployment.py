"""What lies in deploy/ is what the tools that read it take: systemd, nginx, Caddy, and builders of containers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stillwave.settings import load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = ["stillwave.service", "stillwave-worker.service"]


def lines(name: str) -> list[str]:
    """The lines of a file, continued ones joined, without comments."""
    joined = (DEPLOY / name).read_text().replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def unit(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines(name):
        key, mark, value = line.partition("=")
        if mark:
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units_and_finds_little_to_attack(name: str, tmp_path: Path) -> None:
    # The program lies elsewhere on this machine.
    here = tmp_path / name
    here.write_text((DEPLOY / name).read_text().replace("/opt/stillwave/.venv/bin/stillwave", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if name in line or "stillwave" in line]
    assert (checked.returncode, ours) == (0, []), checked.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(here)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_both_units_are_the_same_but_for_what_they_do() -> None:
    server, worker = (unit(name) for name in UNITS)
    differ = {"Description", "After", "ExecStart", "TimeoutStopSec", "Nice"}
    assert {k: v for k, v in server.items() if k not in differ} == {k: v for k, v in worker.items() if k not in differ}
    assert server["ExecStart"] == ["/opt/stillwave/.venv/bin/stillwave serve"]
    assert worker["ExecStart"] == ["/opt/stillwave/.venv/bin/stillwave worker"]


def test_every_setting_that_is_set_exists() -> None:
    words = " ".join([*unit(UNITS[0])["Environment"], *(line.removeprefix("ENV ") for line in lines("Containerfile") if line.startswith("ENV "))])
    given = dict(word.split("=", 1) for word in shlex.split(words))
    ours = {name: value for name, value in given.items() if name.startswith("STILLWAVE_")}
    known = (ROOT / "docs" / "operating.md").read_text()
    assert ours
    assert all(f"`{name}`" in known for name in ours)
    assert load(ours).data_dir.is_absolute()


def test_the_container_is_pinned_unprivileged_watched_and_has_what_it_copies() -> None:
    found = lines("Containerfile")
    bases = [line.split()[1] for line in found if line.startswith("FROM ")]
    assert len(bases) == 2
    assert all(re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+", base) for base in bases), bases
    second = found[[number for number, line in enumerate(found) if line.startswith("FROM ")][1]:]
    assert [line for line in second if line.startswith("USER ")] == ["USER 10001:10001"]
    assert second.index("USER 10001:10001") < second.index('ENTRYPOINT ["stillwave"]')
    assert not [line for line in found if line.startswith("ADD ") or "curl" in line or "ROOT_KEY=" in line]
    for line in found:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / name).exists() for name in line.split()[1:-1]), line
        if line.startswith(("CMD [", "ENTRYPOINT [")):
            assert json.loads(line.partition(" ")[2])
    (watch,) = [line for line in second if line.startswith("HEALTHCHECK")]
    compile(json.loads(watch.partition("CMD ")[2])[2], "healthcheck", "exec")
    uv = re.search(r"uv_version=(\S+)", (ROOT / "run").read_text())
    assert uv is not None
    assert f"uv=={uv[1]}" in (DEPLOY / "Containerfile").read_text()


@pytest.mark.skipif(shutil.which("nginx") is None or shutil.which("openssl") is None, reason="needs nginx and openssl")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=calm.example.org",
         "-days", "2", "-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    text = (DEPLOY / "nginx.conf").read_text().replace("/etc/letsencrypt/live/calm.example.org", str(tmp_path))
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}} http {{ access_log off; {text} }}")
    checked = subprocess.run(["nginx", "-t", "-c", str(whole), "-p", str(tmp_path)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs caddy")
def test_caddy_takes_its_file() -> None:
    checked = subprocess.run(
        ["caddy", "adapt", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "127.0.0.1:8000" in checked.stdout
