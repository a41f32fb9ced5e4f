"""A night takes no more memory than a minute. Python's own count: what the arrays hold, which is nearly all."""

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from stillwave.sound import measure, phone, render
from stillwave.sound.programme import SAMPLE_RATE_HZ, Programme, Segment

MINUTE = 60 * SAMPLE_RATE_HZ
BUDGET_BYTES = 64 * 2**20


def night(hours: float) -> Programme:
    return Programme((Segment(hours * 3600, 200, 200, 10, 6),), "binaural", "nature", seed=1)


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def sound(plan: Programme, first: int, end: int) -> Iterator[bytes]:
    for start, stop in render.edges(first, end):
        yield render.pcm24(plan, start, stop)


def drained(pieces: Iterator[object]) -> None:
    for _ in pieces:
        pass


def measured(plan: Programme, seconds: int) -> None:
    meter = measure.Meter(plan, plan.total_samples)
    for start, stop in render.edges(0, seconds * SAMPLE_RATE_HZ):
        meter.add(render.samples24(plan, start, stop))


@pytest.mark.parametrize(
    ("name", "minute", "long"),
    [
        ("samples", lambda: drained(sound(night(1 / 60), 0, MINUTE)), lambda: drained(sound(night(8), 475 * MINUTE, 480 * MINUTE))),
        ("opus", lambda: drained(phone.opus(night(1 / 180))), lambda: drained(islice(phone.opus(night(8)), 100))),
        ("measuring", lambda: measured(night(1 / 60), 60), lambda: measured(night(8), 180)),
    ],
)
def test_eight_hours_take_no_more_than_a_minute(name, minute, long):
    minute()  # what is made once and kept is no cost of length
    short_bytes, long_bytes = peak(minute), peak(long)
    assert short_bytes < BUDGET_BYTES, name
    assert long_bytes < BUDGET_BYTES, name
    assert long_bytes < 1.1 * short_bytes + 2**20, name
