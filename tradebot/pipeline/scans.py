"""Loops over the columns of many bars at once, plain functions like the pattern kernels, and compiled like them.

Prices are whole numbers of one unit, money of 1e-8; ``at`` is the first place looked at, ``until`` the one behind the
last. A scan that looks for a place returns ``until`` where there is none.
"""

from collections.abc import Callable

from tradebot.pipeline.patterns.arrays import Ints

NEVER_LOW, NEVER_HIGH = -(2**63), 2**63 - 1
"""Bounds that no number reaches."""


def touch(highs: Ints, lows: Ints, at: int, until: int, low: int, high: int) -> int:
    """Return the first place whose low is at or below ``low``, or whose high is at or above ``high``."""
    while at < until and lows[at] > low and highs[at] < high:
        at += 1
    return at


def extremes(highs: Ints, lows: Ints, at: int, until: int) -> tuple[int, int]:
    """Return the places of the lowest low and of the highest high, of equal ones the first; there is one at least."""
    lowest = highest = at
    for place in range(at + 1, until):
        if lows[place] < lows[lowest]:
            lowest = place
        if highs[place] > highs[highest]:
            highest = place
    return lowest, highest


def worth(close: int, qty: int, whole: int, rest: int, step: int) -> int:
    """Return the equity with ``qty`` at ``close``: ``whole`` + (``rest`` + qty * close) / ``step``, half to even.

    A floor division and its remainder, so that nothing is larger than the product is.
    """
    value = qty * close
    units = value // step
    left = value - units * step + rest
    units += whole
    if left >= step:
        left -= step
        units += 1
    if 2 * left > step or (2 * left == step and units % 2 != 0):
        units += 1
    return units


def worths(closes: Ints, at: int, until: int, qty: int, whole: int, rest: int, step: int, out: Ints) -> None:
    """Write the equity at each close into ``out``."""
    for place in range(at, until):
        out[place - at] = worth(closes[place], qty, whole, rest, step)


def stray(
    closes: Ints, at: int, until: int, qty: int, whole: int, rest: int, step: int, low: int, high: int
) -> int:  # fmt: skip
    """Return the first place whose equity is at or below ``low``, or above ``high``."""
    while at < until and low < worth(closes[at], qty, whole, rest, step) <= high:
        at += 1
    return at


def market_worths(
    owners: Ints, closes: Ints, time_numbers: Ints, at: int, until: int,
    qtys: Ints, values: Ints, whole: int, rest: int, step: int, out: Ints,
) -> None:  # fmt: skip
    """Write the equity at the end of each closing time into ``out``, that of the first turn's time first.

    Of the series that has a turn, ``qtys`` has what is held, and ``values`` what that is worth; they are written to.
    """
    total = 0
    for value in values:
        total += value
    for turn in range(at, until):
        owner = owners[turn]
        if qtys[owner] != 0:
            value = qtys[owner] * closes[turn]
            total += value - values[owner]
            values[owner] = value
        out[time_numbers[turn] - time_numbers[at]] = worth(1, total, whole, rest, step)


def turning(points: Ints, count: int, peak: int, trough: int, least: float, out: Ints) -> int:
    """Write those of ``points`` that a drawdown measured from ``peak`` and ``trough`` depends on; return how many.

    They are each new peak behind a fall, the trough of that fall, and what stands at the end. Falls of less than
    ``least`` of their peak are left out.
    """
    found = 0
    has_trough = has_peak = False
    for place in range(count):
        point = points[place]
        if point < trough:
            trough, has_trough = point, True
        elif point > peak:
            if has_trough:
                if peak - trough >= least * peak:
                    if has_peak:
                        out[found] = peak
                        found += 1
                    out[found] = trough
                    found += 1
                has_trough = False
            peak = trough = point
            has_peak = True
    if has_peak:
        out[found] = peak
        found += 1
    if has_trough:
        out[found] = trough
        found += 1
    return found


SCANS: tuple[Callable[..., object], ...] = (touch, extremes, worth, worths, stray, market_worths, turning)
"""Innermost first."""
