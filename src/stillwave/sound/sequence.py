"""Several sounds at once, each moving in straight lines between points: what a SBaGen sequence file describes.

As `programme`, this module is data alone and imports neither numpy nor numba; `layers` makes the sound.
"""

from typing import Literal, get_args

import msgspec

from stillwave.sound.programme import ENGINE_VERSION, SAMPLE_RATE_HZ, SEED_BELOW, Programme

Kind = Literal["binaural", "isochronic", "pink", "white", "brown", "spin_pink", "spin_white", "spin_brown", "bell"]
KINDS: tuple[str, ...] = get_args(Kind)

SHORTEST_S, LONGEST_S = 1.0, 12 * 3600.0
MOST_LAYERS = 64
MOST_NODES = 200_000
CARRIER_RANGE_HZ = (10.0, 16_000.0)
BEAT_MOST_HZ = 100.0
SPIN_WIDTH_MOST_US = 1_000.0


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a layer is at a moment. For a spin, `carrier_hz` is the width in microseconds and `beat_hz` its rate.

    A negative beat gives the higher tone to the right ear, as in SBaGen. `amplitude` 1 is a sine of full scale.
    """

    at_s: float
    carrier_hz: float
    beat_hz: float
    amplitude: float


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """One sound from beginning to end; straight lines between nodes, a jump where two have one time.

    The nodes of a bell are its strokes.
    """

    kind: Kind
    nodes: tuple[Node, ...]


class Sequence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """A whole sound made of layers. The layers keep their loudness beside each other, `volume_level` sets the whole."""

    layers: tuple[Layer, ...]
    seconds: float
    seed: int
    volume_level: float = 45.0
    swap: bool = False
    fade_in_s: float = 1.0
    fade_out_s: float = 3.0
    version: int = ENGINE_VERSION

    @property
    def total_samples(self) -> int:
        """Frames in the whole sound."""
        return round(self.seconds * SAMPLE_RATE_HZ)

    @property
    def fade_in_samples(self) -> int:
        """Length of the fade in, never more than a quarter of the whole."""
        return min(round(self.fade_in_s * SAMPLE_RATE_HZ), self.total_samples // 4)

    @property
    def fade_out_samples(self) -> int:
        """Length of the fade out, never more than a quarter of the whole."""
        return min(round(self.fade_out_s * SAMPLE_RATE_HZ), self.total_samples // 4)


Audible = Programme | Sequence


def check(sequence: Sequence) -> None:
    """Return if the sequence can be rendered.

    Raises:
        ValueError: names the field and the values it may have.
    """
    _within("seconds", sequence.seconds, SHORTEST_S, LONGEST_S)
    _within("seed", sequence.seed, 0, SEED_BELOW - 1)
    _within("volume_level", sequence.volume_level, 0, 100)
    _within("fade_in_s", sequence.fade_in_s, 0, 300)
    _within("fade_out_s", sequence.fade_out_s, 0, 300)
    _within("version", sequence.version, 1, ENGINE_VERSION)
    _within("the number of layers", len(sequence.layers), 1, MOST_LAYERS)
    _within("the number of nodes", sum(len(layer.nodes) for layer in sequence.layers), 1, MOST_NODES)
    for place, layer in enumerate(sequence.layers):
        _check_layer(f"layers[{place}]", layer, sequence.seconds)


def _check_layer(field: str, layer: Layer, seconds: float) -> None:
    if layer.kind not in KINDS:
        msg = f"{field}.kind must be one of: {', '.join(KINDS)}"
        raise ValueError(msg)
    before_s = 0.0
    for node in layer.nodes:
        _within(f"{field}.at_s", node.at_s, before_s, seconds)
        before_s = node.at_s
        _within(f"{field}.amplitude", node.amplitude, 0, 1)
        if layer.kind in ("binaural", "isochronic", "bell"):
            apart = node.beat_hz / 2 if layer.kind == "binaural" else 0.0
            _within(f"{field}.carrier_hz", node.carrier_hz - abs(apart), *CARRIER_RANGE_HZ)
            _within(f"{field}.carrier_hz", node.carrier_hz + abs(apart), *CARRIER_RANGE_HZ)
        elif layer.kind.startswith("spin"):
            _within(f"{field}.carrier_hz", node.carrier_hz, 0, SPIN_WIDTH_MOST_US)
        most = 2 * CARRIER_RANGE_HZ[1] if layer.kind == "binaural" else BEAT_MOST_HZ
        _within(f"{field}.beat_hz", node.beat_hz, -most, most)
    if layer.kind != "bell" and (len(layer.nodes) < 2 or layer.nodes[0].at_s or layer.nodes[-1].at_s != seconds):
        msg = f"{field}.nodes must reach from 0 to the end"
        raise ValueError(msg)


def _within(field: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN fails as well
        msg = f"{field} must be a number from {least:g} to {most:g}"
        raise ValueError(msg)
