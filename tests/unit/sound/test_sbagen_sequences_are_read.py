"""SBaGen sequence files: what is understood, what is refused and where, and that nothing crashes the reader."""

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwave.errors import BadInput
from stillwave.sound import sbg, sequence
from stillwave.sound.sequence import Node


def read(text, **options):
    return sbg.read(text, "x.sbg", **options)


def nodes(text, layer=0, **options):
    return [
        (node.at_s, node.carrier_hz, node.beat_hz, round(node.amplitude, 6))
        for node in read(text, **options).sequence.layers[layer].nodes
    ]


def kinds(text, **options):
    return [layer.kind for layer in read(text, **options).sequence.layers]


def refusal(error: BadInput) -> dict[str, Any]:
    (entry,) = cast("list[dict[str, Any]]", error.extra["errors"])
    return entry


SLIDE = """
## A slide from ten to four
-SE
ten: 200+10/20   # the start
four: 150-4/10
0:00 == ten ->
0:10 == four
"""


def test_an_arrow_slides_everything_in_straight_lines():
    assert nodes(SLIDE) == [(0.0, 200.0, 10.0, 0.2), (600.0, 150.0, -4.0, 0.1)]
    assert read(SLIDE).sequence.seconds == 600.0
    assert read(SLIDE).left_out == ()


def test_without_an_arrow_tones_that_differ_fade_through_silence_within_a_minute():
    text = SLIDE.replace(" ->", "").replace("== ", "") + "0:20 ten\n"
    assert nodes(text) == [
        (0.0, 200.0, 10.0, 0.2), (570.0, 200.0, 10.0, 0.2), (600.0, 200.0, 10.0, 0.0), (600.0, 150.0, -4.0, 0.0),
        (630.0, 150.0, -4.0, 0.1), (1170.0, 150.0, -4.0, 0.1), (1200.0, 150.0, -4.0, 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("fades", "slides"), [("==", True), ("--", False), ("=-", True), ("-=", False), ("<=", False)])
def test_two_tones_slide_only_if_both_ask_for_it(fades, slides):
    text = f"-SE\na: 200+10/20\nb: 200+4/20\n0:00 == a\n0:10 {fades} b\n0:20 == b\n"
    halfway = [node for node in nodes(text) if node[0] == 600.0]
    assert (halfway == []) is slides


def test_what_stays_the_same_goes_on_while_the_rest_changes():
    text = "-SE\na: pink/40 200+10/20\nb: pink/20 200+4/20\n0:00 a\n0:10 b\n0:20 b\n"
    assert kinds(text) == ["pink", "binaural"]
    assert nodes(text) == [(0, 0, 0, 0.4), (570, 0, 0, 0.4), (630, 0, 0, 0.2), (1170, 0, 0, 0.2), (1200, 0, 0, 0.2)]


def test_a_shorter_fade_can_be_asked_for():
    assert (590.0, 200.0, 10.0, 0.2) in nodes("-SE -F 20000\na: 200+10/20\noff: -\n0:00 a\n0:10 off\n0:20 off\n")


def test_blocks_within_blocks_are_written_out():
    text = (
        "-SE\na: 200+10/20\nb: 200+4/20\noff: -\n"
        "one: {\n +0:00 == a ->\n +0:01 == b\n}\ntwo: {\n +0:00 one\n +0:02 one\n}\nNOW two\n+0:04 off\n"
    )
    written = (
        "-SE\na: 200+10/20\nb: 200+4/20\noff: -\n"
        "NOW == a ->\nNOW+0:01 == b\nNOW+0:02 == a ->\nNOW+0:02+0:01 == b\nNOW+0:04 off\n"
    )
    assert read(text) == read(written)
    assert read(text).sequence.seconds == 240.0


def test_times_of_the_clock_go_on_past_midnight():
    text = "-SE\na: 200+10/20\noff: -\n23:59:55 == off ->\n0:00 == a ->\n0:01 == off\n"
    assert nodes(text) == [(0.0, 200.0, 10.0, 0.0), (5.0, 200.0, 10.0, 0.2), (65.0, 200.0, 10.0, 0.0)]


def test_what_has_no_end_wants_minutes_and_they_cut_or_extend():
    text = "a: 300@10/10 brown/20\n0:00 a\n"
    with pytest.raises(BadInput, match="--minutes"):
        read(text)
    assert kinds(text, minutes=30) == ["isochronic", "brown"]
    assert nodes(text, minutes=30)[-1] == (1800.0, 300.0, 10.0, 0.1)
    assert nodes(SLIDE, minutes=5)[-1] == (300.0, 175.0, 3.0, 0.15)
    assert nodes(SLIDE, minutes=20)[-1] == (1200.0, 150.0, -4.0, 0.1)
    assert read("-L 0:07\n" + text).sequence.seconds == 420.0


def test_a_start_within_the_sequence_and_an_immediate_tone_set():
    assert nodes("-T 0:05\n" + SLIDE)[0] == (0.0, 175.0, 3.0, 0.15)
    assert nodes("-i 200+10/20 pink/30\n", minutes=1) == [(0.0, 200.0, 10.0, 0.2), (60.0, 200.0, 10.0, 0.2)]


def test_every_kind_of_sound():
    text = "-SE\na: 200+10/1 300@8/2 400/3 pink/4 white/5 brown/6 spin:300+4/7 bspin:200-4/8 wspin:100+4/9 bell+900/10 -\n0:00 a\n0:01 a\n"
    assert kinds(text) == [
        "binaural", "isochronic", "binaural", "pink", "white", "brown", "spin_pink", "spin_brown", "spin_white", "bell",
    ]  # fmt: skip
    made = read(text).sequence
    assert made.layers[2].nodes[0] == Node(0.0, 400.0, 0.0, 0.03)
    assert made.layers[9].nodes == (Node(0.0, 900.0, 0.0, 0.1),)
    sequence.check(made)


def test_what_is_left_out_is_said_with_its_place():
    text = "-SE -m river.ogg\na: mix/90 square:200+10/20 mixspin:300+4/40\n0:00 a\n0:01 a\n"
    assert read(text).left_out == (
        "line 1, column 5: not supported and left out: a recording mixed in",
        "line 2, column 4: not supported and left out: mix",
        "line 2, column 11: not supported and left out: the shape square; the tone is a plain sine",
        "line 2, column 28: not supported and left out: mixspin",
    )
    assert kinds(text) == ["binaural"]
    with pytest.raises(BadInput, match="nothing in it that can be heard"):
        read("-SE\na: mix/90\n0:00 a\n0:01 a\n")


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 200+10/20\n0:00 b\n", "line 2, column 6", "not defined"),
        ("a: 200+10\n", "line 1, column 4", "not a tone"),
        ("a: pink/40  200+10/200\n", "line 1, column 13", "amplitude"),
        ("a: 5+1/20\n", "line 1, column 4", "carrier"),
        ("a: 100+300/20\n", "line 1, column 4", "beat"),
        ("a: 300@200/20\n", "line 1, column 4", "pulse"),
        ("a: 200+nan/20\n", "line 1, column 4", "not a tone"),
        ("a: 200+-4/20\n", "line 1, column 4", "not a tone"),
        ("a: ٣٠٠+4/20\n", "line 1, column 4", "not a tone"),
        ("a:\n", "line 1, column 1", "without tones"),
        ("a: -\na: -\n", "line 2, column 1", "exists already"),
        ("a: " + "200/1 " * 17, "line 1, column 100", "too many"),
        ("a: -\n24:00 a\n", "line 2, column 1", "time of the day"),
        ("a: -\n0:0x a\n", "line 2, column 1", "not a time"),
        ("a: -\n+0:10 a\n", "line 2, column 1", "relative time"),
        ("a: -\n0:00\n", "line 2, column 1", "without a name"),
        ("a: -\n0:00 >> a\n", "line 2, column 6", "fade"),
        ("a: -\n0:00 a =>\n", "line 2, column 8", "behind the name"),
        ("a: -\n0:00 a -> b\n", "line 2, column 11", "behind the name"),
        ("a: -\n0:00 a\nNOW a\n", "line 3, column 1", "mixes NOW"),
        ("a: -\nb: {\n+0:00 a\n", "line 2, column 1", "without an end"),
        ("a: -\nb: {\n0:00 a\n}\n", "line 3, column 1", "within a block"),
        ("a: -\nb: { +0:00 a }\n", "line 2, column 6", "opening of a block"),
        ("b: {\n+0:00 b\n}\n0:00 b\n", "line 2, column 7", "too many blocks"),
        ("-p drop 00ds+\n", "line 1, column 1", "built-in"),
        ("-SE -T\n", "line 1, column 5", "wants a value"),
        ("-F soon\n", "line 1, column 4", "milliseconds"),
        ("-SE river.ogg\n", "line 1, column 5", "not an option"),
        ("hello world\n", "line 1, column 1", "not a time"),
        ("a: -\n0:00 a\n12:00 a\n11:00 a\n10:00 a\n", "line 4, column 7", "out of order"),
    ],
)
def test_an_error_names_line_and_column_and_what_was_expected(text, place, problem):
    with pytest.raises(BadInput) as caught:
        read(text, minutes=10)
    entry = refusal(caught.value)
    assert entry["field"] == f"x.sbg, {place}"
    assert problem in entry["problem"]
    assert entry["allowed"]


def test_a_bomb_of_blocks_is_refused_in_time():
    bomb = "a: 200/1\nb0: {\n" + "+0:00 a\n" * 50 + "}\n"
    for level in range(1, 10):
        bomb += f"b{level}: {{\n" + f"+0:00 b{level - 1}\n" * 50 + "}\n"
    with pytest.raises(BadInput, match="too many"):
        read(bomb + "NOW b9\n", minutes=10)


@pytest.mark.parametrize("text", ["", "# nothing\n", "a: 200+10/20\n"])
def test_a_file_without_a_time_line_is_refused(text):
    with pytest.raises(BadInput, match="no time line"):
        read(text)


WORDS = st.sampled_from(
    ["a:", "b: {", "}", "a", "b", "->", "==", "<>", "--", "NOW", "0:00", "+0:01", "+0:00:01", "23:59", "200+10/20",
     "pink/4", "spin:300+4/7", "bell+900/9", "300@8/2", "mix/9", "-", "-SE", "-T", "-L", "0:05", "-F", "100", "#", "\n",
     "\n", "\n"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join)), st.sampled_from([None, 1, 720]))
def test_any_text_is_a_sequence_or_a_refusal(text, minutes):
    try:
        made = read(text, minutes=minutes).sequence
    except BadInput:
        return
    sequence.check(made)
