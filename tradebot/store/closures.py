"""Which gaps are those of a market that closes: at night, at weekends and on holidays, at the same times each time."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache

from tradebot.model.time import DAY, HOUR, WEEK, to_ms
from tradebot.store.series import Missing

_HOUR_MS, _DAY_MS, _WEEK_MS = to_ms(HOUR), to_ms(DAY), to_ms(WEEK)
_EPOCH = date(1970, 1, 1)
# The epoch was a Thursday.
_FIRST_SATURDAY_MS = 2 * _DAY_MS
_SHORTEST_WEEKEND_MS = 36 * _HOUR_MS
# From Thursday's close to Tuesday's opening, at Easter.
_LONGEST_CLOSURE_MS = 5 * _DAY_MS
# A usual time of closing is that of so many gaps: those of summer, and those of winter.
_USUAL_PART = 0.1
_LEAST_USUAL = 3


def irregular(gaps: Sequence[Missing], step_ms: int, first: int, last: int) -> list[Missing]:
    """Return the gaps that are no closures, of a series whose first and last bars open at ``first`` and ``last`` ms.

    A market that trades on Saturdays never closes, and bars of more than a day have no weekends.
    """
    if not gaps or step_ms > _DAY_MS or not _rests_on_saturdays(gaps, step_ms, first, last):
        return list(gaps)
    starts = Counter(gap.ts % _DAY_MS for gap in gaps)
    ends = Counter(_end(gap, step_ms) % _DAY_MS for gap in gaps)
    least = max(_LEAST_USUAL, _USUAL_PART * len(gaps))

    def is_closure(gap: Missing) -> bool:
        end = _end(gap, step_ms)
        if end - gap.ts > _LONGEST_CLOSURE_MS:
            return False
        if _saturdays(gap.ts, end) or _has_holiday(gap.ts, end):
            return True
        usual = starts[gap.ts % _DAY_MS] >= least and ends[end % _DAY_MS] >= least
        return usual and end - gap.ts < _DAY_MS

    return [gap for gap in gaps if not is_closure(gap)]


def _rests_on_saturdays(gaps: Sequence[Missing], step_ms: int, first: int, last: int) -> bool:
    rests = sum(
        _saturdays(gap.ts, _end(gap, step_ms))
        for gap in gaps
        if _end(gap, step_ms) - gap.ts >= min(_SHORTEST_WEEKEND_MS, 2 * step_ms)
    )
    return rests > 0 and rests >= 0.98 * _saturdays(first, last + step_ms)


def _saturdays(since: int, until: int) -> int:
    """Return how many whole Saturdays, UTC or of a clock some hours off, lie in a span."""
    # A broker's clock is up to three hours ahead: its Saturday begins on Friday evening.
    slack = 3 * _HOUR_MS
    from_first = (since - slack - _FIRST_SATURDAY_MS + _WEEK_MS - 1) // _WEEK_MS
    to_last = (until + slack - _FIRST_SATURDAY_MS - _DAY_MS) // _WEEK_MS
    return max(0, to_last - from_first + 1)


def _end(gap: Missing, step_ms: int) -> int:
    return gap.ts + gap.bars * step_ms


def _has_holiday(since: int, until: int) -> bool:
    # The evening before is short, and so is the morning after.
    day, last = _day(since), _day(until - 1)
    while day <= last:
        if day in _holidays(day.year):
            return True
        day += timedelta(days=1)
    return False


def _day(ts: int) -> date:
    return _EPOCH + timedelta(days=ts // _DAY_MS)


@lru_cache(64)
def _holidays(year: int) -> frozenset[date]:
    """Return the days on which no market of currencies trades, or no American exchange."""
    fixed = [date(year, 1, 1), date(year, 12, 25), date(year, 12, 26), date(year, 7, 4), date(year, 12, 31)]
    fixed += [date(year, 6, 19)] if year >= 2022 else []
    # One on a Saturday is kept on Friday, one on a Sunday on Monday.
    observed = [day - timedelta(days=1) for day in fixed if day.weekday() == 5]
    observed += [day + timedelta(days=1) for day in fixed if day.weekday() == 6]
    floating = [_nth_weekday(year, month, weekday, nth) for month, weekday, nth in _FLOATING]
    last_of_may = date(year, 5, 31)
    memorial = last_of_may - timedelta(days=last_of_may.weekday())
    return frozenset([*fixed, *observed, *floating, memorial, _easter(year) - timedelta(days=2), *_CLOSED])


# King, Presidents, Labor, Thanksgiving: month, weekday from Monday, which of the month.
_FLOATING = ((1, 0, 3), (2, 0, 3), (9, 0, 1), (11, 3, 4))
# American exchanges closed for a funeral or a storm.
_CLOSED = (
    *(date(2001, 9, day) for day in (11, 12, 13, 14)),
    date(2004, 6, 11),
    date(2007, 1, 2),
    date(2012, 10, 29),
    date(2012, 10, 30),
    date(2018, 12, 5),
    date(2025, 1, 9),
)


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _easter(year: int) -> date:
    """Return Easter Sunday, by the anonymous Gregorian computus."""
    a, b, c = year % 19, year // 100, year % 100
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 19 * m) // 433
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
