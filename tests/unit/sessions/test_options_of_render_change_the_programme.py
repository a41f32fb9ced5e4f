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


@pytest.mark.parametrize("fields", [{"method": "nonsense"}, {"carrier_hz": float("nan")}, {"beat_db": 99.0}])
def test_what_the_engine_cannot_render_is_refused(fields):
    with pytest.raises(BadInput):
        actions.adjusted(planned(), **fields)
