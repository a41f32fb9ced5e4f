"""`check` refuses what cannot be rendered, and names the field and what it may be."""

import msgspec
import pytest

from stillwave.sound.programme import METHODS, MOST_SEGMENTS, Programme, Segment, check

NAN, INFINITY = float("nan"), float("inf")


def test_a_good_programme_passes(programme):
    for method in METHODS:
        check(programme(method=method))


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("method", "telepathic", "binaural, monaural, isochronic, am, steady, none"),
        ("method", ["binaural"], "binaural, monaural"),
        ("bed", "traffic", "nature, rain, ocean"),
        ("bed", None, "nature"),
        ("seed", -1, "0 to 9007199254740991"),
        ("seed", 2**53, "0 to 9007199254740991"),
        ("seed", 1.5, "a whole number"),
        ("seed", True, "a whole number"),
        ("version", 2, "from 1 to 1"),
        ("volume_level", 101, "0 to 100"),
        ("volume_level", -0.1, "0 to 100"),
        ("volume_level", NAN, "0 to 100"),
        ("volume_level", "45", "a number"),
        ("volume_level", True, "a number"),
        ("beat_db", INFINITY, "-40 to 12"),
        ("bed_db", -INFINITY, "-40 to 12"),
        ("fade_in_s", 1, "5 to 300"),
        ("fade_out_s", 10**400, "5 to 300"),
        ("swap", 1, "true or false"),
        ("segments", (), "1 to 1000 segments"),
        ("segments", "abc", "1 to 1000 segments"),
        ("segments", (1,), "must be a segment"),
    ],
)
def test_a_bad_field_is_named(programme, field, value, allowed):
    with pytest.raises(ValueError, match=field) as refused:
        check(programme(**{field: value}))
    assert allowed in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("seconds", 0, "0.01 to 43200"),
        ("seconds", -1, "0.01 to 43200"),
        ("seconds", NAN, "0.01 to 43200"),
        ("seconds", 86_400, "0.01 to 43200"),
        ("seconds", None, "a number"),
        ("carrier_from_hz", 99.9, "100 to 1000"),
        ("carrier_to_hz", 1000.1, "100 to 1000"),
        ("carrier_to_hz", INFINITY, "100 to 1000"),
        ("beat_from_hz", 0.4, "0.5 to 30"),
        ("beat_to_hz", 30.1, "0.5 to 30"),
        ("beat_to_hz", NAN, "0.5 to 30"),
        ("ease", "bouncy", "linear, eased"),
    ],
)
def test_a_bad_segment_is_named(programme, field, value, allowed):
    good, *_ = programme().segments
    bad = msgspec.structs.replace(good, **{field: value})
    with pytest.raises(ValueError, match=rf"segments\[1\]\.{field}") as refused:
        check(programme(segments=(good, bad)))
    assert allowed in str(refused.value)


def test_isochronic_and_monaural_beats_may_reach_50_hz(programme):
    fast = (Segment(10.0, 200, 200, 40, 50),)
    for method in ("isochronic", "monaural", "am", "steady"):
        check(programme(segments=fast, method=method))
    with pytest.raises(ValueError, match=r"0\.5 to 50"):
        check(programme(segments=(Segment(10.0, 200, 200, 40, 50.5),), method="isochronic"))


def test_the_whole_is_at_most_twelve_hours_and_at_least_a_second(programme):
    six_hours, half_a_day = Segment(6 * 3600.0, 200, 200, 8, 8), Segment(12 * 3600.0, 200, 200, 8, 8)
    check(programme(segments=(six_hours, six_hours)))
    for too_long in ((six_hours, six_hours, Segment(0.01, 200, 200, 8, 8)), (half_a_day, half_a_day)):
        with pytest.raises(ValueError, match="all segments together must be a number from 1 to 43200"):
            check(programme(segments=too_long))
    with pytest.raises(ValueError, match="all segments together"):
        check(programme(segments=(Segment(0.5, 200, 200, 8, 8),)))
    with pytest.raises(ValueError, match="1 to 1000 segments"):
        check(programme(segments=(Segment(1.0, 200, 200, 8, 8),) * (MOST_SEGMENTS + 1)))


@pytest.mark.parametrize("method", ["none", "am"])
def test_nothing_to_hear_is_refused(programme, method):
    with pytest.raises(ValueError, match=f"bed must not be 'none' when method is '{method}'"):
        check(programme(method=method, bed="none"))


@pytest.mark.parametrize(
    "text", ['{"loud": 1}', '{"segments": [], "method": "binaural"}', "[]", '{"seed": NaN}']
)
def test_json_of_another_shape_is_refused(text):
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text, type=Programme)


def test_the_total_is_exact_over_many_segments(programme):
    plan = programme(segments=(Segment(0.1, 200, 200, 8, 8),) * 1000)
    assert plan.total_samples == 4_410_000
    assert plan.seconds == 100.0
    odd = programme(segments=(Segment(1 / 3, 200, 200, 8, 8),) * 300)
    assert odd.total_samples == 4_410_000
