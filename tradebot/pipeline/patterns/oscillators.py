"""Relative strength index and stochastic: equal to TA-Lib's, 0 where nothing moves."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints
from tradebot.pipeline.patterns.averages import MEAN, Mean, new_mean, push_mean
from tradebot.pipeline.patterns.window import GREATEST, Window, new_window, push

# Floats of an RSI: its length, changes seen up to one more than that, the last close, average gain and loss.
LENGTH, SEEN, LAST_CLOSE, GAIN, LOSS = 0, 1, 2, 3, 4


class Stochastic(NamedTuple):
    """Where the close stands between the extremes, averaged once and twice. ``wait``: bars until the first."""

    wait: Ints
    highs: Window
    lows: Window
    slow: Mean
    signal: Mean


def new_rsi(n: int) -> Floats:
    """Return the state before the first bar."""
    return floats(n, 0.0, 0.0, 0.0, 0.0)


def new_stochastic(fastk: int, slowk: int, slowd: int) -> Stochastic:
    """Return the state before the first bar."""
    return Stochastic(ints(fastk - 1), new_window(fastk), new_window(fastk), new_mean(slowk), new_mean(slowd))


def step_rsi(rsi: Floats, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give Wilder's relative strength index of the closes, 0 to 100; 0 without any change."""
    n = rsi[LENGTH]
    seen = rsi[SEEN]
    change = c - rsi[LAST_CLOSE]
    rsi[LAST_CLOSE] = c
    if seen <= n:
        rsi[SEEN] = seen + 1.0
    if seen == 0.0:
        return 0
    gain = change if change > 0.0 else 0.0
    loss = -change if change < 0.0 else 0.0
    if seen > n:
        rsi[GAIN] = (rsi[GAIN] * (n - 1.0) + gain) / n
        rsi[LOSS] = (rsi[LOSS] * (n - 1.0) + loss) / n
    else:
        rsi[GAIN] += gain
        rsi[LOSS] += loss
        if seen < n:
            return 0
        rsi[GAIN] = rsi[GAIN] / n
        rsi[LOSS] = rsi[LOSS] / n
    both = rsi[GAIN] + rsi[LOSS]
    out[0] = 100.0 * (rsi[GAIN] / both) if both > 0.0 else 0.0
    return 1


def step_stochastic(state: Stochastic, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give slow %K and slow %D, 0 to 100; a range of nothing counts as 0."""
    push(state.highs, h)
    push(state.lows, -lo)
    if state.wait[0] > 0:
        state.wait[0] -= 1
        return 0
    highest = state.highs.floats[GREATEST]
    lowest = -state.lows.floats[GREATEST]
    share = (c - lowest) / (highest - lowest) * 100.0 if highest > lowest else 0.0
    if not push_mean(state.slow, share):
        return 0
    out[0] = state.slow.floats[MEAN]
    if not push_mean(state.signal, out[0]):
        return 0
    out[1] = state.signal.floats[MEAN]
    return 1
