"""The picture of an analysis as SVG: the spectrum over time, and the beat beneath it.

The spectrum is a PNG within the SVG, written here: a palette, rows of bytes and zlib need no library.
"""

import base64
import math
import struct
import zlib
from html import escape

import numpy as np

from stillwave.sound.analysis import PICTURE_HZ, Analysis
from stillwave.sound.noise import Exact

WIDTH, LEFT, RIGHT = 960, 78, 868
TOP, SPECTRUM_HIGH = 78, 330
BEAT_TOP, BEAT_HIGH = 470, 180
HEIGHT = 706
DEPTH_DB = 80.0
_COLOURS = ((8, 10, 32), (38, 42, 110), (28, 110, 140), (70, 178, 130), (190, 214, 90), (255, 248, 205))
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.t{font-size:17px;font-weight:600}.s{fill:#555}"
    ".e{text-anchor:end}.m{text-anchor:middle}.g{stroke:#ddd;fill:none}.f{stroke:#555;fill:none}"
    ".b{stroke:#0b6e6e;stroke-width:2.2;fill:none}.d{fill:#0b6e6e}.p{stroke:#c2571a;stroke-width:1.4;fill:none;"
    "stroke-dasharray:6 4}"
)
Curve = list[tuple[float, float | None]]


def svg(analysis: Analysis, spectrum_db: Exact, title: str, sentence: str) -> str:
    """Return the picture of an analysis."""
    most_db = math.ceil(float(np.percentile(spectrum_db, 99.9)) / 10) * 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><desc>{escape(sentence)}</desc><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 30, title if len(title) < 90 else title[:88] + "…", "t"),
        _text(LEFT, 52, sentence, "s"),
        _spectrum(spectrum_db, most_db),
        _frequencies(),
        _scale(most_db),
        _times(analysis.seconds, TOP, SPECTRUM_HIGH),
        _beat(analysis),
        _times(analysis.seconds, BEAT_TOP, BEAT_HIGH),
        _text((LEFT + RIGHT) / 2, BEAT_TOP + BEAT_HIGH + 42, f"time, {_unit(analysis.seconds)[1]}", "m"),
        "</svg>",
    ]
    return "".join(parts) + "\n"


def png(pixels: Exact, colours: list[tuple[int, int, int]]) -> bytes:
    """Return a PNG of colour numbers (rows, columns), top row first."""
    rows, columns = pixels.shape
    lines = np.zeros((rows, columns + 1), np.uint8)  # the first byte of each says that it is plain
    lines[:, 1:] = pixels
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(value for colour in colours for value in colour)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _palette() -> list[tuple[int, int, int]]:
    at = np.linspace(0, len(_COLOURS) - 1, 256)
    bands = [np.interp(at, range(len(_COLOURS)), [colour[band] for colour in _COLOURS]) for band in range(3)]
    return [(round(r), round(g), round(b)) for r, g, b in zip(*bands, strict=True)]


def _spectrum(spectrum_db: Exact, most_db: float) -> str:
    shades = np.clip((spectrum_db[::-1] - (most_db - DEPTH_DB)) / DEPTH_DB * 255, 0, 255)
    data = base64.b64encode(png(shades, _palette())).decode()
    place = f'x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{SPECTRUM_HIGH}"'
    return (
        f'<image {place} preserveAspectRatio="none" href="data:image/png;base64,{data}"/><rect {place} class="f"/>'
    )


def _frequencies() -> str:
    low, high = PICTURE_HZ
    made = []
    for hz in (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000):
        y = TOP + SPECTRUM_HIGH * (1 - math.log(hz / low) / math.log(high / low))
        made.append(f'<path class="f" d="M{LEFT - 5} {y:.1f}h5"/>')
        made.append(_text(LEFT - 9, y + 4.5, f"{hz // 1000}k" if hz >= 1000 else str(hz), "e"))
    return "".join(made) + _upright(TOP + SPECTRUM_HIGH / 2, "frequency, Hz")


def _scale(most_db: float) -> str:
    """Draw what the colours mean."""
    stops = "".join(
        f'<stop offset="{place / (len(_COLOURS) - 1)}" stop-color="rgb{colour}"/>' for place, colour in enumerate(_COLOURS)
    )
    made = [
        f'<defs><linearGradient id="c" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient></defs>',
        f'<rect x="{RIGHT + 16}" y="{TOP}" width="14" height="{SPECTRUM_HIGH}" fill="url(#c)" stroke="#555"/>',
        _text(RIGHT + 16, TOP - 8, "dBFS"),
    ]
    for part in range(5):
        y = TOP + SPECTRUM_HIGH * part / 4
        made.append(_text(RIGHT + 36, y + 4.5, f"{most_db - DEPTH_DB * part / 4:.0f}".replace("-", "−")))
    return "".join(made)


def _unit(seconds: float) -> tuple[float, str]:
    return (3600.0, "hours") if seconds >= 3 * 3600 else (60.0, "minutes") if seconds >= 180 else (1.0, "seconds")


def _times(seconds: float, top: int, high: int) -> str:
    unit, made = _unit(seconds)[0], []
    step = _step(seconds / unit, 9)
    for place in range(int(seconds / unit / step) + 1):
        x = LEFT + (RIGHT - LEFT) * place * step * unit / seconds
        made.append(f'<path class="f" d="M{x:.1f} {top + high}v5"/>{_text(x, top + high + 20, f"{place * step:g}", "m")}')
    return "".join(made)


def _beat(analysis: Analysis) -> str:
    found, planned = _curves(analysis)
    frame = f'<rect x="{LEFT}" y="{BEAT_TOP}" width="{RIGHT - LEFT}" height="{BEAT_HIGH}" class="f"/>'
    title = _text(LEFT, BEAT_TOP - 14, "Beat" if found else "Beat: none was heard")
    values = [hz for curve in (*found, *planned) for _, hz in curve if hz is not None]
    if not values:
        return frame + title + _upright(BEAT_TOP + BEAT_HIGH / 2, "beat, Hz")
    if planned:
        title = _text(LEFT, BEAT_TOP - 14, "Beat: line and dots as heard, dashes as planned")
    step = _step(max(max(values) - min(values), 1.0) * 1.1, 5)
    low = math.floor(min(values) / step - 0.1) * step
    high = math.ceil(max(values) / step + 0.1) * step
    low = max(0.0, low)

    def y(hz: float) -> float:
        return BEAT_TOP + BEAT_HIGH * (1 - (hz - low) / (high - low))

    made = [title]
    for place in range(round((high - low) / step) + 1):
        at = y(low + place * step)
        made.append(f'<path class="g" d="M{LEFT} {at:.1f}H{RIGHT}"/>{_text(LEFT - 9, at + 4.5, f"{low + place * step:g}", "e")}')
    seconds = analysis.seconds
    for kind, curves in (("b", found), ("p", planned)):  # dashes lie on the line
        for curve in curves:
            made.append(_line(curve, kind, seconds, y))
            if kind == "b" and len(curve) <= 150:
                made += [
                    f'<circle class="d" cx="{_x(at_s, seconds):.1f}" cy="{y(hz):.1f}" r="2.6"/>' for at_s, hz in curve if hz is not None
                ]
    return "".join(made) + frame + _upright(BEAT_TOP + BEAT_HIGH / 2, "beat, Hz")


def _curves(analysis: Analysis) -> tuple[list[Curve], list[Curve]]:
    """Return beats over time as heard and as planned; where there is a plan, only what it names is shown."""
    if analysis.compared:
        heard: dict[str, Curve] = {}
        planned: dict[str, Curve] = {}
        for one in analysis.compared:
            if one.planned_beat_hz is None:
                continue
            at_s, hz = one.start_s + 5, abs(one.planned_beat_hz)
            sign = 1 if one.planned_beat_hz > 0 else -1
            planned.setdefault(one.part, []).append((at_s, hz))
            error = one.beat_error_hz
            heard.setdefault(one.part, []).append((at_s, None if error is None else hz + sign * error))
        return [curve for curve in heard.values() if any(hz for _, hz in curve)], list(planned.values())
    curve: Curve = [(window.start_s + window.seconds / 2, window.beat_hz) for window in analysis.windows]
    return ([curve] if any(hz is not None for _, hz in curve) else []), []


def _line(curve: Curve, kind: str, seconds: float, y: object) -> str:
    path, before = "", -math.inf
    for at_s, hz in curve:
        if hz is None:
            continue
        path += f"{'L' if at_s - before < 15 else 'M'}{_x(at_s, seconds):.1f} {y(hz):.1f}"  # type: ignore[operator]
        before = at_s
    return f'<path class="{kind}" d="{path}"/>'


def _x(at_s: float, seconds: float) -> float:
    return LEFT + (RIGHT - LEFT) * at_s / seconds


def _step(reach: float, most: int) -> float:
    """Return a round step that divides a reach into at most so many."""
    rough = max(reach, 1e-6) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(part * power for part in (1, 2, 5, 10) if part * power >= rough * 0.999)


def _upright(y: float, text: str) -> str:
    return f'<text class="m" transform="translate(24 {y:.0f}) rotate(-90)">{escape(text)}</text>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
