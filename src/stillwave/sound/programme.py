"""What a listening session sounds like, as data: stored with the session row, enough to make the sound again.

This module imports neither numpy nor numba, so that a server which only stores programmes starts at once.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import msgspec

SAMPLE_RATE_HZ = 44_100
ENGINE_VERSION = 1

Ease = Literal["linear", "eased"]
Method = Literal["binaural", "monaural", "isochronic", "am", "steady", "none"]
Bed = Literal[
    "nature",
    "rain",
    "ocean",
    "stream",
    "wind",
    "night",
    "ambient",
    "white_noise",
    "pink_noise",
    "brown_noise",
    "none",
]

EASES: tuple[str, ...] = get_args(Ease)
METHODS: tuple[str, ...] = get_args(Method)
# What each method needs: tones of the programme's own, and a beat to be heard.
WITH_TONES = ("binaural", "monaural", "isochronic", "steady")
WITH_BEAT = ("binaural", "monaural", "isochronic", "am")
BEDS: tuple[str, ...] = get_args(Bed)

LONGEST_S = 12 * 3600.0
MOST_SEGMENTS = 1000
MOST_CUES = 200
CARRIER_RANGE_HZ = (100.0, 1000.0)
CARRIER_RECOMMENDED_HZ = (200.0, 450.0)
BEAT_RANGE_HZ = (0.5, 50.0)
# Above about 30 Hz two ears no longer fuse two tones into one beat (Licklider 1950; Oster 1973).
BINAURAL_BEAT_MOST_HZ = 30.0
# "am" lets the whole bed sink to this share of itself, once each beat: by 6 dB.
AM_LEAST = 0.5
SEED_BELOW = 2**53  # every integer below this survives a JSON number read as a double

# (volume_level, LUFS of the steady part); straight lines between; level 0 is digital silence.
LOUDNESS_CURVE_LUFS: tuple[tuple[float, float], ...] = ((0, -60), (20, -40), (45, -30), (70, -23), (100, -16))


class Segment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch in which carrier and beat move from one frequency to another, or hold.

    `ease` "linear" moves at a constant rate; "eased" starts and ends at rest (smoothstep, 3u^2 - 2u^3).
    """

    seconds: float
    carrier_from_hz: float
    carrier_to_hz: float
    beat_from_hz: float
    beat_to_hz: float
    ease: Ease = "linear"


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something the voice says: which cue (`cues.names`), in which voice, and when it begins."""

    at_s: float
    name: str
    voice: str


class Programme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole sound of one session; `render.block(programme, start, stop)` is a function of this alone.

    `beat_db` and `bed_db` are the loudness of beat and bed beside each other (LU); only their difference is
    heard, since `volume_level` sets the loudness of their sum. `voice_db` is the loudness of the voice above
    that sum. `swap` exchanges left and right of the beat.

    Method "am" has no tones: the bed itself swells and sinks with the beat, in both ears alike. "steady" has the
    carrier alone, in both ears, as loud as the binaural tones: the same sound without its beat, to compare with.
    """

    segments: tuple[Segment, ...]
    method: Method
    bed: Bed
    seed: int
    volume_level: float = 45.0
    beat_db: float = -6.0
    bed_db: float = 0.0
    swap: bool = False
    fade_in_s: float = 6.0
    fade_out_s: float = 10.0
    version: int = ENGINE_VERSION
    cues: tuple[Cue, ...] = ()
    voice_db: float = 3.0

    @property
    def total_samples(self) -> int:
        """Frames in the whole sound: the sum of the segments, rounded once."""
        return segment_edges_samples(self.segments)[-1]

    @property
    def seconds(self) -> float:
        """Length of the whole sound, exact to the sample."""
        return self.total_samples / SAMPLE_RATE_HZ

    @property
    def fade_in_samples(self) -> int:
        """Length of the fade in, never more than a quarter of the whole."""
        return min(round(self.fade_in_s * SAMPLE_RATE_HZ), self.total_samples // 4)

    @property
    def fade_out_samples(self) -> int:
        """Length of the fade out, never more than a quarter of the whole."""
        return min(round(self.fade_out_s * SAMPLE_RATE_HZ), self.total_samples // 4)


def segment_edges_samples(segments: Sequence[Segment]) -> tuple[int, ...]:
    """First sample of each segment and one past the last; sums are rounded, so that no error piles up."""
    edges, total_s = [0], 0.0
    for segment in segments:
        total_s += segment.seconds
        edges.append(round(total_s * SAMPLE_RATE_HZ))
    return tuple(edges)


def target_lufs(volume_level: float) -> float:
    """Integrated loudness that a volume level stands for, in LUFS; minus infinity at 0."""
    if volume_level <= 0:
        return float("-inf")
    for (low, low_lufs), (high, high_lufs) in pairwise(LOUDNESS_CURVE_LUFS):
        if volume_level <= high:
            return low_lufs + (high_lufs - low_lufs) * (volume_level - low) / (high - low)
    return LOUDNESS_CURVE_LUFS[-1][1]


def check(programme: Programme) -> None:
    """Return if the programme can be rendered.

    Raises:
        ValueError: names the field and the values it may have.
    """
    _one_of("method", programme.method, METHODS)
    _one_of("bed", programme.bed, BEDS)
    _within("version", programme.version, 1, ENGINE_VERSION, whole=True)
    _within("seed", programme.seed, 0, SEED_BELOW - 1, whole=True)
    _within("volume_level", programme.volume_level, 0, 100)
    _within("beat_db", programme.beat_db, -40, 12)
    _within("bed_db", programme.bed_db, -40, 12)
    _within("voice_db", programme.voice_db, -20, 12)
    _within("fade_in_s", programme.fade_in_s, 5, 300)
    _within("fade_out_s", programme.fade_out_s, 5, 300)
    if not isinstance(programme.swap, bool):
        msg = f"swap must be true or false, not {programme.swap!r}"
        raise ValueError(msg)  # noqa: TRY004 - the caller maps ValueError alone
    if programme.bed == "none" and programme.method not in WITH_TONES:
        msg = f"bed must not be 'none' when method is '{programme.method}': nothing would be heard"
        raise ValueError(msg)
    _check_segments(programme)
    _check_cues(programme)


def _check_segments(programme: Programme) -> None:
    if not isinstance(programme.segments, tuple) or not 1 <= len(programme.segments) <= MOST_SEGMENTS:
        msg = f"segments must hold 1 to {MOST_SEGMENTS} segments"
        raise ValueError(msg)
    beat_least_hz, beat_most_hz = BEAT_RANGE_HZ
    if programme.method == "binaural":
        beat_most_hz = BINAURAL_BEAT_MOST_HZ
    for place, segment in enumerate(programme.segments):
        field = f"segments[{place}]"
        if not isinstance(segment, Segment):
            msg = f"{field} must be a segment"
            raise ValueError(msg)  # noqa: TRY004 - the caller maps ValueError alone
        _within(f"{field}.seconds", segment.seconds, 0.01, LONGEST_S)
        _within(f"{field}.carrier_from_hz", segment.carrier_from_hz, *CARRIER_RANGE_HZ)
        _within(f"{field}.carrier_to_hz", segment.carrier_to_hz, *CARRIER_RANGE_HZ)
        _within(f"{field}.beat_from_hz", segment.beat_from_hz, beat_least_hz, beat_most_hz)
        _within(f"{field}.beat_to_hz", segment.beat_to_hz, beat_least_hz, beat_most_hz)
        _one_of(f"{field}.ease", segment.ease, EASES)
    total_s = sum(segment.seconds for segment in programme.segments)
    _within("the seconds of all segments together", total_s, 1, LONGEST_S)


def _check_cues(programme: Programme) -> None:
    if not isinstance(programme.cues, tuple) or len(programme.cues) > MOST_CUES:
        msg = f"cues must hold at most {MOST_CUES} cues"
        raise ValueError(msg)
    if not programme.cues:
        return
    from stillwave.sound import cues

    free_from = 0
    for place, cue in enumerate(programme.cues):
        field = f"cues[{place}]"
        if not isinstance(cue, Cue):
            msg = f"{field} must be a cue"
            raise ValueError(msg)  # noqa: TRY004 - the caller maps ValueError alone
        _one_of(f"{field}.voice", cue.voice, cues.voices())
        _one_of(f"{field}.name", cue.name, cues.names(cue.voice))
        longest_s = (programme.total_samples - cues.samples(cue.voice, cue.name)) / SAMPLE_RATE_HZ
        if longest_s < 0:
            msg = f"{field} must be shorter than the sound"
            raise ValueError(msg)
        _within(f"{field}.at_s", cue.at_s, 0, longest_s)
        if cues.start(cue) < free_from:
            msg = f"{field}.at_s must be after the cue before it has ended, at {free_from / SAMPLE_RATE_HZ:.2f}"
            raise ValueError(msg)
        free_from = cues.start(cue) + cues.samples(cue.voice, cue.name)


def _within(field: str, value: object, least: float, most: float, *, whole: bool = False) -> None:
    kinds: tuple[type, ...] = (int,) if whole else (int, float)
    # NaN fails the comparison; an integer too large for a double compares without being converted.
    if type(value) not in kinds or not least <= value <= most:  # type: ignore[operator]
        kind = "a whole number" if whole else "a number"
        msg = f"{field} must be {kind} from {_plain(least)} to {_plain(most)}"
        raise ValueError(msg)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        msg = f"{field} must be one of: {', '.join(allowed)}"
        raise ValueError(msg)
