"""What the command line may change about a programme, and what it may not."""

import pytest

from stillwave.errors import BadInput
from stillwave.sessions import actions


def planned():
    return actions.unlearned("unsure", "calm_focus", 5, "pink_noise", headphones=True, volume=45, seed=1)[0]


def test_given_options_replace_fields_and_the_others_stay():
    changed = actions.adjusted(planned(), carrier_hz=250.0, method="isochronic", beat_db=0.0, swap=None)
    assert {segment.carrier_to_hz for segment in changed.segments} == {250.0}
    assert (changed.method, changed.beat_db, changed.swap) == ("isochronic", 0.0, False)
    assert actions.adjusted(planned()) == planned()


def test_a_night_is_the_longest_plan_held_for_longer():
    night, plan = (
        actions.unlearned("unsure", "calm_focus", minutes, "rain", headphones=True, volume=45, seed=1)[0]
        for minutes in (720, 240)
    )
    assert (night.seconds, plan.seconds) == (12 * 3600, 4 * 3600)
    assert night.segments[0] == plan.segments[0]
    assert night.segments[1].seconds == plan.segments[1].seconds + 8 * 3600


@pytest.mark.parametrize("fields", [{"method": "nonsense"}, {"carrier_hz": float("nan")}, {"beat_db": 99.0}])
def test_what_the_engine_cannot_render_is_refused(fields):
    with pytest.raises(BadInput):
        actions.adjusted(planned(), **fields)
