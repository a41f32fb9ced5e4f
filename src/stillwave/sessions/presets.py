"""Ready sessions by name: what `stillwave presets` lists and `stillwave render --preset` renders. Pure data."""

from __future__ import annotations

import msgspec

from stillwave.errors import BadInput
from stillwave.profiles.rules import Kind
from stillwave.sound.programme import Bed, Method


class Preset(msgspec.Struct, frozen=True):
    """A wish with a name; the planner makes the session of it. `method` None leaves the choice to the planner."""

    name: str
    about: str
    initial: str
    target: str
    minutes: int
    background: Bed
    method: Method | None = None
    kind: Kind = "custom"


PRESETS = (
    Preset("wind-down-20", "Put the day away", "alert_focus", "evening_wind_down", 20, "ocean", kind="evening"),
    Preset("sleep-45", "Drift off, with no way back up", "evening_wind_down", "sleep", 45, "rain", kind="evening"),
    Preset("power-nap-20", "Let go of everything for a while", "calm_focus", "deep_relaxation", 20, "brown_noise"),
    Preset("meditation-20", "Quiet and inward", "calm_focus", "meditation", 20, "ambient"),
    Preset("creative-25", "Loose and open", "calm_focus", "creativity", 25, "nature"),
    Preset("deep-focus-45", "Steady, without strain", "unsure", "calm_focus", 45, "pink_noise"),
    Preset("alert-25", "Awake and on task", "calm_focus", "alert_focus", 25, "white_noise"),
    Preset("morning-15", "Gently into the day", "deep_relaxation", "morning_wake", 15, "nature", kind="morning"),
    Preset("speaker-focus-30", "Pulses that need no headphones", "unsure", "calm_focus", 30, "rain", "isochronic"),
)  # fmt: skip


def by_name(name: str) -> Preset:
    """The preset of that name. Raises BadInput."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise BadInput("--preset", "is not one of the presets", [preset.name for preset in PRESETS])
