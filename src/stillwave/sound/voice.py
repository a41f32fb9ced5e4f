"""The voice by absolute sample index: recorded cues in the middle, over a beat and bed that give way to them.

Works on whole blocks, as `render` does, so that a sample depends on its index alone. Cues are read from the
package once and kept; they are only ever read after that, so any number of threads may share them.
"""

import io
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stillwave.sound import cues, levels
from stillwave.sound.noise import Sound
from stillwave.sound.programme import SAMPLE_RATE_HZ, Cue, Programme

RAMP_SAMPLES = SAMPLE_RATE_HZ // 2
# Cues closer together than this are ducked as one: the bed should not pump between two breaths.
JOINED_SAMPLES = 6 * SAMPLE_RATE_HZ


@lru_cache(maxsize=128)
def sound(voice: str, name: str) -> NDArray[np.float32]:
    """Return a cue as it is stored, (n,) within +-1, read-only; KeyError if it is not shipped."""
    import soundfile

    packed = (cues.folder() / voice / f"{name}.flac").read_bytes()
    spoken, rate_hz = soundfile.read(io.BytesIO(packed), dtype="float32")
    if (rate_hz, spoken.shape) != (SAMPLE_RATE_HZ, (cues.samples(voice, name),)):
        msg = f"the cue {voice}/{name} is not the file its index speaks of"
        raise RuntimeError(msg)
    spoken.setflags(write=False)
    return np.asarray(spoken, np.float32)


def speak(programme: Programme, start: int, mix: Sound) -> None:
    """Turn beat and bed (2, n) from sample `start` on down where the voice speaks, and add it, in place."""
    loud, ducked = levels.voice_gains(programme)
    _duck(programme.cues, start, mix, ducked)
    gain = np.float32(loud)
    for cue in programme.cues:
        first = cues.start(cue)
        end = first + cues.samples(cue.voice, cue.name)
        low, high = max(start, first), min(start + mix.shape[1], end)
        if low < high:
            mix[:, low - start : high - start] += gain * sound(cue.voice, cue.name)[low - first : high - first]


def _duck(said: tuple[Cue, ...], start: int, mix: Sound, ducked: float) -> None:
    for first, end in _stretches(said):
        low, high = max(start, first - RAMP_SAMPLES), min(start + mix.shape[1], end + RAMP_SAMPLES)
        if low >= high:
            continue
        n = np.arange(low, high)
        away = np.maximum(np.maximum(first - n, n - end + 1), 0) / RAMP_SAMPLES
        gain = ducked + (1 - ducked) * (0.5 - 0.5 * np.cos(math.pi * np.minimum(away, 1.0)))
        mix[:, low - start : high - start] *= gain.astype(np.float32)


@lru_cache(maxsize=64)
def _stretches(said: tuple[Cue, ...]) -> tuple[tuple[int, int], ...]:
    """Return [first, end) of each stretch of speech; two of them never share a ramp."""
    joined: list[tuple[int, int]] = []
    for cue in said:
        first = cues.start(cue)
        end = first + cues.samples(cue.voice, cue.name)
        if joined and first - joined[-1][1] <= JOINED_SAMPLES:
            first = joined.pop()[0]
        joined.append((first, end))
    return tuple(joined)
