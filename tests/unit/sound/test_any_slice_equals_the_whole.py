"""A sample depends on the programme and its index, never on where the slice that holds it begins or ends."""

import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.sound import encode, render
from stillwave.sound.noise import BLOCK_SAMPLES
from stillwave.sound.programme import BEDS, METHODS, Programme, Segment


def test_a_hundred_random_slices_of_twenty_minutes(programme):
    plan = programme(1200.0)
    whole = b"".join(render.pcm24(plan, *edge) for edge in render.edges(0, plan.total_samples))
    assert len(whole) == 1200 * 44_100 * 6
    draw = random.Random(20)
    for _ in range(100):
        start = draw.randrange(plan.total_samples)
        stop = min(plan.total_samples, start + draw.choice((1, 2, 441, 12_345, 44_100, 100_000)))
        assert render.pcm24(plan, start, stop) == whole[start * 6 : stop * 6]


@pytest.mark.parametrize(
    ("method", "bed"), [pair for pair in product(METHODS, BEDS) if pair not in (("none", "none"), ("am", "none"))]
)
def test_random_slices_of_every_method_and_bed(programme, method, bed):
    plan = programme(3.0, method=method, bed=bed)
    whole = render.block(plan, 0, plan.total_samples)
    samples = render.samples24(plan, 0, plan.total_samples)
    draw = random.Random(f"{method}{bed}")
    for _ in range(3):
        start, stop = sorted(draw.sample(range(plan.total_samples + 1), 2))
        assert np.array_equal(render.block(plan, start, stop), whole[start:stop])
        assert np.array_equal(render.samples24(plan, start, stop), samples[start:stop])
    assert np.isfinite(whole).all()
    assert np.abs(whole).max() > 0.001


frequencies = st.floats(0.5, 30)
carriers = st.floats(100, 1000)
segments = st.builds(
    Segment,
    seconds=st.floats(0.4, 1.5),
    carrier_from_hz=carriers,
    carrier_to_hz=carriers,
    beat_from_hz=frequencies,
    beat_to_hz=frequencies,
    ease=st.sampled_from(("linear", "eased")),
)
programmes = st.builds(
    Programme,
    segments=st.lists(segments, min_size=3, max_size=5).map(tuple),
    method=st.sampled_from(("binaural", "monaural", "isochronic")),
    bed=st.sampled_from(BEDS),
    seed=st.integers(0, 2**53 - 1),
    volume_level=st.integers(0, 100),
    swap=st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(plan=programmes, data=st.data())
def test_any_byte_range_of_any_programme(plan, data):
    whole = encode.wav_header(plan) + render.pcm24(plan, 0, plan.total_samples)
    assert len(whole) == encode.wav_size(plan)
    first, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    assert b"".join(encode.wav_range(plan, first, end)) == whole[first:end]


def test_slices_that_touch_block_edges(programme):
    plan = programme(4.0, bed="ambient")
    whole = render.block(plan, 0, plan.total_samples)
    for start, stop in (
        (0, 0),
        (0, 1),
        (BLOCK_SAMPLES, BLOCK_SAMPLES),
        (BLOCK_SAMPLES - 1, BLOCK_SAMPLES + 1),
        (BLOCK_SAMPLES, 2 * BLOCK_SAMPLES),
        (plan.total_samples - 1, plan.total_samples),
    ):
        assert np.array_equal(render.block(plan, start, stop), whole[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 10**9)])
def test_a_slice_outside_the_sound_is_refused(programme, start, stop):
    with pytest.raises(ValueError, match="start and stop must be within"):
        render.block(programme(2.0), start, stop)
    with pytest.raises(ValueError, match="first_byte and end_byte must be within"):
        encode.wav_range(programme(2.0), start, stop)


def test_threads_hear_the_same_sound(programme):
    plan = programme(30.0, bed="nature")
    edges = list(render.edges(0, plan.total_samples))
    alone = [render.pcm24(plan, *edge) for edge in edges]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda edge: render.pcm24(plan, *edge), edges)) == alone


def test_a_programme_from_its_json_sounds_the_same(programme):
    plan = programme(3.0, seed=2**53 - 1)
    again = msgspec.json.decode(msgspec.json.encode(plan), type=Programme)
    assert again == plan
    assert render.pcm24(again, 0, plan.total_samples) == render.pcm24(plan, 0, plan.total_samples)


def test_another_seed_is_another_noise(programme):
    one, other = (
        hashlib.sha256(render.pcm24(programme(2.0, seed=seed), 0, 88_200)).digest() for seed in (1, 2)
    )
    assert one != other


@pytest.mark.parametrize(
    ("method", "bed", "digest"),
    [
        ("binaural", "pink_noise", "b7ae45308a1920ec"),
        ("monaural", "brown_noise", "73b20e4bc2e320ea"),
        ("isochronic", "white_noise", "e360e3404fa37e35"),
        ("none", "pink_noise", "637aecf736ee461e"),
        ("am", "pink_noise", "01e55d76c577e6f3"),
        ("steady", "none", "7356f7410867b5f8"),
    ],
)
def test_sounds_of_version_1_stay_what_they_were(method, bed, digest):
    """A stored session sounds the same for ever; what changes it needs another version of the engine, beside this one."""
    path = (Segment(3, 220, 200, 10, 6), Segment(3, 200, 210, 6, 9, "eased"))
    plan = Programme(path, method, bed, seed=77, volume_level=70.0, version=1)
    assert hashlib.sha256(render.pcm24(plan, 0, plan.total_samples)).hexdigest()[:16] == digest
