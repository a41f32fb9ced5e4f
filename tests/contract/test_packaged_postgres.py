"""`serve --postgres`: a PostgreSQL that comes along, starts and ends with the server, and keeps what it was given."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stillwave.db import packaged
from stillwave.errors import CannotStart
from tests.cast import ALICE, ROOT_KEY
from tests.served import Visitor


@pytest.fixture
def data_dir(run_dir: Path, postgres_server_url: str) -> Iterator[Path]:
    """A data folder that PostgreSQL can reach when the tests run as root."""
    folder = run_dir / "packaged"
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def serving(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], Visitor]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {**os.environ, "STILLWAVE_DATA_DIR": str(data_dir), "STILLWAVE_ROOT_KEY": ROOT_KEY}
    process = subprocess.Popen(
        [sys.executable, "-m", "stillwave", "serve", "--postgres", "--port", str(port)], env=environ, stdout=subprocess.DEVNULL
    )
    try:
        with Visitor(base_url=f"http://127.0.0.1:{port}", timeout=60) as visitor:
            end = time.monotonic() + 120
            while True:
                with contextlib.suppress(httpx.TransportError):
                    assert visitor.get("/health/ready").json()["missing"] == []
                    break
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
            yield process, visitor
    finally:
        process.kill()
        process.wait(10)


def postmaster(data_dir: Path) -> int | None:
    lock = data_dir / "postgres" / "postmaster.pid"
    return int(lock.read_text().splitlines()[0]) if lock.exists() else None


def test_it_starts_ends_and_keeps_what_it_was_given(data_dir: Path) -> None:
    with serving(data_dir) as (process, visitor):
        visitor.sign_up(ALICE)
        left = postmaster(data_dir)
        assert left is not None
        # It opens its files by name again and again, the first time after five minutes.
        assert data_dir.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
        process.kill()  # no time to end the other
        process.wait(10)
    assert (data_dir / "postgres.url").stat().st_mode & 0o777 == 0o600
    with serving(data_dir) as (process, visitor):
        assert postmaster(data_dir) == left
        visitor.sign_in(ALICE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert postmaster(data_dir) is None
    with serving(data_dir) as (process, visitor):
        visitor.sign_in(ALICE)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert postmaster(data_dir) is None
    assert ALICE.email not in (data_dir / "postgres.log").read_text()


def test_a_package_that_is_absent_and_a_lost_password_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(CannotStart, match="pip install"), packaged.running(tmp_path):
        pass
    monkeypatch.undo()
    monkeypatch.setattr(packaged, "_other_user", lambda _folder: {})
    (tmp_path / "postgres").mkdir()
    with pytest.raises(CannotStart, match="holds the password"), packaged.running(tmp_path):
        pass
