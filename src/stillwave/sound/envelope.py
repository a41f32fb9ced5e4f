"""How a sound as a whole swells and sinks: the logarithm of its power in short frames, free of any tone.

The mean of logarithms hears every frequency alike, however loud: a tone, a drop or a word fills few of them, while a
bed that sways with a beat sways in all.
"""

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stillwave.sound.noise import Exact
from stillwave.sound.programme import SAMPLE_RATE_HZ

FRAME_SAMPLES, HOP_SAMPLES = 512, 294
RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
# Two octaves each, in bins of 86 Hz: 172-689 Hz, to 2.8 kHz, to 11 kHz, and the rest.
BAND_BINS = (2, 8, 32, 128, FRAME_SAMPLES // 2 + 1)
_LEAST = 1e-13  # below the power of 24-bit dither in a frame (1e-11)


def bands(sound: Exact) -> Exact:
    """Return the mean log power of sound (2, n), both ears together, in each of four bands: (4, frames)."""
    window = np.hanning(FRAME_SAMPLES)
    steps = sliding_window_view(sound, FRAME_SAMPLES, axis=1)[:, ::HOP_SAMPLES]
    left, right = (np.log(np.abs(np.fft.rfft(ear * window, axis=1)) ** 2 + _LEAST) for ear in steps)
    power = (left + right) / 2
    made: Exact = np.array([power[:, low:high].mean(axis=1) for low, high in pairwise(BAND_BINS)])
    return made


def whole(parts: Exact) -> Exact:
    """Return the mean over all frequencies from bands, less its own mean: (frames,)."""
    mean = np.diff(BAND_BINS) @ parts / (BAND_BINS[-1] - BAND_BINS[0])
    level: Exact = mean - mean.mean()
    return level


def centres(frames: int) -> Exact:
    """Return the sample in the middle of each frame."""
    middle: Exact = np.arange(frames, dtype=np.float64) * HOP_SAMPLES + (FRAME_SAMPLES - 1) / 2
    return middle
