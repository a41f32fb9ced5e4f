"""A promotion that ends itself by SIGKILL in a process of its own, and is begun again until it comes to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from stillwave.settings import Settings
from tests.cast import ROOT_KEY

# Ends itself without a word when it has written down its place so many times.
_SCRIPT = """
import datetime as dt, os, signal, sys
from pathlib import Path
from stillwave.db.database import open_database
from stillwave.db.keys import parse_root_key
from stillwave.promote.copy import Run
from stillwave.promote.flat import FlatSource
from stillwave.promote.sources import open_source
from stillwave.settings import load
given, key, left, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
class Short(Run):
    batch_rows = rows
    def save(self, tx, step):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(tx, step)
settings = load({name: value for name, value in os.environ.items() if value})
source = open_source(Path(given), parse_root_key(key)) if key else FlatSource(given)
now = dt.datetime(2026, 11, 25, 10, tzinfo=dt.UTC)
Short(source, open_database(settings), now, merge=bool(key), audio=settings.audio_dir).copy()
"""


def promoted_by_force(source: str, target: Settings, *, first: int, more: int, batch_rows: int, key: str = "") -> list[int]:
    """How each run ended: killed when it has written down its place `first` times, then `more` times later in each run.

    `source` is the URL of flat tables, or with its root `key` the folder of a Stillwave, which is merged.
    """
    codes: list[int] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        codes.append(subprocess.run(
            [sys.executable, "-c", _SCRIPT, source, key, str(first + more * len(codes)), str(batch_rows)], check=False, timeout=120,
            env={**os.environ, "STILLWAVE_DATA_DIR": str(target.data_dir), "STILLWAVE_ROOT_KEY": target.root_key or ROOT_KEY,
                 "STILLWAVE_DATABASE_URL": target.database_url or ""},
        ).returncode)  # fmt: skip
    return codes
