"""What stands in a row stands in PostgreSQL's COPY text, whatever it is."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from stillwave.db import bulk

_BACK = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}


def _read(line: str) -> list[str | None]:
    """The row, as PostgreSQL reads it."""
    found: list[str | None] = []
    for field in line.removesuffix("\n").split("\t"):
        parts, at = [], 0
        while at < len(field):
            step = 2 if field[at] == "\\" else 1
            parts.append(_BACK.get(field[at : at + step], field[at : at + step]))
            at += step
        found.append(None if field == "\\N" else "".join(parts))
    return found


@given(st.lists(st.none() | st.text("\\Nab\t\n\r", max_size=4), min_size=1, max_size=4))
@example(["\\N", None])
def test_every_value_comes_back_and_nothing_is_taken_for_an_empty_one(row: list[str | None]) -> None:
    line = bulk.line(row)
    assert line.count("\n") == 1
    assert _read(line) == row
