"""Tables for spreadsheets: RFC 4180, UTF-8, and no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from litestar import Response

# What Excel, LibreOffice and Google Sheets take as the beginning of a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_bytes(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The rows as CSV. Text that begins like a formula gets an apostrophe before it; None is an empty cell."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n")
    write.writerow(head)
    write.writerows([plain_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def plain_cell(value: object) -> object:
    """The value as a cell that no spreadsheet runs."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def download(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response[bytes]:
    """The answer that a browser saves as `name`; nothing between keeps a copy."""
    return Response(
        csv_bytes(head, rows), media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )  # fmt: skip
