"""Every preset is a session that the planner makes and the engine renders."""

import pytest

from stillwave.errors import BadInput
from stillwave.sessions import actions
from stillwave.sessions.presets import PRESETS, by_name


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_can_be_planned(preset):
    programme, reason = actions.unlearned(
        preset.initial, preset.target, preset.minutes, preset.background, headphones=True, volume=45, seed=1,
        kind=preset.kind,
    )  # fmt: skip
    programme = actions.adjusted(programme, method=preset.method)
    assert programme.seconds == preset.minutes * 60
    assert programme.bed == preset.background
    assert programme.method == (preset.method or "binaural")
    assert reason
    assert by_name(preset.name) is preset


def test_names_are_unique_and_an_unknown_one_is_refused_with_the_list():
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)
    with pytest.raises(BadInput) as caught:
        by_name("nonsense")
    assert caught.value.extra["errors"][0]["allowed"] == [preset.name for preset in PRESETS]  # type: ignore[index]
