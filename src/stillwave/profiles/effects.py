"""The effects a listener may report: a closed vocabulary, and how much each one counts.

The vocabulary is the table `effect_vocabulary` in both databases. A key outside it counts as adverse:
the careful reading of a word we do not know.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

Kind = Literal["adverse", "benefit", "pace", "level", "red_flag", "note"]
Effects = Mapping[str, Any] | list[Any] | str | float | None

ADVERSE = (
    "agitation", "anxiety", "confusion", "dizziness", "ear_discomfort", "ear_pressure", "fatigue", "headache",
    "irritability", "low_mood", "muscle_tension", "nausea", "palpitations", "restlessness", "ringing_ears",
    "sleep_trouble", "unease", "visual_disturbance",
)  # fmt: skip
BENEFITS = (
    "alert", "calm", "clear", "creative", "energised", "focused", "grounded", "happy", "less_pain",
    "muscle_release", "pleasant", "refreshed", "relaxed", "rested", "sleepy", "slow_breath", "warm",
)  # fmt: skip
PACE = ("too_fast", "too_slow")
LEVEL = ("too_loud", "too_quiet")
# Signs that ask for a doctor, not for a lower dose: they block the beat until they are explicitly cleared.
RED_FLAGS = ("aura", "chest_pain", "fainting", "hallucination", "seizure")
# Sealed free text, opaque to the database.
NOTES = ("note",)

VOCABULARY: dict[str, Kind] = {
    **dict.fromkeys(ADVERSE, "adverse"),
    **dict.fromkeys(BENEFITS, "benefit"),
    **dict.fromkeys(PACE, "pace"),
    **dict.fromkeys(LEVEL, "level"),
    **dict.fromkeys(RED_FLAGS, "red_flag"),
    **dict.fromkeys(NOTES, "note"),
}

SEVEREST = 3.0
# Smaller numbers count as none, so that no engine has to hold a number it cannot represent.
FAINTEST = 0.01
WORDS = {"none": 0.0, "mild": 1.0, "moderate": 2.0, "severe": 3.0}


def severity(value: object) -> float:
    """How strong a reported effect is, 0 (none) to 3 (severe).

    A number is cut to 0-3; `none`, `mild`, `moderate`, `severe` are 0-3; false and null are 0; true and
    anything else (an unknown word, a nested value) is 1, for something was reported.
    """
    if value is None or value is False:
        return 0.0
    if isinstance(value, int | float) and value is not True:
        return 0.0 if value < FAINTEST else float(min(SEVEREST, value))
    return WORDS.get(value, 1.0) if isinstance(value, str) else 1.0


def reported(*effects: Effects) -> Iterator[tuple[str, Kind, float]]:
    """Each effect as (key, kind, severity). In a list every key counts as true; a scalar says nothing."""
    for part in effects:
        listed = part if isinstance(part, list) else []
        pairs = part if isinstance(part, Mapping) else {key: True for key in listed if isinstance(key, str)}
        for key, value in pairs.items():
            yield key, VOCABULARY.get(key, "adverse"), severity(value)


def red_flags(*effects: Effects) -> tuple[str, ...]:
    """The red-flag keys reported with any severity, sorted."""
    return tuple(sorted({key for key, kind, grade in reported(*effects) if kind == "red_flag" and grade > 0}))
