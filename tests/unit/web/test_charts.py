"""Charts: well-formed, readable without seeing, themed by class alone, and calm about missing data."""

from __future__ import annotations

import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest

from stillwave.web import charts

SVG = "{http://www.w3.org/2000/svg}"
GRID_HZ = [8 + 5 * i / 8 for i in range(9)]
MEAN = [0.4, 0.45, 0.55, 0.7, 0.6, 0.5, 0.45, 0.42, 0.4]
SD = [0.1] * 9
TODAY = date(2026, 11, 25)  # a Wednesday
DAYS = [TODAY - timedelta(days=i) for i in range(29, -1, -1)]
EVIL = '<script>alert("x")</script> & \'more\''


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314  our own text


def described(svg: str) -> str:
    return parse(svg).findtext(f"{SVG}desc") or ""


def path_of(svg: str, kind: str) -> str:
    found = parse(svg).find(f"{SVG}path[@class='{kind}']")
    assert found is not None, f"no {kind} in the chart"
    return found.attrib["d"]


def numbers(path: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path)]


def curve(**changes: float | None) -> str:
    marks: dict[str, float | None] = {"best_hz": 9.9, "low_hz": 9.0, "high_hz": 11.0, **changes}
    return charts.response_curve(GRID_HZ, MEAN, SD, best_hz=marks["best_hz"], low_hz=marks["low_hz"], high_hz=marks["high_hz"], label="Alpha")


EVERY = {
    "curve": curve(),
    "curve without ratings": curve(best_hz=None, low_hz=None, high_hz=None),
    "curve of one point": charts.response_curve([10.0], [0.5], [0.2], best_hz=10.0, low_hz=10.0, high_hz=10.0, label="Alpha"),
    "curve of nothing": charts.response_curve([], [], [], best_hz=None, low_hz=None, high_hz=None, label="Alpha"),
    "path": charts.frequency_path([(0, 12), (240, 9.6), (1140, 9.6), (1200, 10)], label="Calm"),
    "path of one point": charts.frequency_path([(0, 10)], label="Calm"),
    "path of nothing": charts.frequency_path([], label="Calm"),
    "trends": charts.trends(DAYS, {"Sleep": [5.0] * 30, "Stress": [None, 3.0] * 15}, label="Trends"),
    "trends of one day": charts.trends([TODAY], {"Sleep": [7.0]}, label="Trends"),
    "trends without entries": charts.trends(DAYS, {"Sleep": [None] * 30}, label="Trends"),
    "trends of nothing": charts.trends([], {}, label="Trends"),
    "heat map": charts.heat_map({TODAY: 2, TODAY - timedelta(days=3): 9}, today=TODAY),
    "heat map of nothing": charts.heat_map({}, today=TODAY),
    "bars": charts.bars({"Calm focus": (7.2, 12), "Sleep": (1.0, 1)}, label="Effect", most=10),
    "bars of nothing": charts.bars({}, label="Effect", most=10),
    "heat map of a week": charts.heat_map({}, today=TODAY, weeks=1),
}


@pytest.mark.parametrize("svg", EVERY.values(), ids=EVERY.keys())
class TestEveryChart:
    def test_is_well_formed_and_names_itself(self, svg: str) -> None:
        root = parse(svg)
        assert root.attrib["role"] == "img"
        for attribute, tag in (("aria-labelledby", "title"), ("aria-describedby", "desc")):
            child = root.find(f"{SVG}{tag}")
            assert child is not None
            assert child.attrib["id"] == root.attrib[attribute]
            assert child.text

    def test_needs_no_inline_style_or_colour(self, svg: str) -> None:
        for element in parse(svg).iter():
            assert not {"style", "fill", "stroke"} & set(element.attrib)

    def test_stays_inside_its_view(self, svg: str) -> None:
        root = parse(svg)
        _, _, width, height = (float(n) for n in root.attrib["viewBox"].split())
        for text in root.iter(f"{SVG}text"):
            assert 0 <= float(text.attrib["x"]) <= width
            assert 0 <= float(text.attrib["y"]) <= height

    def test_draws_no_nan(self, svg: str) -> None:
        assert not re.search(r"nan|inf", re.sub(r"<(title|desc|text).*?</\1>", "", svg))


@pytest.mark.parametrize(
    "markup",
    [
        charts.response_curve(GRID_HZ, MEAN, SD, best_hz=None, low_hz=None, high_hz=None, label=EVIL),
        charts.frequency_path([(0, 10)], label=EVIL),
        charts.trends([TODAY], {EVIL: [3.0]}, label=EVIL),
        charts.bars({EVIL: (3.0, 1)}, label=EVIL, most=10),
        charts.table(EVIL, (EVIL,), [(EVIL, EVIL)]),
    ],
    ids=["curve", "path", "trends", "bars", "table"],
)
def test_words_from_outside_are_escaped(markup: str) -> None:
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup


class TestResponseCurve:
    def test_passes_through_the_mean_at_every_grid_point(self) -> None:
        drawn = numbers(path_of(curve(), "line"))
        ends_y = [drawn[1], *drawn[7::6]]
        low_y, high_y = max(ends_y), min(ends_y)
        shares = [(low_y - y) / (low_y - high_y) for y in ends_y]
        assert shares == pytest.approx([(m - 0.4) / 0.3 for m in MEAN], abs=0.005)

    def test_never_overshoots_between_grid_points(self) -> None:
        drawn = numbers(path_of(curve(), "line"))
        ends = [drawn[0:2], *(drawn[i + 4 : i + 6] for i in range(2, len(drawn), 6))]
        for i in range(8):
            controls = drawn[2 + 6 * i : 6 + 6 * i]
            low, high = sorted((ends[i][1], ends[i + 1][1]))
            assert low - 0.11 <= min(controls[1], controls[3]) <= max(controls[1], controls[3]) <= high + 0.11

    def test_band_is_wider_where_we_know_less(self) -> None:
        def thickness(sd: float) -> float:
            ys = numbers(path_of(charts.response_curve(GRID_HZ, [0.5] * 9, [sd] * 9, best_hz=None, low_hz=None, high_hz=None, label="A"), "band"))[1::2]
            return max(ys) - min(ys)

        assert thickness(0.2) == pytest.approx(2 * thickness(0.1), rel=0.02)

    def test_marks_the_best_only_when_there_is_one(self) -> None:
        assert 'class="spot"' in curve()
        assert 'class="spot"' not in curve(best_hz=None, low_hz=None, high_hz=None)
        assert "Nothing rated" in described(curve(best_hz=None, low_hz=None, high_hz=None))

    def test_says_the_best_and_the_range(self) -> None:
        assert "9.9 Hz, likely between 9 and 11 Hz" in described(curve())

    def test_refuses_arrays_of_different_length(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            charts.response_curve(GRID_HZ, MEAN[:-1], SD, best_hz=None, low_hz=None, high_hz=None, label="A")

    def test_table_speaks_in_ratings_from_1_to_5(self) -> None:
        made = charts.response_curve_table([10.0], [0.5], [0.5], label="Alpha")
        assert "<td>3.0</td>" in made
        assert "<td>1.0 to 5.0</td>" in made


class TestFrequencyPath:
    def test_is_drawn_with_straight_ramps(self) -> None:
        x0, y0, x1, y1, x2, y2 = numbers(path_of(charts.frequency_path([(0, 12), (300, 8), (600, 8)], label="Calm"), "line"))
        assert x1 - x0 == pytest.approx(x2 - x1)
        assert y1 == y2 > y0

    def test_says_where_it_starts_and_ends(self) -> None:
        assert "Starts at 12 Hz and ends at 9.6 Hz after 20 minutes" in described(charts.frequency_path([(0, 12), (1200, 9.6)], label="Calm"))

    def test_table_gives_every_corner(self) -> None:
        assert "4:05" in charts.frequency_path_table([(0, 12), (245, 9.6)], label="Calm")


class TestTrends:
    def test_every_entry_is_a_dot_and_a_gap_is_none(self) -> None:
        drawn = charts.trends(DAYS[:5], {"Sleep": [5.0, None, 6.0, None, 7.0]}, label="T")
        assert drawn.count("<circle") == 3

    def test_few_entries_are_joined_as_they_are(self) -> None:
        ys = numbers(path_of(charts.trends(DAYS[:3], {"Sleep": [1.0, 10.0, 1.0]}, label="T"), "s1"))[1::2]
        assert ys[0] == ys[2] > ys[1]

    def test_many_entries_are_joined_by_the_mean_of_their_week(self) -> None:
        jumpy = [3.0 if i % 2 else 7.0 for i in range(30)]
        ys = numbers(path_of(charts.trends(DAYS, {"Sleep": jumpy}, label="T"), "s1"))[1::2]
        assert max(ys) - min(ys) < 0.25 * (178 - 38) * 4 / 9

    def test_refuses_more_series_than_can_be_told_apart(self) -> None:
        with pytest.raises(ValueError, match="at most 3"):
            charts.trends(DAYS, {str(i): [1.0] * 30 for i in range(4)}, label="T")

    def test_table_starts_with_the_newest_day_and_shows_a_zero_apart_from_nothing(self) -> None:
        made = charts.trends_table(DAYS[:2], {"Sleep": [None, 7.5]}, label="T")
        assert made.index(DAYS[1].isoformat()) < made.index(DAYS[0].isoformat())
        assert "<td>–</td>" in made
        assert "<td>7.5</td>" in made


class TestHeatMap:
    def squares(self, svg: str) -> int:
        return sum(e.attrib["d"].count("M") for e in parse(svg).iter(f"{SVG}path")) - charts.HEAT_STEPS - 1

    def test_draws_each_day_up_to_today_and_none_ahead(self) -> None:
        assert self.squares(charts.heat_map({}, today=TODAY)) == 25 * 7 + 3

    def test_a_sunday_fills_its_week(self) -> None:
        assert self.squares(charts.heat_map({}, today=date(2026, 11, 29))) == 26 * 7

    def test_counts_only_days_that_are_shown(self) -> None:
        counts = {TODAY: 2, TODAY - timedelta(days=1): 1, TODAY - timedelta(weeks=40): 5, TODAY + timedelta(days=1): 7}
        assert "3 sessions on 2 days in the last 26 weeks" in described(charts.heat_map(counts, today=TODAY))

    def test_four_or_more_share_the_strongest_colour(self) -> None:
        strong = path_of(charts.heat_map({TODAY: 4, TODAY - timedelta(days=1): 40}, today=TODAY), "h4")
        assert strong.count("M") == 2

    def test_stays_small(self) -> None:
        assert len(charts.heat_map({d: i % 5 for i, d in enumerate(DAYS)}, today=TODAY)) < 8_000

    def test_table_lists_only_weeks_with_a_session(self) -> None:
        made = charts.heat_map_table({TODAY: 2, TODAY - timedelta(days=1): 1}, today=TODAY)
        assert made.count("<tr>") == 2
        assert "2026-11-23" in made

    def test_no_sessions_give_no_table(self) -> None:
        assert charts.heat_map_table({}, today=TODAY) == ""


def test_charts_on_one_page_have_ids_of_their_own() -> None:
    ids = re.findall(r' id="([^"]+)"', "".join(EVERY[k] for k in ("curve", "curve without ratings", "path", "trends", "heat map")))
    assert len(ids) == len(set(ids))


class TestBars:
    def test_is_as_long_as_its_mean(self) -> None:
        drawn = charts.bars({"Half": (5.0, 2), "All": (10.0, 1)}, label="B", most=10)
        half, whole = (float(re.findall(r"H([\d.]+)", e.attrib["d"])[0]) for e in parse(drawn).findall(f"{SVG}path[@class='mean']"))
        assert half == pytest.approx(whole / 2)

    def test_says_the_means_and_how_many(self) -> None:
        assert "Sleep 6.5 from 1 rating" in described(charts.bars({"Sleep": (6.5, 1)}, label="B", most=10))

    def test_table_gives_the_same_numbers(self) -> None:
        made = charts.bars_table({"Sleep": (6.46, 3)}, label="B", head=("Where to", "Mean", "Ratings"))
        assert "<td>6.5</td><td>3</td>" in made
