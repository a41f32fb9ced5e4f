"""A form that cannot be taken comes back with the message beside its field, alike on both engines; nothing is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cast import ALICE, CHARLIE
from tests.two_worlds import World, both, rows

CANARY = "QzxCanary"
PASSWORDS = {"current_password": ALICE.password, "password": "seven quiet otters sleeping"}
RECOVERY = {"email": ALICE.email, "code": "ABCD-EFGH-JKMN-PQRS", "password": "seven quiet otters sleeping"}


@pytest.fixture(scope="module")
def worlds(settings_on) -> Iterator[dict[str, World]]:
    with both(settings_on) as made:
        yield made


class FormCase(NamedTuple):
    """A form that comes back with a message beside the field."""

    path: str
    good: dict[str, str]
    field: str
    values: list[str]


LONG = CANARY * 700
FORMS = [
    FormCase("/sign-up", {"email": CHARLIE.email, "phone": CHARLIE.phone_number, "password": CHARLIE.password, "consent_health_data": "yes"},
             "email", ["", "nobody", "a\0b@example.org", LONG]),
    FormCase("/sign-up", {"email": CHARLIE.email, "phone": CHARLIE.phone_number, "password": CHARLIE.password, "consent_health_data": "yes"},
             "phone", ["", "12345", "+\0", LONG]),
    FormCase("/sign-up", {"email": CHARLIE.email, "phone": CHARLIE.phone_number, "password": CHARLIE.password, "consent_health_data": "yes"},
             "password", ["", "short", "password1234", "a\0" * 12, LONG]),
    FormCase("/sign-in", {"email": ALICE.email, "password": ALICE.password}, "email", ["", "\0\0\0", LONG]),
    FormCase("/sign-in", {"email": ALICE.email, "password": ALICE.password}, "password", ["", "a\0", LONG]),
    FormCase("/recover", {"email": ALICE.email}, "email", ["", "\0\0\0", LONG]),
    FormCase("/reset", RECOVERY, "code", ["", CANARY, "\0", LONG]),
    FormCase("/reset", RECOVERY, "password", ["", "short", LONG]),
    FormCase("/preferences", {"preferred_duration": "20"}, "preferred_duration", ["4", "121", "x", "5.5", "1e400", "NaN", "9" * 99]),
    FormCase("/preferences", {"preferred_duration": "20"}, "voice_preference", [CANARY, "\0", LONG]),
    FormCase("/preferences", {"preferred_duration": "20"}, "background_sound_type", [CANARY, "\0", LONG]),
    FormCase("/preferences", {"preferred_duration": "20"}, "time_zone", [CANARY, "../../etc/passwd", LONG]),
    FormCase("/preferences", {"preferred_duration": "20"}, "morning_routine_time", ["25:00", "x", "07:30:00Z", "07:30:00.5"]),
    FormCase("/screening", {"age_group": "18_plus", "none": "yes", "agree_not_driving": "yes"}, "age_group", ["", CANARY, "\0"]),
    FormCase("/screening", {"age_group": "18_plus", "none": "yes", "agree_not_driving": "yes"}, "agree_not_driving", [""]),
    FormCase("/screening", {"age_group": "18_plus", "none": "yes", "agree_not_driving": "yes"}, "none", [""]),
    FormCase("/screening", {"age_group": "18_plus", "agree_not_driving": "yes"}, "condition", [CANARY, "under_16", LONG]),
    FormCase("/screening", {"age_group": "18_plus", "agree_not_driving": "yes"}, "other", [LONG, "a\0"]),
    FormCase("/sessions", {"target_state": "calm_focus", "minutes": "5"}, "target_state", ["", CANARY, "\0", LONG]),
    FormCase("/sessions", {"target_state": "calm_focus", "minutes": "5"}, "minutes", ["4", "121", "x", "NaN"]),
    FormCase("/sessions", {"target_state": "calm_focus", "minutes": "5"}, "background", [CANARY, LONG]),
    FormCase("/sessions/{session}/rate", {"rating": "4"}, "rating", ["", "0", "6", "x", "NaN", "4.5"]),
    FormCase("/sessions/{session}/rate", {"rating": "4"}, "effectiveness", ["0", "11", "x"]),
    FormCase("/sessions/{session}/rate", {"rating": "4"}, "feedback_text", [LONG, "a\0"]),
    FormCase("/progress", {"date": "2026-11-25", "sleep_quality": "5"}, "date", ["", "x", "1999-12-31", "9999-12-31", "2026-02-30"]),
    FormCase("/progress", {"date": "2026-11-25"}, "sleep_quality", ["", "0", "11", "x", "NaN", "1e400"]),
    FormCase("/progress", {"date": "2026-11-25", "sleep_quality": "5"}, "notes", [LONG, "a\0"]),
    FormCase("/password", PASSWORDS, "current_password", ["", f"{CANARY} not mine", LONG]),
    FormCase("/password", PASSWORDS, "password", ["", "short", "password1234", LONG]),
    FormCase("/privacy/erase", {"password": ALICE.password, "confirm": "erase"}, "confirm", ["", "yes", LONG]),
    FormCase("/privacy/erase", {"password": ALICE.password, "confirm": "erase"}, "password", ["", f"{CANARY} not mine"]),
    FormCase("/privacy/export", {"sound": "none"}, "sound", [CANARY]),
    FormCase("/privacy/export", {"sound": "none"}, "age", [CANARY, LONG]),
    FormCase("/contact", {"phone": ALICE.phone_number, "password": ALICE.password}, "email", [CANARY, LONG, "a\0"]),
    FormCase("/contact", {"email": ALICE.email, "password": ALICE.password}, "phone", [CANARY, LONG, "12"]),
    FormCase("/contact", {"email": ALICE.email}, "password", ["", f"{CANARY} not mine"]),
]  # fmt: skip
FORM_CASES = [(case, value) for case in FORMS for value in case.values]


@pytest.mark.parametrize(
    ("case", "value"), FORM_CASES, ids=[f"{c.path} {c.field} {c.values.index(v)}" for c, v in FORM_CASES]
)
def test_a_form_comes_back_with_the_message_beside_its_field(
    case: FormCase, value: str, worlds: dict[str, World]
) -> None:
    verdicts = []
    for world in worlds.values():
        before = rows(world)
        path = case.path.format(**world.places)
        answer = world.browser.post(path, data={**case.good, case.field: value})
        assert answer.status_code == 422, (answer.status_code, answer.headers.get("location"))
        assert answer.headers["content-type"].startswith("text/html")
        assert re.search(rf'<p class="error" id="e-(?:erase-)?{case.field}">[^<]{{6,}}</p>', answer.text), answer.text
        assert rows(world) == before
        message = re.search(rf'id="e-(?:erase-)?{case.field}">([^<]*)<', answer.text)
        assert message is not None
        assert CANARY not in message[1]
        verdicts.append(message[1])
    assert verdicts[0] == verdicts[1]


def test_a_form_keeps_what_was_typed_but_never_a_password(worlds: dict[str, World]) -> None:
    for world in worlds.values():
        typed = {"email": "fine@example.org", "phone": "12345", "password": "a secret nobody knows", "consent_health_data": "yes"}
        answer = world.browser.post("/sign-up", data=typed)
        assert 'value="fine@example.org"' in answer.text
        assert 'value="12345"' in answer.text
        assert "a secret nobody knows" not in answer.text
