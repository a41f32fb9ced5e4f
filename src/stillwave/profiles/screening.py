"""Safety screening: the questions, what the answers leave, when they are asked again, what a clinician may clear. Pure.

The limits and times are conservative convention, not results of trials; every page that shows them says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable
from typing import Annotated, Final, Literal

import msgspec

from stillwave.errors import BadInput
from stillwave.profiles.effects import RED_FLAGS

VERSION: Final = 1  # of the wording; a test holds the number and the words together
LOUDEST: Final = 100
ADVERSE: Final = "adverse:"
OTHER: Final = "other:"
# Answers are asked again after a year; where life changes faster, sooner (Condition.asked_again_days).
ASKED_AGAIN_DAYS: Final = 365
# A clearance counts for a year from the clinician's day: bodies and medicines change.
CLEARED_DAYS: Final = 365


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What a condition means for sessions. `block`: no beat at all; else limits, perhaps to be confirmed.

    `clearable`: a clinician may lift the block, down to the limits of a condition we do not know.
    """

    label: str
    hint: str = ""
    block: bool = False
    confirm: bool = False
    low_hz: float = 0.0
    high_hz: float = 50.0
    volume_most: int = LOUDEST
    minutes_most: int = 240
    clearable: bool = False
    asked_again_days: int = ASKED_AGAIN_DAYS


CONDITIONS: Final[dict[str, Condition]] = {
    "epilepsy": Condition(label="Epilepsy", block=True),
    "seizure_history": Condition(label="A seizure, ever", hint="Also a single one, long ago", block=True),
    "recent_head_injury": Condition(
        label="A head injury in the last year", block=True, clearable=True, asked_again_days=180
    ),
    "acute_psychosis": Condition(
        label="Psychosis, now or recently", block=True, clearable=True, asked_again_days=180
    ),
    "under_16": Condition(label="Under 16", block=True),
    "family_epilepsy": Condition(label="Epilepsy in the close family", confirm=True, high_hz=13, minutes_most=15),
    "migraine": Condition(label="Migraine", confirm=True, high_hz=13, volume_most=35),
    "pregnancy": Condition(
        label="Pregnancy", confirm=True, low_hz=4, high_hz=13, volume_most=40, minutes_most=20,
        asked_again_days=90,
    ),
    "pacemaker": Condition(label="A pacemaker", confirm=True, high_hz=30),
    "implanted_stimulator": Condition(
        label="Another implanted stimulator", hint="Such as for the brain or a nerve", confirm=True, high_hz=30
    ),
    "heart_condition": Condition(label="A heart condition", confirm=True, high_hz=13),
    "bipolar": Condition(label="Bipolar disorder", confirm=True, low_hz=4, high_hz=13),
    "ptsd": Condition(label="Post-traumatic stress (PTSD)", confirm=True, low_hz=8, high_hz=13),
    "dissociative_disorder": Condition(label="A dissociative disorder", confirm=True, low_hz=8, high_hz=13),
    "severe_depression": Condition(label="Severe depression", confirm=True, low_hz=8, high_hz=30),
    "tinnitus": Condition(label="Tinnitus", hint="Ringing in the ears", volume_most=30),
    "hyperacusis": Condition(label="Sounds are often painfully loud", hint="Hyperacusis", volume_most=25),
    "hearing_loss": Condition(label="Hearing loss", volume_most=45),
    "age_16_17": Condition(label="16 or 17 years old", volume_most=40, asked_again_days=180),
}
# Somebody's own words, and conditions that a later version knew: careful, without knowing why.
_UNKNOWN: Final = Condition(label="Something else", confirm=True, high_hz=13, volume_most=40)

QUESTIONS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Brain and nerves", ("epilepsy", "seizure_history", "family_epilepsy", "recent_head_injury", "migraine")),
    ("Heart, implants, pregnancy", ("pacemaker", "implanted_stimulator", "heart_condition", "pregnancy")),
    ("Mind", ("acute_psychosis", "bipolar", "ptsd", "dissociative_disorder", "severe_depression")),
    ("Ears", ("tinnitus", "hyperacusis", "hearing_loss")),
)


AGE_GROUPS: Final = (("under_16", "Under 16"), ("16_17", "16 or 17"), ("18_plus", "18 or over"))
# What else a person reads on the form and agrees to.
WORDS: Final[dict[str, str]] = {
    "age": "How old are you?",
    "conditions": "Does any of this apply to you?",
    "other": "Anything else we should be careful about?",
    "none": "None of these apply to me",
    "driving": "I will not listen while driving or using machines",
    "driving_hint": "Sound that helps you unwind can make you drowsy.",
}


class Screening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answers to the safety questions (wording VERSION)."""

    age_group: Literal["under_16", "16_17", "18_plus"]
    agree_not_driving: bool
    conditions: tuple[Annotated[str, msgspec.Meta(max_length=40)], ...] = ()
    none: bool = False
    other: Annotated[str, msgspec.Meta(max_length=1000)] | None = None


class Limits(msgspec.Struct, frozen=True):
    """What all conditions together leave: Hz, volume 0-100, minutes. `blocked`: no beat."""

    blocked: bool
    low_hz: float
    high_hz: float
    volume_most: int
    minutes_most: int
    confirm: tuple[str, ...]
    sentences: tuple[str, ...]


def declared(answers: Screening) -> list[str]:
    """The conditions that follow from the answers. Raises BadInput where they contradict or are incomplete."""
    if not answers.agree_not_driving:
        raise BadInput("agree_not_driving", "must be ticked: listening while driving is dangerous")
    unknown = [key for key in answers.conditions if key not in CONDITIONS or key in ("under_16", "age_16_17")]
    if unknown:
        asked = [key for _, keys in QUESTIONS for key in keys]
        raise BadInput("conditions", "holds something that is not on the list", asked)
    other = (answers.other or "").strip()
    if answers.none and (answers.conditions or other):
        raise BadInput("none", "cannot be ticked together with something that applies")
    if not answers.none and not answers.conditions and not other:
        raise BadInput("none", "must be ticked if nothing applies")
    found = list(dict.fromkeys(answers.conditions))
    if answers.age_group != "18_plus":
        found.append("under_16" if answers.age_group == "under_16" else "age_16_17")
    return found + ([OTHER + other] if other else [])


def limits(conditions: Iterable[str], cleared: Collection[str] = ()) -> Limits:
    """What the conditions leave. Unknown ones are treated with care, `adverse:` ones block.

    What a clinician has `cleared` no longer blocks, if it is clearable, but is treated with the same care.
    """
    low_hz, high_hz, volume, minutes = 0.0, 50.0, LOUDEST, 240
    blocked, confirm, sentences = False, [], []
    for key in conditions:
        known = _meaning(key)
        if known.block and known.clearable and key in cleared:
            known = _cleared(known)
        blocked = blocked or known.block
        low_hz, high_hz = max(low_hz, known.low_hz), min(high_hz, known.high_hz)
        volume, minutes = min(volume, known.volume_most), min(minutes, known.minutes_most)
        sentence = f"{known.label}: {_allowance(known)}."
        sentences.append(sentence)
        if known.confirm:
            confirm.append(sentence)
    return Limits(blocked, low_hz, high_hz, volume, minutes, tuple(confirm), tuple(sentences))


def _meaning(key: str) -> Condition:
    if key.startswith(ADVERSE):
        flag = key.removeprefix(ADVERSE)
        return Condition(
            label=f"You reported {flag.replace('_', ' ')}", block=True, clearable=flag in RED_FLAGS and flag != "seizure"
        )
    return CONDITIONS.get(key, _UNKNOWN)


def _cleared(known: Condition) -> Condition:
    return msgspec.structs.replace(_UNKNOWN, label=f"{known.label}, and you recorded that a clinician cleared it")


def _allowance(known: Condition) -> str:
    if known.block:
        return "background sound only, no rhythmic tones"
    parts = []
    if known.low_hz > 0:
        parts.append(f"{known.low_hz:g} to {known.high_hz:g} Hz")
    elif known.high_hz < 50:
        parts.append(f"at most {known.high_hz:g} Hz")
    if known.volume_most < LOUDEST:
        parts.append(f"volume at most {known.volume_most}")
    if known.minutes_most < 240:
        parts.append(f"at most {known.minutes_most} minutes")
    return ", ".join(parts)


def wording() -> str:
    """Every word a person reads when answering, as one text."""
    groups = [(title, [(CONDITIONS[key].label, CONDITIONS[key].hint) for key in keys]) for title, keys in QUESTIONS]
    return msgspec.json.encode([AGE_GROUPS, groups, WORDS]).decode()


WORDING_SHA256: Final = hashlib.sha256(wording().encode()).hexdigest()


class Answered(msgspec.Struct, frozen=True):
    """When the questions were answered, and in which wording."""

    wording_sha256: str | None
    answered_at: dt.datetime


def asked_again(answered: Answered | None, conditions: Iterable[str], now: dt.datetime) -> str:
    """Why the questions are asked again, in a sentence; empty while the answers count."""
    if answered is None:
        return "The safety questions come before the first session."
    if answered.wording_sha256 != WORDING_SHA256:
        return "The safety questions have changed since you answered them."
    days = min((_meaning(key).asked_again_days for key in conditions), default=ASKED_AGAIN_DAYS)
    if now - answered.answered_at >= dt.timedelta(days=min(days, ASKED_AGAIN_DAYS)):
        return f"Your safety answers are {days} days old or more; what was true then may have changed."
    return ""


def clearable(conditions: Iterable[str]) -> list[str]:
    """The blocks among the conditions that a clinician may lift; never epilepsy, seizures, or being under 16."""
    return [key for key in conditions if _meaning(key).block and _meaning(key).clearable]


def label(key: str) -> str:
    """A condition in plain words."""
    return _meaning(key).label


class Clearance(msgspec.Struct, frozen=True, kw_only=True):
    """A person's record that a clinician cleared one block. `reports`: the feedback that had told of it by then."""

    condition: str
    cleared_on: dt.date
    note: str | None = None
    reports: tuple[str, ...] = ()


def check_clearance(wish: Clearance, conditions: Iterable[str], reported_on: dt.date | None, today: dt.date) -> None:
    """Raises BadInput unless the condition blocks now and the clinician's day is after the report, within a year."""
    open_blocks = clearable(conditions)
    if wish.condition not in open_blocks:
        raise BadInput("condition", "is not something a clinician could clear for you here", open_blocks)
    first = max(today - dt.timedelta(days=CLEARED_DAYS - 1), reported_on or dt.date.min)
    if not first <= wish.cleared_on <= today:
        raise BadInput("cleared_on", "cannot be the day a clinician cleared this", f"a date from {first} to {today}")


def counts(clearance: Clearance, reports: Collection[str], today: dt.date) -> bool:
    """Whether a clearance still lifts its block: within a year, and nothing of the kind was reported since."""
    fresh = today - clearance.cleared_on < dt.timedelta(days=CLEARED_DAYS)
    return fresh and set(reports) <= set(clearance.reports)
