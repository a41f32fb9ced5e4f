"""Which cues the voice has and how long each lasts, without loading a sound: `voices/index.json`.

Like `programme`, this imports neither numpy nor soundfile.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

from stillwave.sound.programme import SAMPLE_RATE_HZ, Cue


class Facts(msgspec.Struct, frozen=True):
    """One file of the voice: its length, its highest magnitude (between samples too), and the SHA-256 of the file and of
    the words it says.
    """

    samples: int
    peak: float
    sha256: str
    text_sha256: str


def voices() -> tuple[str, ...]:
    """The voices that are shipped."""
    return tuple(_index())


def names(voice: str) -> tuple[str, ...]:
    """The cues of a voice."""
    return tuple(_index()[voice])


def facts(voice: str, name: str) -> Facts:
    """What is known of a cue's file. Raises KeyError for one that is not shipped."""
    return _index()[voice][name]


def samples(voice: str, name: str) -> int:
    """Frames that a cue lasts. Raises KeyError for one that is not shipped."""
    return facts(voice, name).samples


def start(cue: Cue) -> int:
    """First frame of a cue in the session."""
    return round(cue.at_s * SAMPLE_RATE_HZ)


def folder() -> Traversable:
    """Where `<voice>/<name>.flac` lie."""
    return files("stillwave.sound") / "voices"


@cache
def _index() -> dict[str, dict[str, Facts]]:
    return msgspec.json.decode((folder() / "index.json").read_bytes(), type=dict[str, dict[str, Facts]])
