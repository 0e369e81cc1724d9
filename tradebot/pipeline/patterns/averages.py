"""Simple and exponential averages, and what is made of them. Equal to TA-Lib's."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints

# Whole numbers of a mean: its length, values seen up to that, and the place of the next value.
SIZE, SEEN, AT = 0, 1, 2
# Floats of a mean: the mean, the sum of the present round, and the ring.
MEAN, ROUND, RING = 0, 1, 2
# Floats of an exponential average: its length, values seen up to that, and the average, at first the sum.
LENGTH, COUNT, VALUE = 0, 1, 2


class Mean(NamedTuple):
    """The mean of the last values."""

    ints: Ints
    floats: Floats


class Macd(NamedTuple):
    """Two exponential averages of the close, and one of their difference. ``wait``: bars until the fast one begins."""

    wait: Ints
    fast: Floats
    slow: Floats
    signal: Floats


def new_mean(n: int) -> Mean:
    """Return the mean of ``n`` values, >= 1, before the first."""
    return Mean(ints(n, 0, 0), floats(0.0, 0.0, zeros=n))


def push_mean(mean: Mean, x: float) -> int:
    """Take in a value; return 1 with the mean in ``mean.floats[MEAN]``, or 0 before there are enough values.

    The ring's places behind the newest value hold sums of the round before, each of its own value and all
    later ones: nothing is ever subtracted, so no digits are lost to a price that has left.
    """
    size = mean.ints[SIZE]
    at = mean.ints[AT]
    values = mean.floats
    values[RING + at] = x
    values[ROUND] += x
    total = values[ROUND]
    at += 1
    if at < size:
        total += values[RING + at]
    else:
        at = 0
        values[ROUND] = 0.0
        for place in range(RING + size - 2, RING - 1, -1):
            values[place] += values[place + 1]
    mean.ints[AT] = at
    if mean.ints[SEEN] < size:
        mean.ints[SEEN] += 1
        if mean.ints[SEEN] < size:
            return 0
    values[MEAN] = total / size
    return 1


def new_ema(n: int) -> Floats:
    """Return the exponential average of length ``n`` before the first value."""
    return floats(n, 0.0, 0.0)


def push_ema(ema: Floats, x: float) -> int:
    """Take in a value; return 1 with the average in ``ema[VALUE]``, or 0 before there are enough values.

    The first average is the mean of the first values; the weight of a new value is 2 / (n + 1).
    """
    n = ema[LENGTH]
    if ema[COUNT] < n:
        ema[COUNT] += 1.0
        ema[VALUE] += x
        if ema[COUNT] < n:
            return 0
        ema[VALUE] = ema[VALUE] / n
        return 1
    ema[VALUE] = (x - ema[VALUE]) * (2.0 / (n + 1.0)) + ema[VALUE]
    return 1


def new_macd(fast: int, slow: int, signal: int) -> Macd:
    """Return the state before the first bar. Raises ``ValueError`` unless ``fast`` < ``slow``."""
    if fast >= slow:
        raise ValueError(f"fast is {fast}, but must be below slow, {slow}")
    return Macd(ints(slow - fast), new_ema(fast), new_ema(slow), new_ema(signal))


def step_sma(mean: Mean, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the mean of the closes."""
    is_defined = push_mean(mean, c)
    out[0] = mean.floats[MEAN]
    return is_defined


def step_ema(ema: Floats, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the exponential average of the closes."""
    is_defined = push_ema(ema, c)
    out[0] = ema[VALUE]
    return is_defined


def step_macd(macd: Macd, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give the fast average less the slow one, its own average, and the difference of both.

    The fast average begins so late that its first value falls on that of the slow one, as in TA-Lib.
    """
    if macd.wait[0] > 0:
        macd.wait[0] -= 1
    else:
        push_ema(macd.fast, c)
    if not push_ema(macd.slow, c):
        return 0
    out[0] = macd.fast[VALUE] - macd.slow[VALUE]
    if not push_ema(macd.signal, out[0]):
        return 0
    out[1] = macd.signal[VALUE]
    out[2] = out[0] - out[1]
    return 1
