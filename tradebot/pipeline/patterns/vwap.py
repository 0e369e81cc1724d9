"""The volume-weighted average price since 00:00 UTC."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints
from tradebot.pipeline.patterns.calendar import MS_PER_DAY

# Floats: the day's turnover and volume.
TURNOVER, VOLUME = 0, 1


class Vwap(NamedTuple):
    """The day, since 1970, and its sums."""

    day: Ints
    floats: Floats


def new_vwap() -> Vwap:
    """Return the state before the first bar."""
    return Vwap(ints(-1), floats(0.0, 0.0))


def step_vwap(state: Vwap, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the average of (high + low + close) / 3 by volume; undefined while the day has no volume.

    A bar belongs to the day of its opening time ``ts``, in epoch milliseconds.
    """
    day = ts // MS_PER_DAY
    if day != state.day[0]:
        state.day[0] = day
        state.floats[TURNOVER] = 0.0
        state.floats[VOLUME] = 0.0
    state.floats[TURNOVER] += (h + lo + c) / 3.0 * v
    state.floats[VOLUME] += v
    if state.floats[VOLUME] <= 0.0:
        return 0
    out[0] = state.floats[TURNOVER] / state.floats[VOLUME]
    return 1
