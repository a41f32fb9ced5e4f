"""How a row of the proof of concept becomes one of ours, value by value."""

from __future__ import annotations

import datetime as dt
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillwave.accounts.rules import normal_email
from stillwave.db.ids import moment
from stillwave.promote import rules
from stillwave.promote.rules import Surroundings

LIMIT = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
PHC = "$argon2id$v=19$m=65536,t=3,p=4$c3RpbGx3YXZlLXNlZWQhIQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E"


@pytest.fixture
def around() -> Surroundings:
    return Surroundings(limit_ms=int(LIMIT.timestamp() * 1000), backgrounds=frozenset({"nature", "ambient"}), nobody_hash="nobody")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"2026-03-01 12:30:05", "2026-03-01T12:30:05.000Z"),
        (b"2026-03-01T12:30:05.1239Z", "2026-03-01T12:30:05.123Z"),
        (b" 2026-03-01 12:30 ", "2026-03-01T12:30:00.000Z"),
        (b"2026-03-01", "2026-03-01T00:00:00.000Z"),
        (b"2026-03-01 12:30:05+02:00", "2026-03-01T10:30:05.000Z"),
        (b"2026-03-01 12:30:05-0130", "2026-03-01T14:00:05.000Z"),
        (1772368205, "2026-03-01T12:30:05.000Z"),
        (1772368205.25, "2026-03-01T12:30:05.250Z"),
        (1772368205123, "2026-03-01T12:30:05.123Z"),
        (1772368205123456, "2026-03-01T12:30:05.123Z"),
        (b"1772368205", "2026-03-01T12:30:05.000Z"),
        (b"2024-02-29 00:00:00", "2024-02-29T00:00:00.000Z"),
        (b"2026-02-29 00:00:00", None), (b"2026-03-01 24:00:00", None), (b"2026-03-01 12:60:00", None),
        (b"tomorrow", None), (b"", None), (None, None), (float("nan"), None), (float("inf"), None), (10**30, None),
        (b"\xff\xfe", None), (b"1e400", None),
    ],
)  # fmt: skip
def test_a_time_is_understood_however_it_is_written(value: rules.Old, told: str | None) -> None:
    found = rules.moment_ms(value)
    assert (None if found is None else rules.stamp(found)) == told


_NEARLY_A_TIME = st.from_regex(rb"[0-9]{3}[0-9W]-[0-9W]{2}-[0-9]{2}[Tt \x00][012][0-9]:[0-9]{2}[:.][0-9]{2}", fullmatch=True)


@given(st.one_of(_NEARLY_A_TIME, st.binary(min_size=19, max_size=19)))
def test_the_short_way_to_a_time_ends_where_the_long_one_does(value: bytes) -> None:
    assert rules.moment_ms(value) == rules._any_moment_ms(value)


@given(st.datetimes(min_value=dt.datetime(2010, 1, 1), max_value=dt.datetime(2099, 1, 1), timezones=st.just(dt.UTC)))
def test_every_time_comes_back_to_the_millisecond(when: dt.datetime) -> None:
    text = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    found = rules.moment_ms(text.encode())
    assert found is not None
    assert rules.stamp(found) == text


@given(st.text("sessions", min_size=1), st.integers(0, 2**63), st.integers(rules.FIRST_MS, 4_102_444_800_000))
def test_an_id_is_always_the_same_and_holds_its_time(table: str, key: int, ms: int) -> None:
    made = uuid.UUID(rules.made_id(table, key, ms))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert str(made) == rules.made_id(table, key, ms)
    assert int(moment(made).timestamp() * 1000 + 0.5) == ms
    assert rules.made_id(table, key + 1, ms) != str(made) != rules.made_id(table + "x", key, ms)


@given(st.from_regex(r"[a-z0-9.+_-]{1,20}@[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){1,3}", fullmatch=True))
def test_the_short_cut_for_addresses_says_what_signing_in_says(text: str) -> None:
    if rules._PLAIN.fullmatch(text):
        assert normal_email(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [("Anna@Example.ORG", "anna@example.org"), ("  anna@example.org ", "anna@example.org"), ("anna", None), ("", None),
     ("a@b", None), ("anna@localhost", None), ("anna@example.test", None), ("änna@example.org", "änna@example.org"),
     ("a" * 250 + "@example.org", None), ("anna@" + "x" * 64 + ".org", None)],
)  # fmt: skip
def test_an_address_has_one_written_form(text: str, told: str | None) -> None:
    assert rules.address(text) == told


def test_an_account_is_asked_for_what_it_lacks(around: Surroundings) -> None:
    made = b"2026-01-02 03:04:05"
    kept = rules.user(around, 1, (7, b"Anna@example.org", PHC.encode(), made, b"active"))
    assert kept.row is not None
    assert (kept.row[1], kept.row[3], kept.row[5], kept.row[9]) == ("anna@example.org", "+999000000000007", PHC, "phone_required")
    assert not rules.lossy(kept.why)
    plain = rules.user(around, 1, (7, b"anna@example.org", b"secret", made, None))
    assert plain.row is not None
    assert (plain.row[5], plain.row[9]) == ("nobody", "reset_required")
    around.taken = {1}
    later = rules.user(around, 1, (7, b"Anna@example.org", PHC.encode(), made, b"active"))
    assert later.row is not None
    assert (later.row[1], later.row[9], rules.lossy(later.why)) == ("Anna@example.org", "address_required", True)
    odd = rules.user(around, 2, (8, b"anna", PHC.encode(), b"rubbish", b"sleeping"))
    assert odd.row is not None
    assert (odd.row[9], odd.row[6]) == ("disabled", "2010-01-01T00:00:00.000Z")
    assert {"address_unusable", "status_unknown", "created_unknown"} <= set(odd.why)


@pytest.mark.parametrize("phc", [
    "$argon2id$v=19$m=99999999,t=3,p=4$c3RpbGx3YXZlLXNlZWQhIQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E",
    "$argon2id$v=19$m=4000000,t=3,p=4$c3RpbGx3YXZlLXNlZWQhIQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E",
    "$argon2id$v=19$m=65536,t=99,p=4$c3RpbGx3YXZlLXNlZWQhIQ$Yf1vPqyqX2gLZsNfUPGZWjOeb3kC2o3MZ3q9vVJxV3E",
    "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "5f4dcc3b5aa765d61d8327deb882cf99", "",
])  # fmt: skip
def test_a_hash_that_nobody_can_use_or_that_takes_the_memory_is_not_kept(around: Surroundings, phc: str) -> None:
    told = rules.user(around, 1, (1, b"anna@example.org", phc.encode(), b"2026-01-02 03:04:05", b"active"))
    assert told.row is not None
    assert (told.row[5], told.row[9]) == ("nobody", "reset_required")


ANNA = (7, b"anna@example.org", b"2026-01-02 03:04:05")
START, END = b"2026-02-03 07:00:00", b"2026-02-03 07:20:00"


@pytest.mark.parametrize(
    ("effect", "rating", "kept"),
    [(1, "2", '{"poc_effectiveness": 1}'), (5, "10", '{"poc_effectiveness": 5}'), (3.0, "6", '{"poc_effectiveness": 3}'),
     (b"4", "8", '{"poc_effectiveness": 4}'), (None, None, None), (0, None, '{"poc_effectiveness": 0}'),
     (6, None, '{"poc_effectiveness": 6}'), (2.5, None, '{"poc_effectiveness": 2.5}'), (b"good", None, None),
     (float("inf"), None, None), (float("nan"), None, None)],
)  # fmt: skip
def test_effectiveness_is_doubled_and_kept_as_it_was(around: Surroundings, effect: rules.Old, rating: str | None, kept: str | None) -> None:
    told = rules.session(around, 1, (1, 7, START, END, b"morning", 10.0, effect, *ANNA))
    assert told.row is not None
    assert told.row[7:9] == (rating, kept)
    assert rules.lossy(told.why) == (effect is not None and rating is None)


@pytest.mark.parametrize(
    ("frequency", "told"),
    [(10.0, "10.00"), (b"7.5", "7.50"), (9.999, "10.00"), (0.004, None), (0, None), (-3, None), (1e5, None),
     (float("nan"), None), (float("inf"), None), (b"NaN", None), (b"Infinity", None), (b"calm", None), (None, None), (b"9" * 50, None)],
)  # fmt: skip
def test_a_frequency_is_a_number_of_hertz_or_empty(around: Surroundings, frequency: rules.Old, told: str | None) -> None:
    found = rules.session(around, 1, (1, 7, START, END, None, frequency, None, *ANNA))
    assert found.row is not None
    assert found.row[10] == told
    assert ("frequency_odd" in found.why) == (told is None and frequency is not None)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [(START, END, ("2026-02-03T07:00:00.000Z", "2026-02-03T07:20:00.000Z")), (END, START, ("2026-02-03T07:20:00.000Z", None)),
     (START, b"?", ("2026-02-03T07:00:00.000Z", None)), (b"?", END, ("2026-02-03T07:20:00.000Z", "2026-02-03T07:20:00.000Z")),
     (b"?", None, "start_unknown"), (b"1970-01-01", None, "start_outside"), (b"2026-11-27", None, "start_outside"), (0, None, "start_outside")],
)  # fmt: skip
def test_a_session_has_a_place_in_time_or_is_rejected(around: Surroundings, start: rules.Old, end: rules.Old, told: object) -> None:
    found = rules.session(around, 1, (1, 7, start, end, None, None, None, *ANNA))
    assert (found.why[0] if found.row is None else found.row[2:4]) == told


def test_what_leads_to_nobody_is_rejected(around: Surroundings) -> None:
    assert rules.session(around, 1, (1, None, START, END, None, None, None, None, None, None)).why == ("person_unknown",)
    assert rules.session(around, 1, (1, 7, START, END, None, None, None, 7, b"  ", None)).why == ("person_unknown",)
    assert rules.feedback(around, 1, (1, 9, 5, b"x", None, None, None, None, None, None)).why == ("session_unknown",)
    assert rules.feedback(around, 1, (1, 9, 5, b"x", 9, b"?", None, *ANNA)).why == ("session_unknown",)
    assert rules.user(around, 1, (1, b" ", b"x", None, None)).why == ("address_missing",)
    assert rules.user(around, 1, (None, b"anna@example.org", b"x", None, None)).why == ("id_missing",)


def test_words_stay_but_for_what_no_database_takes(around: Surroundings) -> None:
    def said(text: bytes) -> tuple[str | None, tuple[str, ...]]:
        found = rules.feedback(around, 1, (1, 9, 5, text, 9, START, END, *ANNA))
        assert found.row is not None
        return found.row[5], found.why

    assert said("ganz ruhig 🌊\t\\N\n".encode()) == ("ganz ruhig 🌊\t\\N\n", ())
    assert said(b"be\0fore") == ("before", ("nul_removed",))
    assert said(b"lone \xed\xa0\x80!") == ("lone ���!", ("text_not_utf8",))
    assert len(said(b"long " * 2_000_000)[0] or "") == 10_000_000


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.binary(max_size=20), st.text(max_size=10).map(str.encode)), min_size=10, max_size=10))
def test_whatever_stands_there_is_told_something_and_kept_as_json(old: list[rules.Old]) -> None:
    around = Surroundings(limit_ms=int(LIMIT.timestamp() * 1000), backgrounds=frozenset(), nobody_hash="nobody")
    for translate, width in ((rules.user, 5), (rules.preferences, 8), (rules.session, 10), (rules.feedback, 10)):
        told = translate(around, 1, old[:width])
        assert all(code in rules.RULES for code in told.why)
        assert told.row is None or all(value is None or ("\0" not in value and value.encode()) for value in told.row)
    assert list(json.loads(rules.original("abcdefghij", old))) == list("abcdefghij")


def test_a_placeholder_number_is_of_no_country_and_ones_own() -> None:
    numbers = {rules.placeholder(key) for key in (0, 7, 10**11, 10**12, -1, "x")} | {rules.placeholder(7, 1)}
    assert len(numbers) == 7
    assert all(number.startswith("+999") and number[1:].isdigit() and len(number) == 16 for number in numbers)
