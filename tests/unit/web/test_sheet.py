"""CSV: exact quoting, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest

from stillwave.web.sheet import csv_bytes


def read_back(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x","y")'])
def test_text_that_begins_like_a_formula_is_text(text: str) -> None:
    assert read_back(csv_bytes(["notes"], [[text]])) == [["notes"], [f"'{text}"]]


@pytest.mark.parametrize("text", ['a "quoted" word', "two\nlines", "one, two; three", "Grüße 🌙", "5 = five", ""])
def test_other_text_comes_back_as_it_was(text: str) -> None:
    assert read_back(csv_bytes(["notes", "n"], [[text, 1]])) == [["notes", "n"], [text, "1"]]


def test_numbers_stay_numbers_and_nothing_is_empty() -> None:
    assert csv_bytes(["a", "b", "c"], [[-1.5, None, 3]]) == b"a,b,c\r\n-1.5,,3\r\n"
