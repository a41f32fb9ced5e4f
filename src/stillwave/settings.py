"""The settings, read once from the environment; everything has a working default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from stillwave.errors import CannotStart

POSTGRES = ("postgresql://", "postgres://")  # how a URL of one begins


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set. `docs/operating.md` lists every name."""

    data_dir: Path
    database_url: str | None = None
    root_key: str | None = None
    root_key_command: str | None = None
    root_key_file: Path
    host: str = "127.0.0.1"
    port: int = 8000
    base_url: str
    checkpoint_dir: Path | None = None
    log_dir: Path | None = None
    smtp_url: str | None = None
    mail_from: str = "stillwave@localhost"
    audio_quota_bytes: int = 4 * 1024**3
    works_inside: bool = True
    metrics_token: str | None = None
    slow_query_ms: int = 500
    backup_dir: Path | None = None
    backup_keys_dir: Path | None = None
    backup_keep_days: int = 30
    erasure_days: int = 7

    @property
    def database_file(self) -> Path:
        """The embedded database, used when no database_url is set."""
        return self.data_dir / "stillwave.db"

    @property
    def keys_file(self) -> Path:
        """The store of wrapped keys; back it up apart from the database."""
        return self.data_dir / "keys.db"

    @property
    def audio_dir(self) -> Path:
        """Where sealed sound files lie."""
        return self.data_dir / "audio"

    @property
    def is_local(self) -> bool:
        """True when only people at this machine reach the server; then it offers the demo."""
        return urlsplit(self.base_url).hostname in ("127.0.0.1", "localhost", "::1")

    @property
    def secure_cookies(self) -> bool:
        """True when people reach the server over TLS."""
        return self.base_url.startswith("https://")


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from `STILLWAVE_*`.

    Raises CannotStart when a value cannot be used, naming the variable and what it takes.
    """

    def read(name: str) -> str | None:
        return environ.get(f"STILLWAVE_{name}", "").strip() or None

    home = environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    data_dir = Path(read("DATA_DIR") or Path(home) / "stillwave").expanduser().absolute()
    database_url = read("DATABASE_URL")
    if database_url and not database_url.startswith(POSTGRES):
        raise CannotStart(
            "STILLWAVE_DATABASE_URL must start with postgresql:// "
            "(leave it unset for the embedded database)."
        )
    host, port = read("HOST") or "127.0.0.1", _whole(read("PORT"), "STILLWAVE_PORT", 8000, 0, 65535)
    smtp_url = read("SMTP_URL")
    if smtp_url and urlsplit(smtp_url).scheme not in ("smtp", "smtps"):
        raise CannotStart(
            "STILLWAVE_SMTP_URL must look like smtp://user:password@host:587 or smtps://host."
        )
    worker = read("WORKER") or "inside"
    if worker not in ("inside", "apart"):
        raise CannotStart("STILLWAVE_WORKER must be inside (the server works) or apart (`stillwave worker` does).")
    backup_dir, keys_dir = (Path(found).expanduser().absolute() if (found := read(name)) else None
                            for name in ("BACKUP_DIR", "BACKUP_KEYS_DIR"))  # fmt: skip
    if backup_dir is not None and backup_dir == keys_dir:
        raise CannotStart(
            "STILLWAVE_BACKUP_KEYS_DIR must be another folder than STILLWAVE_BACKUP_DIR, best on another disk: "
            "copies of keys may be kept 35 days, backups longer."
        )
    quota_gb = _whole(read("AUDIO_QUOTA_GB"), "STILLWAVE_AUDIO_QUOTA_GB", 4, 0, 1_000_000)
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        root_key=read("ROOT_KEY"),
        root_key_command=read("ROOT_KEY_COMMAND"),
        root_key_file=Path(read("ROOT_KEY_FILE") or data_dir / "root.key").expanduser().absolute(),
        host=host,
        port=port,
        base_url=(read("BASE_URL") or f"http://{host}:{port}").rstrip("/"),
        checkpoint_dir=_folder(read("CHECKPOINT_DIR")),
        log_dir=_folder(read("LOG_DIR")),
        smtp_url=smtp_url,
        mail_from=read("MAIL_FROM") or "stillwave@localhost",
        audio_quota_bytes=quota_gb * 1024**3,
        works_inside=worker == "inside",
        metrics_token=read("METRICS_TOKEN"),
        backup_dir=backup_dir,
        backup_keys_dir=keys_dir,
        backup_keep_days=_whole(read("BACKUP_KEEP_DAYS"), "STILLWAVE_BACKUP_KEEP_DAYS", 30, 1, 36_500),
        slow_query_ms=_whole(read("SLOW_QUERY_MS"), "STILLWAVE_SLOW_QUERY_MS", 500, 0, 600_000),
        erasure_days=_whole(read("ERASURE_DAYS"), "STILLWAVE_ERASURE_DAYS", 7, 0, 30),
    )


def _folder(text: str | None) -> Path | None:
    return Path(text).expanduser().absolute() if text else None


def _whole(text: str | None, name: str, default: int, low: int, high: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise CannotStart(f"{name} must be a whole number from {low} to {high}.")
    return int(text)
