"""Bands around price: Bollinger's, equal to TA-Lib's, and Donchian's."""

from math import sqrt
from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints
from tradebot.pipeline.patterns.window import GREATEST, Window, new_window, push

# Whole numbers of Bollinger bands: the length, values seen up to that, and the place of the next.
SIZE, SEEN, AT = 0, 1, 2
# Floats of Bollinger bands: how many deviations apart, and the ring of closes.
DEVIATIONS, RING = 0, 1


class Bollinger(NamedTuple):
    """The last closes."""

    ints: Ints
    floats: Floats


class Donchian(NamedTuple):
    """The extremes of the last bars. ``wait``: bars until there are enough."""

    wait: Ints
    highs: Window
    lows: Window


def new_bollinger(n: int, deviations: float) -> Bollinger:
    """Return the state before the first bar."""
    return Bollinger(ints(n, 0, 0), floats(deviations, zeros=n))


def new_donchian(n: int) -> Donchian:
    """Return the state before the first bar."""
    return Donchian(ints(n - 1), new_window(n), new_window(n))


def step_bollinger(state: Bollinger, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the upper band, the mean of the closes, and the lower band; the deviation is that of a population.

    It is taken anew from the mean at each bar: sums of squares would lose all digits where price stands still.
    """
    size = state.ints[SIZE]
    at = state.ints[AT]
    state.floats[RING + at] = c
    state.ints[AT] = at + 1 if at + 1 < size else 0
    if state.ints[SEEN] < size:
        state.ints[SEEN] += 1
        if state.ints[SEEN] < size:
            return 0
    total = 0.0
    for place in range(RING, RING + size):
        total += state.floats[place]
    mean = total / size
    squares = 0.0
    for place in range(RING, RING + size):
        off = state.floats[place] - mean
        squares += off * off
    reach = state.floats[DEVIATIONS] * sqrt(squares / size)
    out[0] = mean + reach
    out[1] = mean
    out[2] = mean - reach
    return 1


def step_donchian(state: Donchian, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the highest high, the middle, and the lowest low of the last bars, this one included."""
    push(state.highs, h)
    push(state.lows, -lo)
    if state.wait[0] > 0:
        state.wait[0] -= 1
        return 0
    out[0] = state.highs.floats[GREATEST]
    out[2] = -state.lows.floats[GREATEST]
    out[1] = (out[0] + out[2]) / 2.0
    return 1
