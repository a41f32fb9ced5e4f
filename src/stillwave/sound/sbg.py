"""SBaGen sequence files (.sbg) as a `Sequence`: tone-sets, blocks, time lines, fades and slides.

The language is that of SBaGen 1.4 with what SBaGen+ added; docs/sound.md lists what is left out. Every refusal
names line and column and what was expected there.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, NoReturn, cast

from stillwave.errors import BadInput
from stillwave.sound import sequence as plan
from stillwave.sound.sequence import Kind, Layer, Node, Sequence

MOST_BYTES = 1_000_000
MOST_CHANNELS = 16
MOST_TIME_LINES = 10_000  # after blocks within blocks are written out
DEEPEST = 12
DAY_S = 24 * 3600
FADE_S = 60.0
LONGEST_MIN = int(plan.LONGEST_S // 60)

_TOKEN = re.compile(r"\S+")
_NAME = re.compile(r"([A-Za-z][\w-]*):(.*)", re.ASCII)
_NUMBER = r"(\d{1,9}(?:\.\d{0,18})?|\.\d{1,18})"
_SHAPE = r"(?:(sine|square|triangle|sawtooth|wave\d\d):)?"
_TONE = re.compile(rf"{_SHAPE}{_NUMBER}(?:([+@-]){_NUMBER})?/{_NUMBER}", re.ASCII)
_NOISE = re.compile(rf"(pink|white|brown)/{_NUMBER}", re.ASCII)
_SPIN = re.compile(rf"{_SHAPE}([bw]?)spin:{_NUMBER}([+-]){_NUMBER}/{_NUMBER}", re.ASCII)
_BELL = re.compile(rf"{_SHAPE}bell([+-]){_NUMBER}/{_NUMBER}", re.ASCII)
_UNKNOWN_SOUNDS = re.compile(
    rf"{_SHAPE}(mix/|mixspin:|mixpulse:|mixbeat:|mixam:|noise(?:\d\d|spin|pulse|beat)?:|spin\d\d:)", re.ASCII
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?", re.ASCII)
_TONE_EXPECTED = [
    "carrier+beat/amplitude", "carrier-beat/amplitude", "carrier@pulse/amplitude", "carrier/amplitude",
    "pink/amplitude", "white/amplitude", "brown/amplitude", "spin:width+rate/amplitude", "bell+hz/amplitude", "-",
]  # fmt: skip
_TIME_EXPECTED = ["NOW", "hh:mm", "hh:mm:ss", "+hh:mm", "+hh:mm:ss"]
_WITH_VALUE = "TLFmMrRbqocwVBaAkKtg"
_NO_MATTER = "QDNSEWOrRbBo"


class Read(NamedTuple):
    """A sequence, and in words what of the file it does without."""

    sequence: Sequence
    left_out: tuple[str, ...]


class _Word(NamedTuple):
    text: str
    line: int
    column: int


class _Voice(NamedTuple):
    kind: Kind
    carrier: float
    beat: float
    amplitude: float


class _Moment(NamedTuple):
    """A time line, written out: when, what, how it fades in and out, whether it slides to the next."""

    at_s: float
    voices: tuple[_Voice | None, ...]
    fade_in: str
    fade_out: str
    slides: bool


class _Span(NamedTuple):
    """A channel from one time to another, in straight lines."""

    from_s: float
    to_s: float
    start: _Voice
    end: _Voice


def read(
    text: str, name: str = "The sequence", *, minutes: int | None = None, volume_level: float = 45.0, seed: int = 0,
    swap: bool = False,
) -> Read:  # fmt: skip
    """Return the sequence that a file describes; `minutes` cuts or extends it.

    Raises:
        BadInput: the place in the file and what was expected there, or that it has no end of its own.
    """
    return _Reader(text, name).result(minutes, volume_level, seed, swap=swap)


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._left_out: dict[str, None] = {}
        self._tone_sets: dict[str, tuple[_Voice | None, ...]] = {}
        self._blocks: dict[str, list[list[_Word]]] = {}
        self._moments: list[_Moment] = []
        self._last_clock_s: float | None = None
        self._uses_now: bool | None = None
        self._ends = False
        self._length_s = self._start_clock_s = None  # type: float | None
        self._fade_s = FADE_S
        self._lines(text)

    # --- lines ----------------------------------------------------------------------------------

    def _lines(self, text: str) -> None:
        block: tuple[_Word, list[list[_Word]]] | None = None
        for number, line in enumerate(text.splitlines(), 1):
            words = [
                _Word(found.group(), number, found.start() + 1) for found in _TOKEN.finditer(line.partition("#")[0])
            ]
            if not words:
                continue
            if block is not None:
                if words[0].text == "}":
                    self._blocks[block[0].text] = block[1]
                    block = None
                else:
                    self._check_in_block(words)
                    block[1].append(words)
                continue
            named = _NAME.fullmatch(words[0].text)
            if words[0].text.startswith("-") and not self._tone_sets:
                self._options(words)
            elif named is None:
                self._time_line(words, None, 0)
            else:
                title = _Word(named[1], number, words[0].column)
                rest = words[1:]
                if named[2]:
                    rest = [_Word(named[2], number, words[0].column + len(named[1]) + 1), *rest]
                block = self._definition(title, rest)
        if block is not None:
            self._refuse(block[0], "is a block without an end", ["}"])

    def _check_in_block(self, words: list[_Word]) -> None:
        if not words[0].text.startswith("+"):
            self._refuse(words[0], "is not a time within a block", ["+hh:mm", "+hh:mm:ss", "}"])

    def _definition(self, title: _Word, rest: list[_Word]) -> tuple[_Word, list[list[_Word]]] | None:
        if re.fullmatch(r"wave\d\d", title.text):
            self._leave_out(title, "a wave shape of its own; its tones are plain sines")
            return None
        if title.text in self._tone_sets or title.text in self._blocks:
            self._refuse(title, "is a name that exists already", "another name")
        if not rest:
            self._refuse(title, "is a name without tones", [*_TONE_EXPECTED, "{"])
        if rest[0].text == "{":
            if len(rest) > 1:
                self._refuse(rest[1], "stands behind the opening of a block", "a new line")
            return title, []
        if len(rest) > MOST_CHANNELS:
            self._refuse(rest[MOST_CHANNELS], "is one tone too many", f"at most {MOST_CHANNELS} tones")
        self._tone_sets[title.text] = tuple(self._voice(word) for word in rest)
        return None

    # --- options --------------------------------------------------------------------------------

    def _options(self, words: list[_Word]) -> None:
        rest = iter(words)
        for word in rest:
            if not word.text.startswith("-") or len(word.text) < 2:
                self._refuse(word, "is not an option", ["-S", "-E", "-T hh:mm", "-L hh:mm", "-F milliseconds"])
            for letter in word.text[1:]:
                if letter == "p":
                    self._refuse(word, "asks for a built-in program, which is not supported", "tone-sets and time lines")
                if letter == "i":
                    voices = tuple(self._voice(other) for other in rest)
                    if not voices:
                        self._refuse(word, "wants tones behind it", _TONE_EXPECTED)
                    self._moments.append(_Moment(0.0, voices, "-", "-", slides=False))
                    return
                value = next(rest, None) if letter in _WITH_VALUE else None
                if letter in _WITH_VALUE and value is None:
                    self._refuse(word, "wants a value behind it", "a value")
                self._option(letter, word, value)

    def _option(self, letter: str, word: _Word, value: _Word | None) -> None:
        if letter == "E":
            self._ends = True
        elif letter in "TL" and value is not None:
            seconds = self._clock(value, value.text)
            if letter == "T":
                self._start_clock_s = seconds
            else:
                self._length_s = seconds
        elif letter == "F" and value is not None:
            if not re.fullmatch(r"\d{1,7}", value.text, re.ASCII):
                self._refuse(value, "is not a time in milliseconds", "0 to 9999999")
            self._fade_s = int(value.text) / 1000
        elif letter in "mM":
            self._leave_out(word, "a recording mixed in")
        elif letter == "w" and value is not None and value.text != "sine":
            self._leave_out(word, f"the {letter} option; tones are plain sines")
        elif letter not in _NO_MATTER and letter != "w":
            self._leave_out(word, "an option that is not known here" if letter not in "qcV" else f"the option -{letter}")

    # --- tone-sets ------------------------------------------------------------------------------

    def _voice(self, word: _Word) -> _Voice | None:
        if word.text == "-":
            return None
        if found := _TONE.fullmatch(word.text):
            return self._tone(word, found)
        if found := _NOISE.fullmatch(word.text):
            return _Voice(cast("Kind", found[1]), 0.0, 0.0, self._amplitude(word, found[2]))
        if found := _SPIN.fullmatch(word.text):
            return self._spin(word, found)
        if found := _BELL.fullmatch(word.text):
            self._shape(word, found[1])
            hz = self._number(word, found[3], "pitch in Hz", *plan.CARRIER_RANGE_HZ)
            return _Voice("bell", hz, 0.0, self._amplitude(word, found[4]))
        self._unheard(word)
        return None

    def _unheard(self, word: _Word) -> None:
        found = _UNKNOWN_SOUNDS.match(word.text)
        if found is None:
            self._refuse(word, "is not a tone", _TONE_EXPECTED)
        self._leave_out(word, found[2].rstrip(":/"))

    def _spin(self, word: _Word, found: re.Match[str]) -> _Voice:
        kind = {"": "spin_pink", "b": "spin_brown", "w": "spin_white"}[found[2]]
        self._shape(word, found[1])
        width = self._number(word, found[3], "width in microseconds", 0.0, plan.SPIN_WIDTH_MOST_US)
        rate = self._number(word, found[5], "rate in Hz", 0.0, plan.BEAT_MOST_HZ)
        amplitude = self._amplitude(word, found[6])
        return _Voice(cast("Kind", kind), width, -rate if found[4] == "-" else rate, amplitude)

    def _tone(self, word: _Word, found: re.Match[str]) -> _Voice | None:
        self._shape(word, found[1])
        amplitude = self._amplitude(word, found[5])
        if amplitude == 0 and float(found[2]) == 0:  # how some write a channel that is not in use
            return None
        carrier = self._number(word, found[2], "carrier in Hz", *plan.CARRIER_RANGE_HZ)
        if found[3] == "@":
            pulse = self._number(word, found[4], "pulse in Hz", 0.0, plan.BEAT_MOST_HZ)
            return _Voice("isochronic", carrier, pulse, amplitude)
        least, most = plan.CARRIER_RANGE_HZ
        most_apart = 2 * min(carrier - least, most - carrier)
        beat = self._number(word, found[4], "beat in Hz", 0.0, most_apart) if found[4] else 0.0
        return _Voice("binaural", carrier, -beat if found[3] == "-" else beat, amplitude)

    def _shape(self, word: _Word, shape: str | None) -> None:
        if shape not in (None, "sine"):
            self._leave_out(word, f"the shape {shape}; the tone is a plain sine")

    def _amplitude(self, word: _Word, text: str) -> float:
        return self._number(word, text, "amplitude", 0.0, 100.0) / 100

    def _number(self, word: _Word, text: str, what: str, least: float, most: float) -> float:
        value = float(text)
        if not least <= value <= most:
            self._refuse(word, f"has a value for the {what} that is not supported", f"{least:g} to {most:g}")
        return value

    # --- time lines -----------------------------------------------------------------------------

    def _time_line(self, words: list[_Word], base: str | None, depth: int) -> None:
        """A time line has become moments; blocks are written out, `base` being the time of the line that called."""
        first, rest = words[0], words[1:]
        at_s = self._time(first, (base or "") + first.text)
        fades = rest[0].text if rest and not rest[0].text[0].isalpha() else None
        if fades is not None:
            if len(fades) != 2 or fades[0] not in "<-=" or fades[1] not in ">-=":
                self._refuse(rest[0], "is neither a name nor a fade", ["--", "==", "<>", "-=", "a name"])
            rest = rest[1:]
        if not rest:
            self._refuse(first, "is a time without a name behind it", "the name of a tone-set or block")
        title, behind = rest[0], rest[1:]
        if title.text in self._blocks:
            self._block(title, behind, (base or "") + first.text, depth)
        elif title.text not in self._tone_sets:
            self._refuse(title, "is a name that was not defined above", [*self._tone_sets, *self._blocks][:20])
        else:
            if behind and (behind[0].text != "->" or len(behind) > 1):
                self._refuse(behind[0 if behind[0].text != "->" else 1], "stands behind the name", "->, or nothing")
            self._add(title, at_s, fades or "--", slides=bool(behind))

    def _block(self, title: _Word, behind: list[_Word], base: str, depth: int) -> None:
        if behind:
            self._refuse(behind[0], "stands behind the name of a block", "a new line")
        if depth >= DEEPEST:
            self._refuse(title, "is a block within too many blocks", f"at most {DEEPEST}")
        for line in self._blocks[title.text]:
            self._time_line(line, base, depth + 1)

    def _add(self, word: _Word, clock_s: float, fades: str, *, slides: bool) -> None:
        if len(self._moments) >= MOST_TIME_LINES:
            self._refuse(word, "is one time line too many", f"at most {MOST_TIME_LINES}, blocks written out")
        at_s = clock_s
        if self._moments:
            # Times are those of a clock: what is earlier than the line before is on the next day.
            before_s = self._moments[-1].at_s
            at_s = before_s + (clock_s - before_s) % DAY_S
            if at_s - self._moments[0].at_s > DAY_S:
                self._refuse(word, "is more than 24 hours after the first time; is a time out of order?", "rising times")
        self._moments.append(_Moment(at_s, self._tone_sets[word.text], fades[0], fades[1], slides))

    def _time(self, word: _Word, text: str) -> float:
        parts = text.split("+")
        if parts[0]:
            is_now = parts[0] == "NOW"
            if self._uses_now is not None and self._uses_now is not is_now:
                self._refuse(word, "mixes NOW with times of the clock", "one of the two throughout")
            self._uses_now = is_now
            self._last_clock_s = 0.0 if is_now else self._clock(word, parts[0])
        elif self._last_clock_s is None:
            self._refuse(word, "is a relative time with none before it", ["NOW", "hh:mm", "hh:mm:ss"])
        return (self._last_clock_s or 0.0) + math.fsum(self._clock(word, part) for part in parts[1:])

    def _clock(self, word: _Word, text: str) -> float:
        found = _CLOCK.fullmatch(text)
        if found is None:
            self._refuse(word, "is not a time", _TIME_EXPECTED)
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        if hours >= 24 or minutes >= 60 or seconds >= 60:
            self._refuse(word, "is not a time of the day", "00:00:00 to 23:59:59")
        return float((hours * 60 + minutes) * 60 + seconds)

    # --- the whole ------------------------------------------------------------------------------

    def result(self, minutes: int | None, volume_level: float, seed: int, *, swap: bool) -> Read:
        if not self._moments:
            raise BadInput(self._name, "has no time line", ["NOW name", "hh:mm name"])
        start_s, seconds = self._extent(minutes)
        layers = tuple(_layers(self._moments, self._fade_s, start_s, seconds))
        if not any(node.amplitude for layer in layers for node in layer.nodes):
            raise BadInput(self._name, "has nothing in it that can be heard here", _TONE_EXPECTED)
        made = Sequence(layers, seconds, seed, volume_level, swap)
        try:
            plan.check(made)
        except ValueError as error:
            raise BadInput(self._name, f"cannot be rendered: {error}") from None
        return Read(made, tuple(self._left_out))

    def _extent(self, minutes: int | None) -> tuple[float, float]:
        """Return where the sound begins, in the moments' own time, and how long it is."""
        first_s, last_s = self._moments[0].at_s, self._moments[-1].at_s
        start_s = first_s
        if self._start_clock_s is not None:
            start_s = first_s + (self._start_clock_s - first_s) % DAY_S
            if start_s > last_s > first_s or (start_s - first_s) > plan.LONGEST_S:
                start_s = first_s
                self._left_out["the start that -T asks for: it lies before the first time line"] = None
        if minutes is not None:
            seconds = minutes * 60.0
        elif self._length_s is not None:
            seconds = self._length_s
        elif self._ends and last_s > start_s:
            seconds = last_s - start_s
        else:
            raise BadInput("--minutes", "is needed: this sequence goes on without end", f"1 to {LONGEST_MIN}")
        if not plan.SHORTEST_S <= seconds <= plan.LONGEST_S:
            raise BadInput("--minutes", f"is needed: this sequence lasts {seconds / 60:g} minutes", f"1 to {LONGEST_MIN}")
        return start_s, seconds

    def _leave_out(self, word: _Word, what: str) -> None:
        self._left_out[f"line {word.line}, column {word.column}: not supported and left out: {what}"] = None

    def _refuse(self, word: _Word, problem: str, expected: object) -> NoReturn:
        raise BadInput(f"{self._name}, line {word.line}, column {word.column}", problem, expected)


# --- from moments to layers -------------------------------------------------------------------------


def _layers(moments: list[_Moment], fade_s: float, start_s: float, seconds: float) -> Iterator[Layer]:
    for channel in range(max(len(moment.voices) for moment in moments)):
        spans = list(_spans(moments, channel, fade_s, start_s + seconds))
        for kind in dict.fromkeys(span.start.kind for span in spans):
            nodes = _cut(_nodes([span for span in spans if span.start.kind == kind]), start_s, seconds)
            if any(node.amplitude for node in nodes):
                yield Layer(kind, tuple(nodes))
        strokes = _strokes(moments, channel, start_s, seconds)
        if strokes:
            yield Layer("bell", tuple(strokes))


def _strokes(moments: list[_Moment], channel: int, start_s: float, seconds: float) -> list[Node]:
    found = []
    for moment in moments:
        voice = _in_channel(moment, channel)
        at_s = moment.at_s - start_s
        if voice is not None and voice.kind == "bell" and voice.amplitude and 0 <= at_s < seconds:
            found.append(Node(at_s, voice.carrier, 0.0, voice.amplitude))
    return found


def _in_channel(moment: _Moment, channel: int) -> _Voice | None:
    return moment.voices[channel] if channel < len(moment.voices) else None


def _steady(moment: _Moment, channel: int) -> _Voice | None:
    voice = _in_channel(moment, channel)
    return None if voice is not None and voice.kind == "bell" else voice


def _spans(moments: list[_Moment], channel: int, fade_s: float, until_s: float) -> Iterator[_Span]:
    """Yield what one channel does: holds, and between them slides, or fades through silence."""
    held_from_s = moments[0].at_s
    for place, (here, there) in enumerate(pairwise(moments)):
        a, b = _steady(here, channel), _steady(there, channel)
        if here.slides:
            begin_s, end_s = held_from_s, there.at_s
        else:
            begin_s, end_s = max(held_from_s, there.at_s - fade_s / 2), there.at_s + fade_s / 2
            after_s = moments[place + 2].at_s if place + 2 < len(moments) else math.inf
            end_s = min(end_s, there.at_s if there.slides else after_s)
        if a is not None and begin_s > held_from_s:
            yield _Span(held_from_s, begin_s, a, a)
        yield from _crossing(begin_s, end_s, a, b, here, there)
        held_from_s = end_s
    last = _steady(moments[-1], channel)
    if last is not None and until_s > held_from_s:
        yield _Span(held_from_s, until_s, last, last)


def _crossing(
    begin_s: float, end_s: float, a: _Voice | None, b: _Voice | None, here: _Moment, there: _Moment
) -> Iterator[_Span]:
    fade_out, fade_in = ("=", "=") if here.slides else (here.fade_out, there.fade_in)
    if here.slides:  # what begins or ends swells or sinks over the whole slide
        a, b = a or (b and b._replace(amplitude=0.0)), b or (a and a._replace(amplitude=0.0))
    if end_s <= begin_s:
        return
    if a is not None and b is not None and _slides(a, b, fade_out, fade_in):
        yield _Span(begin_s, end_s, a, b)
        return
    middle_s = (begin_s + end_s) / 2
    if a is not None:
        yield _Span(begin_s, middle_s, a, a._replace(amplitude=0.0))
    if b is not None:
        yield _Span(middle_s, end_s, b._replace(amplitude=0.0), b)


def _slides(a: _Voice, b: _Voice, fade_out: str, fade_in: str) -> bool:
    if a.kind != b.kind or fade_out == ">" or fade_in == "<":
        return False
    return (a.carrier, a.beat) == (b.carrier, b.beat) or fade_out == fade_in == "="


def _nodes(spans: list[_Span]) -> list[Node]:
    nodes: list[Node] = []

    def add(at_s: float, voice: _Voice, amplitude: float) -> None:
        node = Node(at_s, voice.carrier, voice.beat, amplitude)
        if not nodes or nodes[-1] != node:
            nodes.append(node)

    for place, span in enumerate(spans):
        if place and span.from_s > spans[place - 1].to_s:  # silent in between, at the frequency it had
            add(spans[place - 1].to_s, spans[place - 1].end, 0.0)
            add(span.from_s, spans[place - 1].end, 0.0)
        add(span.from_s, span.start, span.start.amplitude)
        add(span.to_s, span.end, span.end.amplitude)
    return nodes


def _cut(nodes: list[Node], start_s: float, seconds: float) -> list[Node]:
    """Return the nodes within the sound, moved to its beginning, silent where they do not reach."""
    if nodes[-1].at_s <= start_s or nodes[0].at_s >= start_s + seconds:
        return []
    inside = [node for node in nodes if start_s < node.at_s < start_s + seconds]
    begin, end = _at(nodes, start_s, later=True), _at(nodes, start_s + seconds, later=False)
    moved = [
        Node(node.at_s - start_s, node.carrier_hz, node.beat_hz, node.amplitude) for node in (*begin, *inside, *end)
    ]
    if moved[0].at_s > 0:
        first = Node(moved[0].at_s, moved[0].carrier_hz, moved[0].beat_hz, 0.0)
        moved = [Node(0.0, first.carrier_hz, first.beat_hz, 0.0), first, *moved]
    if moved[-1].at_s < seconds:
        last = Node(moved[-1].at_s, moved[-1].carrier_hz, moved[-1].beat_hz, 0.0)
        moved += [last, Node(seconds, last.carrier_hz, last.beat_hz, 0.0)]
    # What was written to the second stays there; sums of parts of seconds may miss the end by a rounding.
    moved[-1] = Node(seconds, moved[-1].carrier_hz, moved[-1].beat_hz, moved[-1].amplitude)
    return moved


def _at(nodes: list[Node], at_s: float, *, later: bool) -> list[Node]:
    """Return the node at a moment, between two others if need be; none outside of them."""
    exact = [node for node in nodes if node.at_s == at_s]
    if exact:
        return [exact[-1] if later else exact[0]]
    for a, b in pairwise(nodes):
        if a.at_s < at_s < b.at_s:
            u = (at_s - a.at_s) / (b.at_s - a.at_s)

            def between(x: float, y: float, u: float = u) -> float:
                return x + (y - x) * u

            return [
                Node(
                    at_s,
                    between(a.carrier_hz, b.carrier_hz),
                    between(a.beat_hz, b.beat_hz),
                    between(a.amplitude, b.amplitude),
                )
            ]
    return []
