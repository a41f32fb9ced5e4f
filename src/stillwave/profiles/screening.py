"""Safety screening: what is asked, and what each answer allows.

The limits are conservative convention, not trial results. They are not medical advice, and the words say so.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

# Raise when a question, its wording or its limits change: people are then asked again.
VERSION = 1
CONVENTION = (
    "These limits are careful conventions, not results of trials, and no replacement for medical advice."
)
DRIVING = "Never listen while driving, cycling or using machines."

LOWEST_HZ, HIGHEST_HZ = 0.5, 50.0
LOUDEST = 100
LONGEST_MINUTES = 240

Action = Literal["block", "confirm", "limit"]


class Condition(msgspec.Struct, frozen=True):
    """One questionnaire item and its consequence. Hz, volume 0-100 and minutes are what stays allowed."""

    key: str
    action: Action
    name: str
    question: str
    low_hz: float = LOWEST_HZ
    high_hz: float = HIGHEST_HZ
    volume_cap: int = LOUDEST
    minutes_cap: int = LONGEST_MINUTES


CONDITIONS = {
    condition.key: condition
    for condition in (
        Condition("epilepsy", "block", "epilepsy", "Do you have epilepsy?"),
        Condition("seizure_history", "block", "an earlier seizure", "Have you ever had a seizure or fit?"),
        Condition(
            "recent_head_injury",
            "block",
            "a recent head injury",
            "Have you had a head injury or concussion in the last six months?",
        ),
        Condition(
            "acute_psychosis",
            "block",
            "psychosis",
            "Do you at present hear or see things that others do not, or are you in treatment for it?",
        ),
        Condition("under_16", "block", "being under 16", "Are you younger than 16?"),
        Condition(
            "pregnancy",
            "confirm",
            "pregnancy",
            "Are you pregnant?",
            low_hz=4,
            high_hz=13,
            volume_cap=40,
            minutes_cap=20,
        ),
        Condition("pacemaker", "confirm", "a pacemaker", "Do you have a pacemaker?", high_hz=30),
        Condition(
            "implanted_stimulator",
            "confirm",
            "an implanted stimulator",
            "Do you have an implanted nerve or brain stimulator?",
            high_hz=30,
        ),
        Condition(
            "heart_condition",
            "confirm",
            "a heart condition",
            "Has a doctor told you that you have a heart condition?",
            high_hz=13,
        ),
        Condition(
            "bipolar",
            "confirm",
            "bipolar disorder",
            "Do you live with bipolar disorder?",
            low_hz=4,
            high_hz=13,
        ),
        Condition("ptsd", "confirm", "post-traumatic stress", "Do you live with PTSD?", low_hz=8, high_hz=13),
        Condition(
            "dissociative_disorder",
            "confirm",
            "dissociation",
            "Do you often feel detached from yourself or the world, or live with a dissociative disorder?",
            low_hz=8,
            high_hz=13,
        ),
        Condition(
            "severe_depression",
            "confirm",
            "severe depression",
            "Are you going through a severe depression?",
            low_hz=8,
            high_hz=30,
        ),
        Condition(
            "family_epilepsy",
            "confirm",
            "epilepsy in the family",
            "Does a parent, brother, sister or child of yours have epilepsy?",
            high_hz=13,
            minutes_cap=15,
        ),
        Condition("migraine", "confirm", "migraine", "Do you get migraines?", high_hz=13, volume_cap=35),
        Condition(
            "tinnitus", "limit", "tinnitus", "Do you have ringing in your ears (tinnitus)?", volume_cap=30
        ),
        Condition(
            "hyperacusis",
            "limit",
            "sensitive hearing",
            "Do everyday sounds feel painfully loud to you (hyperacusis)?",
            volume_cap=25,
        ),
        Condition("hearing_loss", "limit", "hearing loss", "Do you have hearing loss?", volume_cap=45),
        Condition("age_16_17", "limit", "being 16 or 17", "Are you 16 or 17 years old?", volume_cap=40),
    )
}
# Written by the database when a red-flag effect was reported; blocks until it is explicitly cleared.
ADVERSE_PREFIX = "adverse:"


class Limits(msgspec.Struct, frozen=True):
    """What all conditions of a person together allow. `low_hz > high_hz` means that no frequency is left."""

    low_hz: float = LOWEST_HZ
    high_hz: float = HIGHEST_HZ
    volume_cap: int = LOUDEST
    minutes_cap: int = LONGEST_MINUTES
    blocked: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def condition(key: str) -> Condition:
    """What a declared key means; free text is unknown to us and limits carefully."""
    if key in CONDITIONS:
        return CONDITIONS[key]
    if key.startswith(ADVERSE_PREFIX):
        effect = key.removeprefix(ADVERSE_PREFIX).replace("_", " ")
        return Condition(key, "block", f"a reported {effect}", "")
    return Condition(key, "confirm", "a condition we do not know", "", high_hz=13, volume_cap=40)


def limits(keys: Iterable[str]) -> Limits:
    """The strictest of every limit, whatever the order of the keys."""
    found = [condition(key) for key in sorted(set(keys))]
    return Limits(
        low_hz=max((each.low_hz for each in found), default=LOWEST_HZ),
        high_hz=min((each.high_hz for each in found), default=HIGHEST_HZ),
        volume_cap=min((each.volume_cap for each in found), default=LOUDEST),
        minutes_cap=min((each.minutes_cap for each in found), default=LONGEST_MINUTES),
        blocked=tuple(each.key for each in found if each.action == "block"),
        confirm=tuple(each.key for each in found if each.action == "confirm"),
        reasons=tuple(dict.fromkeys(_reason(each) for each in found)),
    )


def _reason(found: Condition) -> str:
    """One plain sentence: what this condition changes."""
    if found.action == "block":
        return f"Because of {found.name}, sessions have plain background sound and no beat."
    allowed = []
    if (found.low_hz, found.high_hz) != (LOWEST_HZ, HIGHEST_HZ):
        allowed.append(f"the beat stays between {found.low_hz:g} and {found.high_hz:g} Hz")
    if found.volume_cap < LOUDEST:
        allowed.append(f"the volume at {found.volume_cap} or below")
    if found.minutes_cap < LONGEST_MINUTES:
        allowed.append(f"a session at {found.minutes_cap} minutes or less")
    return f"Because of {found.name}, {' and '.join(allowed)}."
