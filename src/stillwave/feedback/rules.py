"""What can be told after a session: the closed list of effects with their words, and how it is stored. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from stillwave.errors import BadInput
from stillwave.profiles.effects import VOCABULARY

Severity = Annotated[int, msgspec.Meta(ge=1, le=3)]

PHYSICAL: Final[dict[str, str]] = {
    "headache": "Headache", "dizziness": "Dizziness", "nausea": "Nausea", "fatigue": "Tiredness",
    "ear_pressure": "Pressure in the ears", "ear_discomfort": "Sore ears", "ringing_ears": "Ringing in the ears",
    "muscle_tension": "Tense muscles", "palpitations": "Racing heart", "visual_disturbance": "Trouble seeing",
    "sleep_trouble": "Trouble sleeping", "warm": "Warm", "rested": "Rested", "sleepy": "Sleepy",
    "muscle_release": "Loose muscles", "less_pain": "Less pain", "slow_breath": "Slow breath",
    "refreshed": "Refreshed", "energised": "Energised",
    "seizure": "Seizure", "fainting": "Fainting", "chest_pain": "Chest pain",
}  # fmt: skip
MENTAL: Final[dict[str, str]] = {
    "anxiety": "Anxiety", "agitation": "Agitation", "irritability": "Irritable", "restlessness": "Restless",
    "confusion": "Confused", "low_mood": "Low mood", "unease": "Unease", "calm": "Calm", "clear": "Clear",
    "relaxed": "Relaxed", "focused": "Focused", "alert": "Alert", "creative": "Creative", "grounded": "Grounded",
    "happy": "Happy", "pleasant": "It was pleasant", "aura": "Aura (flashes, odd smells)",
    "hallucination": "Seeing or hearing things",
}  # fmt: skip


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a session was. `effects` maps keys of the closed list to 1 (mild), 2 (moderate) or 3 (strong)."""

    rating: Annotated[int, msgspec.Meta(ge=1, le=5)]
    effectiveness: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    pace: Literal["too_fast", "right", "too_slow"] = "right"
    level: Literal["too_loud", "right", "too_quiet"] = "right"
    effects: dict[str, Severity] = {}
    feedback_text: Annotated[str, msgspec.Meta(max_length=4000)] | None = None


class Told(msgspec.Struct, frozen=True):
    """An answer as it is stored: the coded effects of body and mind."""

    physical: dict[str, int]
    mental: dict[str, Any]


def coded(answer: Answer) -> Told:
    """Body and mind apart, with pace and level among the mind's. Raises BadInput for an unknown effect."""
    physical: dict[str, int] = {}
    mental: dict[str, Any] = {}
    for key, severity in answer.effects.items():
        if key in PHYSICAL:
            physical[key] = severity
        elif key in MENTAL:
            mental[key] = severity
        else:
            raise BadInput("effects", "holds an effect that is not on the list", sorted({**PHYSICAL, **MENTAL}))
    for signal in (answer.pace, answer.level):
        if signal != "right":
            mental[signal] = True
    return Told(physical, mental)


def choices(words: dict[str, str]) -> list[dict[str, str]]:
    """The effects of one list for a form: key, label and kind (adverse, benefit or red_flag)."""
    return [{"key": key, "label": label, "kind": VOCABULARY[key]} for key, label in words.items()]
