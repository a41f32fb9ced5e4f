"""Codes of the authenticator app against the examples of RFC 6238, and their window."""

from __future__ import annotations

import base64
import datetime as dt

import pytest

from stillwave.factors import rules

SEED = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_examples_of_the_standard_open(seconds: int, code: str) -> None:
    now = dt.datetime.fromtimestamp(seconds, dt.UTC)
    assert rules.matching_step(SEED, code, now) == seconds // 30


@pytest.mark.parametrize(("late_s", "opens"), [(-30, True), (0, True), (30, True), (60, False), (-60, False)])
def test_a_code_counts_half_a_minute_early_and_late(late_s: int, opens: bool) -> None:
    made = dt.datetime.fromtimestamp(1999999995, dt.UTC)
    found = rules.matching_step(SEED, "279037", made + dt.timedelta(seconds=late_s))
    assert found == (66666666 if opens else None)


@pytest.mark.parametrize("code", ["", "28708", "2870822", "２８７０８２", "abcdef"])
def test_what_is_not_six_digits_is_no_app_code(code: str) -> None:
    assert not rules.is_app_code(code)


@pytest.mark.parametrize("code", ["", "２８７０８２", "\x88&", "2870\u00e92", "287082\U00074c12"])
def test_a_code_of_other_letters_is_wrong_like_any_other(code: str) -> None:
    assert rules.matching_step(SEED, code, dt.datetime.fromtimestamp(59, dt.UTC)) is None


def test_a_secret_is_160_bits() -> None:
    assert rules.secret(b"12345678901234567890") == SEED
    with pytest.raises(ValueError, match="20 bytes"):
        rules.secret(b"short")
