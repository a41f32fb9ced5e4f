"""Filtered noise in eight lanes: four stretches of a block, two ears each, side by side in vector registers.

A recursive filter cannot be vectorised along time, so a block is cut into four stretches that are filtered at
once, each warmed up on its own. Numba's compiler does not find this by itself; these loops are built here as
LLVM vectors. They use IEEE additions and multiplications only, without reassociation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from stillwave.sound.kernels import kernel

Sound = NDArray[np.float32]
Exact = NDArray[np.float64]

STRETCHES, LANES = 4, 8
_LONG, _WORD, _SINGLE, _DOUBLE = ir.IntType(64), ir.IntType(32), ir.FloatType(), ir.DoubleType()
_WORDS = ir.VectorType(_WORD, LANES)
_SCALE = 1.7320508075688772 / 2147483648.0  # uniform noise of unit RMS
_EAR = 0x55555555

# Paul Kellet's pink filter (1999, +-0.05 dB): one-pole filters in parallel, as (pole, gain), slowest first.
_POLES = (
    (0.99886, 0.0555179),
    (0.99332, 0.0750759),
    (0.96900, 0.1538520),
    (0.86650, 0.3104856),
    (0.55000, 0.5329522),
    (-0.7616, -0.0168980),
)
_NOW, _BEFORE = 0.5362, 0.115926
# Only the first three remember more than this many samples (0.8665^256 is below the precision in use).
_SLOW_POLES, _SETTLE_SAMPLES = 3, 256


class _Lanes:
    """Eight numbers of one type; + - * emit instructions."""

    def __init__(self, builder: Any, value: Any, kind: Any) -> None:
        self.builder, self.value, self.kind = builder, value, kind

    def _with(self, other: "_Lanes | float") -> Any:
        return other.value if isinstance(other, _Lanes) else _every(self.kind, other)

    def __add__(self, other: "_Lanes | float") -> "_Lanes":
        return _Lanes(self.builder, self.builder.fadd(self.value, self._with(other)), self.kind)

    def __sub__(self, other: "_Lanes | float") -> "_Lanes":
        return _Lanes(self.builder, self.builder.fsub(self.value, self._with(other)), self.kind)

    def __mul__(self, other: "_Lanes | float") -> "_Lanes":
        return _Lanes(self.builder, self.builder.fmul(self.value, self._with(other)), self.kind)


class _States:
    """What a filter remembers; the optimiser keeps it in registers."""

    def __init__(self, builder: Any, count: int, kind: Any) -> None:
        self.builder, self.kind = builder, kind
        self.slots = [cgutils.alloca_once_value(builder, _every(kind, 0.0)) for _ in range(count)]

    def read(self) -> list[_Lanes]:
        return [_Lanes(self.builder, self.builder.load(slot), self.kind) for slot in self.slots]

    def write(self, values: list[_Lanes]) -> None:
        for slot, value in zip(self.slots, values, strict=False):
            self.builder.store(value.value, slot)


def _every(kind: Any, number: float) -> Any:
    return ir.Constant(ir.VectorType(kind, LANES), [number] * LANES)


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    whole = ir.VectorType(kind, LANES)
    first = builder.insert_element(ir.Constant(whole, ir.Undefined), value, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, ir.Constant(whole, ir.Undefined), _every(_WORD, 0))


def _white(builder: Any, key: Any, index: Any, stretch: Any, kind: Any) -> _Lanes:
    """Return the noise at `index` of each stretch, the same as `kernels.white` makes."""

    def word(value: Any) -> Any:
        return _spread(builder, builder.trunc(value, _WORD), _WORD)

    def shifted(value: Any, bits: int) -> Any:
        return builder.xor(value, builder.lshr(value, _every(_WORD, bits)))

    places = builder.mul(word(stretch), ir.Constant(_WORDS, [*range(STRETCHES)] * 2))
    ears = ir.Constant(_WORDS, [0] * STRETCHES + [_EAR] * STRETCHES)
    z = builder.xor(builder.add(places, word(index)), builder.xor(ears, word(key)))
    z = builder.mul(shifted(z, 16), _every(_WORD, 0x21F0AAAD))
    z = builder.xor(z, word(builder.lshr(key, ir.Constant(_LONG, 32))))
    z = shifted(builder.mul(shifted(z, 15), _every(_WORD, 0x735A2D97)), 15)
    return _Lanes(builder, builder.sitofp(z, ir.VectorType(kind, LANES)), kind) * _SCALE


def _store(builder: Any, value: _Lanes, data: Any, index: Any, stretch: Any) -> None:
    """Put lane e * 4 + s at out[e, s * stretch + index]; both ears lie end to end."""
    for lane in range(LANES):
        number = builder.extract_element(value.value, ir.Constant(_WORD, lane))
        if value.kind != _SINGLE:
            number = builder.fptrunc(number, _SINGLE)
        builder.store(number, builder.gep(data, [index]))
        index = builder.add(index, stretch)


def _over(builder: Any, context: Any, signature: Any, arguments: Any, forget: int) -> Any:
    """Return the arguments every filter needs, and loops over its warm-up and its stretch."""
    out = context.make_array(signature.args[-1])(context, builder, value=arguments[-1])
    stretch = builder.udiv(builder.extract_value(out.shape, 1), ir.Constant(_LONG, STRETCHES))
    key, start, warm = arguments[:3]

    def run(step: Callable[[_Lanes], _Lanes], quick: Callable[[_Lanes], object], kind: Any) -> None:
        short = ir.Constant(_LONG, forget)
        for count, work, back in ((builder.sub(warm, short), quick, warm), (short, step, short)):
            with cgutils.for_range(builder, count) as loop:
                index = builder.add(builder.sub(start, back), loop.index)
                work(_white(builder, key, index, stretch, kind))
        with cgutils.for_range(builder, stretch) as loop:
            index = builder.add(start, loop.index)
            _store(builder, step(_white(builder, key, index, stretch, kind)), out.data, loop.index, stretch)

    return run


@intrinsic
def _pink(_typing: Any, key: Any, start: Any, warm: Any, out: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        memory = _States(builder, len(_POLES) + 1, _SINGLE)

        def quick(v: _Lanes) -> None:
            slow = zip(memory.read()[:_SLOW_POLES], _POLES, strict=False)
            memory.write([a * pole + v for a, (pole, _) in slow])

        def step(v: _Lanes) -> _Lanes:
            *states, before = memory.read()
            states = [a * pole + v for a, (pole, _) in zip(states, _POLES, strict=True)]
            memory.write([*states, v])
            a = [a * gain for a, (_, gain) in zip(states, _POLES, strict=True)]
            return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (before * _BEFORE + v * _NOW))

        _over(builder, context, signature, arguments, _SETTLE_SAMPLES)(step, quick, _SINGLE)
        return context.get_dummy_value()

    return types.void(key, start, warm, out), build


@intrinsic
def _shaped(_typing: Any, key: Any, start: Any, warm: Any, coefficients: Any, out: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # Double precision: poles near 1 multiply what single precision rounds off.
        table = context.make_array(signature.args[3])(context, builder, value=arguments[3]).data
        factors = [
            _Lanes(builder, _spread(builder, builder.load(builder.gep(table, [ir.Constant(_LONG, n)])), _DOUBLE), _DOUBLE)
            for n in range(10)
        ]
        memory = _States(builder, 4, _DOUBLE)

        def step(v: _Lanes) -> _Lanes:
            b0, b1, b2, a1, a2, d0, d1, d2, c1, c2 = factors
            p, q, r, s = memory.read()
            y = b0 * v + p
            z = d0 * y + r
            memory.write([b1 * v + q - a1 * y, b2 * v - a2 * y, d1 * y + s - c1 * z, d2 * y - c2 * z])
            return z

        _over(builder, context, signature, arguments, 0)(step, step, _DOUBLE)
        return context.get_dummy_value()

    return types.void(key, start, warm, coefficients, out), build


@kernel("void(u8, i8, i8, f4[:, ::1])")
def pink(key: np.uint64, start: int, warm: int, out: Sound) -> None:
    """Fill `out` (2, 4 k) with pink noise, each quarter after `warm` samples (256 at least) of its own past."""
    _pink(key, start, warm, out)


@kernel("void(u8, i8, i8, f8[:, ::1], f4[:, ::1])")
def shaped(key: np.uint64, start: int, warm: int, coefficients: Exact, out: Sound) -> None:
    """Fill `out` (2, 4 k) with white noise through two biquads (b0 b1 b2 a1 a2)."""
    _shaped(key, start, warm, coefficients, out)


@kernel("void(f4[:, ::1], i8, i8, f4[:, ::1], f4[:, ::1])")
def resample(x: Sound, first: int, start: int, filters: Sound, out: Sound) -> None:
    """Fill `out` (m, 2) with samples `start` on of `x` (n, 2; from index `first`) at 160/147 of its rate."""
    taps = filters.shape[1]
    for m in range(out.shape[0]):
        place = (start + m) * 147
        at, row = place // 160 - (taps // 2 - 1) - first, filters[place % 160]
        left = right = np.float32(0.0)
        for t in range(taps):
            left += row[t] * x[at + t, 0]
            right += row[t] * x[at + t, 1]
        out[m, 0], out[m, 1] = left, right
