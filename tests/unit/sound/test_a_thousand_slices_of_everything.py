"""Slices equal the whole for a thousand random pairs over all methods, beds, voices, eases, and at both widths."""

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from stillwave.sound import cues, render
from stillwave.sound.programme import BEDS, EASES, METHODS, WITH_TONES, Cue, Programme, Segment, check

PROGRAMMES, SLICES = 250, 4


def any_ease(draw: random.Random) -> Any:
    return draw.choice(EASES)


def any_programme(draw: random.Random) -> Programme:
    method: Any = draw.choice(METHODS)
    bed: Any = draw.choice([bed for bed in BEDS if bed != "none" or method in WITH_TONES])
    moving = [
        Segment(
            seconds=draw.uniform(0.02, 1.6),
            carrier_from_hz=draw.uniform(100, 1000),
            carrier_to_hz=draw.uniform(100, 1000),
            beat_from_hz=draw.uniform(0.5, 30),
            beat_to_hz=draw.uniform(0.5, 30),
            ease=any_ease(draw),
        )
        for _ in range(draw.randint(1, 5))
    ]
    segments = (*moving, Segment(1.5, 200, 210, 8, 6, any_ease(draw)))
    plan = Programme(
        segments, method, bed,
        seed=draw.randrange(2**53), volume_level=draw.choice((0, 20, 45, 70, 100)), beat_db=draw.uniform(-40, 12),
        bed_db=draw.uniform(-40, 12), swap=draw.random() < 0.5, fade_in_s=draw.uniform(5, 300),
    )  # fmt: skip
    voice = draw.choice((None, *cues.voices()))
    if voice is None:
        return plan
    name = draw.choice([name for name in cues.names(voice) if cues.samples(voice, name) < plan.total_samples])
    latest_s = (plan.total_samples - cues.samples(voice, name)) / 44_100
    said = (Cue(draw.uniform(0, latest_s), name, voice),)
    return msgspec.structs.replace(plan, cues=said, voice_db=draw.uniform(-20, 12))


@pytest.mark.parametrize("part", range(5))
def test_slices_equal_the_whole(part):
    draw = random.Random(f"slices {part}")
    met: set[str] = set()
    for _ in range(PROGRAMMES // 5):
        plan = any_programme(draw)
        check(plan)
        met |= {plan.method, plan.bed, *(cue.voice for cue in plan.cues)}
        bits = draw.choice((16, 24))
        whole = render.samples(plan, 0, plan.total_samples, bits)
        exact = render.block(plan, 0, plan.total_samples)
        for _ in range(SLICES):
            start, stop = sorted(draw.sample(range(plan.total_samples + 1), 2))
            assert np.array_equal(render.samples(plan, start, stop, bits), whole[start:stop]), plan
            assert np.array_equal(render.block(plan, start, stop), exact[start:stop]), plan
    assert met >= {*METHODS, *BEDS, *cues.voices()}
