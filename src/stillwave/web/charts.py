"""Charts as SVG text: no clock, no files, no colours of their own.

Colour, stroke and type come from classes in `static/app.css`, so a chart follows the dark and light scheme and needs no
inline style. Each picture has a twin `*_table` with the same numbers for those who would rather read them. Geometry is
drawn in units that are about one CSS pixel wide on a phone (390 px), so that 12-unit text stays readable there.
"""

from __future__ import annotations

import zlib
from datetime import date, timedelta
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Point = tuple[float, float]

WIDTH = 340.0
LEFT, RIGHT = 30.0, 332.0
CREDIBLE_SD = 1.645  # 90 % of a normal distribution lies within this many standard deviations
SMOOTH_ENTRIES = 14  # two weeks: with fewer, a weekly mean hides more than it shows
SERIES_STYLES = 3  # line styles that app.css tells apart without colour
HEAT_STEPS = 4
MAX_TICKS = 6
MINUTE_S = 60
WEEK_DAYS = 7
MONTH_LABEL_WEEKS = 3  # columns that a month's name needs at 12-unit text


def response_curve(
    grid_hz: Sequence[float],
    mean: Sequence[float],
    sd: Sequence[float],
    *,
    best_hz: float | None,
    low_hz: float | None,
    high_hz: float | None,
    label: str,
) -> str:
    """Draw the expected rating over frequency with its 90 % band.

    `grid_hz` ascending in Hz; `mean` and `sd` in rating units 0 (liked least) to 1 (liked most), all of one length.
    `best_hz`, `low_hz`, `high_hz` in Hz mark the preferred range, or are None before any rating.
    """
    height, top, bottom = 204.0, 30.0, 164.0
    title = f"{label}: how you rate each frequency"
    if not grid_hz:
        return _empty(title, "Nothing to draw yet")
    x = _scale(grid_hz[0], grid_hz[-1], LEFT, RIGHT)
    y = _scale(0.0, 1.0, bottom, top)
    upper = [(x(f), y(min(1.0, m + CREDIBLE_SD * s))) for f, m, s in zip(grid_hz, mean, sd, strict=True)]
    lower = [(x(f), y(max(0.0, m - CREDIBLE_SD * s))) for f, m, s in zip(grid_hz, mean, sd, strict=True)]
    middle = [(x(f), y(m)) for f, m in zip(grid_hz, mean, strict=True)]
    parts = [_rule(LEFT, RIGHT, y(v)) for v in (0.0, 0.5, 1.0)]
    parts += [_text(LEFT - 6, y(v) + 4, word, "end") for v, word in ((0.0, "1"), (0.5, "3"), (1.0, "5"))]
    if len(middle) > 1:
        back = _curve(lower[::-1])
        parts.append(f'<path class="band" d="{_curve(upper)}L{back[1:]}Z"/><path class="line" d="{_curve(middle)}"/>')
    else:
        (cx, cy), (_, above), (_, below) = middle[0], upper[0], lower[0]
        parts.append(f'<path class="rule" d="M{_n(cx)} {_n(above)}V{_n(below)}"/><circle class="spot" cx="{_n(cx)}" cy="{_n(cy)}" r="5"/>')
    marked = _sentence_best(best_hz, low_hz, high_hz)
    if low_hz is not None and high_hz is not None:
        parts.append(f'<path class="pref" d="M{_n(x(low_hz))} {_n(bottom)}H{_n(x(high_hz))}"/>')
    if best_hz is not None:
        at = x(best_hz)
        cy = y(_between(grid_hz, mean, best_hz))
        parts.append(f'<path class="best" d="M{_n(at)} {_n(bottom)}V{_n(cy)}"/><circle class="spot" cx="{_n(at)}" cy="{_n(cy)}" r="5.5"/>')
    parts += [_text(x(f), bottom + 18, _hz(f), _anchor(x(f))) for f in _ticks(grid_hz[0], grid_hz[-1])]
    parts.append(_text((LEFT + RIGHT) / 2, bottom + 36, "frequency, Hz", "middle"))
    parts.append(_text(LEFT - 24, top - 16, "rating we expect", "start"))
    desc = f"Expected rating from 1 to 5 over {_hz(grid_hz[0])} to {_hz(grid_hz[-1])} Hz, with the range we are 90 % sure of. {marked}"
    return _svg("curve", height, title, desc, parts)


def response_curve_table(grid_hz: Sequence[float], mean: Sequence[float], sd: Sequence[float], *, label: str) -> str:
    """Give the numbers of `response_curve` as a table, ratings on the 1 to 5 scale."""
    rows = [
        (_hz(f), _rating(m), f"{_rating(max(0.0, m - CREDIBLE_SD * s))} to {_rating(min(1.0, m + CREDIBLE_SD * s))}")
        for f, m, s in zip(grid_hz, mean, sd, strict=True)
    ]
    return table(f"{label}: expected rating, 1 to 5", ("Hz", "Rating", "90 % sure"), rows)


def frequency_path(points: Sequence[tuple[float, float]], *, label: str) -> str:
    """Draw how the beat moves during a session: `points` are (seconds from the start, Hz), seconds ascending."""
    height, top, bottom = 192.0, 30.0, 152.0
    title = f"{label}: frequency over time"
    if not points:
        return _empty(title, "No rhythmic tones in this session")
    end_s = max(points[-1][0], 1.0)
    most_hz = max(hz for _, hz in points)
    ticks_hz = _ticks(0.0, max(most_hz * 1.1, 4.0), at_most=5)
    x = _scale(0.0, end_s, LEFT, RIGHT)
    y = _scale(0.0, max(ticks_hz[-1], most_hz), bottom, top)
    drawn = [(x(s), y(hz)) for s, hz in points]
    if len(drawn) == 1:
        drawn.append((RIGHT, drawn[0][1]))
    parts = [_rule(LEFT, RIGHT, y(hz)) + _text(LEFT - 6, y(hz) + 4, _hz(hz), "end") for hz in ticks_hz]
    line = _straight(drawn)
    parts.append(f'<path class="under" d="{line}V{_n(bottom)}H{_n(drawn[0][0])}Z"/><path class="line" d="{line}"/>')
    parts += [_text(x(m * 60), bottom + 18, _hz(m), _anchor(x(m * 60))) for m in _ticks(0.0, end_s / 60)]
    parts.append(_text((LEFT + RIGHT) / 2, bottom + 36, "minutes", "middle"))
    parts.append(_text(LEFT - 24, top - 16, "Hz", "start"))
    desc = f"Starts at {_hz(points[0][1])} Hz and ends at {_hz(points[-1][1])} Hz after {_minutes(points[-1][0])}."
    return _svg("path", height, title, desc, parts)


def frequency_path_table(points: Sequence[tuple[float, float]], *, label: str) -> str:
    """Give the corners of `frequency_path` as a table."""
    return table(f"{label}: frequency over time", ("Time", "Hz"), [(_clock(s), _hz(hz)) for s, hz in points])


def trends(days: Sequence[date], series: Mapping[str, Sequence[float | None]], *, label: str) -> str:
    """Draw up to three series of scores 1 to 10, one value (or None for no entry) per day; `days` ascending.

    Each entry is a dot. The line joins them; from `SMOOTH_ENTRIES` on it is the mean of the week around each entry.
    Raises ValueError for more series than can be told apart, or a series of another length than `days`.
    """
    if len(series) > SERIES_STYLES:
        raise ValueError(f"at most {SERIES_STYLES} series can be told apart, got {len(series)}")
    height, top, bottom = 208.0, 38.0, 178.0
    if not any(v is not None for values in series.values() for v in values):
        return _empty(label, "Your entries will be drawn here")
    span_days = max((days[-1] - days[0]).days, 1)
    x = _scale(0.0, float(span_days), LEFT + 4, RIGHT - 4)
    y = _scale(1.0, 10.0, bottom, top)
    parts = [_rule(LEFT, RIGHT, y(v)) + _text(LEFT - 6, y(v) + 4, str(int(v)), "end") for v in (1.0, 4.0, 7.0, 10.0)]
    for i, (name, values) in enumerate(series.items(), start=1):
        drawn = [(x((d - days[0]).days), y(v)) for d, v in zip(days, values, strict=True) if v is not None]
        smooth = len(drawn) >= SMOOTH_ENTRIES
        if len(drawn) > 1:
            half_week = x(3.5) - x(0.0)
            parts.append(f'<path class="s{i}" d="{_straight(_means(drawn, half_week) if smooth else drawn)}"/>')
        radius, faint = (2.0, " faint") if smooth else (3.0, "")
        parts.append("".join(f'<circle class="d{i}{faint}" cx="{_n(cx)}" cy="{_n(cy)}" r="{_n(radius)}"/>' for cx, cy in drawn))
        key = LEFT + (i - 1) * 104
        parts.append(f'<path class="s{i}" d="M{_n(key)} 12h20"/>' + _text(key + 26, 16, name, "start"))
    marks = [days[0]] if len(days) == 1 else [days[0], days[0] + timedelta(days=span_days // 2), days[-1]]
    parts += [_text(x((d - days[0]).days), bottom + 20, _day(d), _anchor(x((d - days[0]).days))) for d in dict.fromkeys(marks)]
    desc = f"{_day(days[0])} to {_day(days[-1])}. " + " ".join(_sentence_series(n, v) for n, v in series.items())
    return _svg("trend", height, label, desc, parts)


def trends_table(days: Sequence[date], series: Mapping[str, Sequence[float | None]], *, label: str) -> str:
    """Give the entries of `trends` as a table, newest day first, a dash where there is none."""
    columns = [list(values) for values in series.values()]
    rows = [(day.isoformat(), *("–" if column[i] is None else _hz(column[i] or 0.0) for column in columns)) for i, day in enumerate(days)]
    return table(label, ("Day", *series), rows[::-1])


def heat_map(counts: Mapping[date, int], *, today: date, weeks: int = 26) -> str:
    """Draw sessions per day for the last `weeks` weeks, Monday on top, the week of `today` last; days ahead are left out."""
    left, top, pitch = 30.0, 20.0, (RIGHT - 30.0) / max(weeks, 1)
    first = _monday(today) - timedelta(weeks=weeks - 1)
    side = pitch - 4.5  # the stroke of app.css rounds the corners and adds 2.5
    squares: dict[int, list[str]] = {}
    for day in _days(first, today):
        column, row = divmod((day - first).days, 7)
        squares.setdefault(min(max(counts.get(day, 0), 0), HEAT_STEPS), []).append(
            f"M{_n(left + column * pitch + 2)} {_n(top + row * pitch + 2)}h{_n(side)}v{_n(side)}h-{_n(side)}z"
        )
    parts = [f'<path class="h{step}" d="{"".join(d)}"/>' for step, d in sorted(squares.items())]
    parts += [_text(left - 6, top + row * pitch + pitch * 0.5 + 4, word, "end") for row, word in ((0, "Mon"), (3, "Thu"), (6, "Sun"))]
    parts += [_text(left + column * pitch, top - 8, word, "start") for column, word in _months(first, weeks)]
    below = top + 7 * pitch + 18
    parts.append(_text(RIGHT - 5 * 14 - 40, below, "none", "end") + _text(RIGHT, below, "4+", "end"))
    parts += [f'<path class="h{step}" d="M{_n(RIGHT - 32 - (HEAT_STEPS + 1 - step) * 14 + 4)} {_n(below - 8)}h7v7h-7z"/>' for step in range(HEAT_STEPS + 1)]
    shown = {d: n for d, n in counts.items() if first <= d <= today and n > 0}
    desc = f"{_count(sum(shown.values()), 'session')} on {_count(len(shown), 'day')} in the last {_count(weeks, 'week')}."
    return _svg("heat", below + 6, "Sessions per day", desc, parts)


def heat_map_table(counts: Mapping[date, int], *, today: date, weeks: int = 26) -> str:
    """Give `heat_map` as a table of weeks with a session, newest first."""
    first = _monday(today) - timedelta(weeks=weeks - 1)
    rows = []
    for week in range(weeks - 1, -1, -1):
        monday = first + timedelta(weeks=week)
        days = [n for i in range(7) if (n := counts.get(monday + timedelta(days=i), 0)) > 0]
        if days:
            rows.append((monday.isoformat(), str(sum(days)), str(len(days))))
    return table("Sessions per week", ("Week of", "Sessions", "Days"), rows)


def bars(values: Mapping[str, tuple[float, int]], *, label: str, most: float) -> str:
    """Draw a mean from 0 to `most` for each name as a bar, in the given order, with how many it is the mean of."""
    if not values:
        return _empty(label, "Your ratings will be drawn here")
    pitch, top = 40.0, 8.0
    parts = []
    for i, (name, (mean, count)) in enumerate(values.items()):
        y = top + i * pitch
        end = _scale(0.0, most, 0.0, WIDTH - 34)(mean)
        parts.append(_text(0, y + 11, name, "start") + _text(WIDTH, y + 11, _count(count, "rating"), "end"))
        parts.append(f'<path class="track" d="M4 {_n(y + 23)}H{_n(WIDTH - 34)}"/><path class="mean" d="M4 {_n(y + 23)}H{_n(max(end, 4.1))}"/>')
        parts.append(f'<text class="strong" x="{_n(WIDTH)}" y="{_n(y + 27)}" text-anchor="end">{mean:.1f}</text>')
    desc = "Means out of " + _hz(most) + ": " + ", ".join(f"{name} {mean:.1f} from {_count(count, 'rating')}" for name, (mean, count) in values.items()) + "."
    return _svg("bars", top + len(values) * pitch, label, desc, parts)


def bars_table(values: Mapping[str, tuple[float, int]], *, label: str, head: Sequence[str]) -> str:
    """Give `bars` as a table."""
    return table(label, head, [(name, f"{mean:.1f}", str(count)) for name, (mean, count) in values.items()])


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give a folded, scrollable HTML table; the first cell of each row is its heading. Empty without rows."""
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>" for row in rows
    )
    return (
        '<details class="data"><summary>The same as numbers</summary>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


# ---- words


def _sentence_best(best_hz: float | None, low_hz: float | None, high_hz: float | None) -> str:
    if best_hz is None:
        return "Nothing rated in this band yet."
    if low_hz is None or high_hz is None:
        return f"You rated best around {_hz(best_hz)} Hz."
    return f"You rated best around {_hz(best_hz)} Hz, likely between {_hz(low_hz)} and {_hz(high_hz)} Hz."


def _sentence_series(name: str, values: Sequence[float | None]) -> str:
    given = [v for v in values if v is not None]
    if not given:
        return f"{name}: no entries."
    return f"{name}: {_hz(given[0])} at first, {_hz(given[-1])} last, from {_hz(min(given))} to {_hz(max(given))}."


def _hz(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _rating(unit: float) -> str:
    """Turn 0 to 1 into the 1 to 5 that people know."""
    return f"{1 + 4 * unit:.1f}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _minutes(seconds: float) -> str:
    return _count(round(seconds / 60), "minute") if seconds >= MINUTE_S else _count(round(seconds), "second")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


# ---- dates


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _months(first: date, weeks: int) -> list[tuple[int, str]]:
    """Columns where a month begins, with its short name, at least three columns apart."""
    found: list[tuple[int, str]] = []
    for column in range(weeks):
        monday = first + timedelta(weeks=column)
        begins = monday.day <= WEEK_DAYS
        if begins and column <= weeks - 2 and (not found or column - found[-1][0] >= MONTH_LABEL_WEEKS):
            found.append((column, f"{monday:%b}"))
    return found


# ---- geometry


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Map [low, high] straight to [start, end]; the middle when low == high; values outside are held at the edge."""

    def place(value: float) -> float:
        if high == low:
            return (start + end) / 2
        return start + min(1.0, max(0.0, (value - low) / (high - low))) * (end - start)

    return place


def _between(xs: Sequence[float], ys: Sequence[float], at: float) -> float:
    """Linear between the points, as the model itself is."""
    for (x0, y0), (x1, y1) in pairwise(zip(xs, ys, strict=True)):
        if x0 <= at <= x1 and x1 > x0:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return ys[0] if at <= xs[0] else ys[-1]


def _ticks(low: float, high: float, *, at_most: int = MAX_TICKS) -> list[float]:
    """Round numbers from low to high, the fewest-digit step that gives at most `at_most` of them."""
    span = max(high - low, 1e-9)
    for step in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0):
        first = -(-round(low / step, 9) // 1)
        count = int(round(high / step, 9) // 1 - first) + 1
        if 1 <= count <= at_most and span >= step:
            return [round((first + i) * step, 6) for i in range(count)]
    return [low] if high <= low else [low, high]


def _curve(points: Sequence[Point]) -> str:
    """A smooth path through the points that never overshoots them (Fritsch and Carlson 1980)."""
    widths = [b[0] - a[0] for a, b in pairwise(points)]
    slopes = [(b[1] - a[1]) / w for (a, b), w in zip(pairwise(points), widths, strict=True)]
    tangents = [slopes[0], *(_tangent(*pair) for pair in pairwise(slopes)), slopes[-1]]
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        third = widths[i] / 3
        path += f"C{_n(x0 + third)} {_n(y0 + tangents[i] * third)} {_n(x1 - third)} {_n(y1 - tangents[i + 1] * third)} {_n(x1)} {_n(y1)}"
    return path


def _tangent(before: float, after: float) -> float:
    return 0.0 if before * after <= 0 else 2 * before * after / (before + after)


def _means(points: Sequence[Point], reach: float) -> list[Point]:
    """Each point at the mean height of the points within `reach` of it sideways."""
    return [(x, sum(near) / len(near)) for x, _ in points if (near := [v for u, v in points if abs(u - x) <= reach])]


def _straight(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


# ---- marks


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _anchor(x: float) -> str:
    return "end" if x > RIGHT - 8 else "start" if x < LEFT + 4 else "middle"


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def _rule(x0: float, x1: float, y: float) -> str:
    return f'<path class="rule" d="M{_n(x0)} {_n(y)}H{_n(x1)}"/>'


def _empty(title: str, words: str) -> str:
    line = f'<path class="rule" d="M{_n(LEFT)} 70H{_n(RIGHT)}"/>'
    return _svg("empty", 96, title, words, [line, _text(WIDTH / 2, 50, words, "middle")])


def _svg(kind: str, height: float, title: str, desc: str, parts: Sequence[str]) -> str:
    """Wrap the parts; ids come from the words, so that several charts may share a page."""
    mark = f"{kind}-{zlib.crc32((title + desc).encode()):08x}"
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {_n(WIDTH)} {_n(height)}" role="img" aria-labelledby="t-{mark}" aria-describedby="d-{mark}">'
        f'<title id="t-{mark}">{escape(title)}</title><desc id="d-{mark}">{escape(desc)}</desc>{"".join(parts)}</svg>'
    )
