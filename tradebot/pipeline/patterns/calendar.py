"""Days, weeks and sessions in UTC. A bar belongs to those of its opening time."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000
# Whole numbers of a period: its number since 1970, and 1 once it and one before it have a bar.
NUMBER, HAS_BEGUN, HAS_PREVIOUS = 0, 1, 2
# Floats: high and low of this period and of the one before.
HIGH, LOW, PREVIOUS_HIGH, PREVIOUS_LOW = 0, 1, 2, 3


class Period(NamedTuple):
    """The extremes of a day or a week and of the latest earlier one that has a bar."""

    ints: Ints
    floats: Floats


class Periods(NamedTuple):
    """The day and the week."""

    day: Period
    week: Period


def new_periods() -> Periods:
    """Return the state before the first bar."""
    return Periods(Period(ints(0, 0, 0), floats(zeros=4)), Period(ints(0, 0, 0), floats(zeros=4)))


def step(periods: Periods, ts_ms: int, h: float, lo: float) -> None:
    """Take in a bar by its opening time."""
    day = ts_ms // MS_PER_DAY
    extend(periods.day, day, h, lo)
    # Day 0 was a Thursday; weeks begin on Mondays.
    extend(periods.week, (day + 3) // 7, h, lo)


def extend(period: Period, number: int, h: float, lo: float) -> None:
    """Take in a bar of the period ``number``."""
    if period.ints[HAS_BEGUN] and period.ints[NUMBER] == number:
        if h > period.floats[HIGH]:
            period.floats[HIGH] = h
        if lo < period.floats[LOW]:
            period.floats[LOW] = lo
        return
    if period.ints[HAS_BEGUN]:
        period.ints[HAS_PREVIOUS] = 1
        period.floats[PREVIOUS_HIGH] = period.floats[HIGH]
        period.floats[PREVIOUS_LOW] = period.floats[LOW]
    period.ints[HAS_BEGUN] = 1
    period.ints[NUMBER] = number
    period.floats[HIGH] = h
    period.floats[LOW] = lo


def sessions_at(ts_ms: int) -> int:
    """Return the sessions at a time, as bits: Asia 00:00-08:00, London 07:00-16:00, New York 13:00-22:00, UTC.

    Starts are inclusive, ends exclusive.
    """
    hour = ts_ms % MS_PER_DAY // MS_PER_HOUR
    bits = 0
    if hour < 8:
        bits += 1
    if 7 <= hour < 16:
        bits += 2
    if 13 <= hour < 22:
        bits += 4
    return bits
