"""What a curve did day by day and month by month, and its deepest falls: of time-weighted values, as fractions."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from tradebot.model.time import DAY, NANOS_PER_MS, to_ms
from tradebot.report.metrics import daily_values
from tradebot.report.shapes import Document, Json
from tradebot.report.tally import By, period, period_name

_DEEPEST = 5


class _Fall(NamedTuple):
    """A fall from a peak: where it began, where it was deepest, and where the peak was reached again."""

    depth: float
    peak: int
    trough: int
    end: int | None


def daily_rows(ts: Sequence[int], values: Sequence[float]) -> list[Json]:
    """Return ``[midnight in ms, simple return]`` of each finished day; empty when one counts from nothing."""
    days = daily_values(ts, values)
    if len(days) < 2 or any(value <= 0 for value in days[:-1]):
        return []
    first = ts[0] - ts[0] % DAY + DAY
    return [
        [(first + number * DAY) // NANOS_PER_MS, later / earlier - 1]
        for number, (earlier, later) in enumerate(pairwise(days))
    ]


def daily_of(report: Mapping[str, Json]) -> list[tuple[int, float]]:
    """Return the ``daily_returns`` of a report as pairs."""
    daily = report.get("daily_returns")
    return [(int(ts), float(value)) for ts, value in daily] if isinstance(daily, list) else []


def monthly_rows(ts: Sequence[int], values: Sequence[float]) -> list[Json]:
    """Return a row a UTC month, unfinished ones included: ``month``, and its ``return`` where it has one."""
    return list(_months(ts, values))


def _months(ts: Sequence[int], values: Sequence[float]) -> Iterator[Document]:
    position = 1
    while position < len(ts):
        # A point at the very end of a month still belongs to it.
        start, end = period(By.MONTH, ts[position] - 1)
        last = bisect_right(ts, end, position) - 1
        before = values[position - 1]
        yield {
            "month": period_name(By.MONTH, start),
            "return": values[last] / before - 1 if before > 0 else None,
        }
        position = last + 1


def drawdown_rows(ts: Sequence[int], values: Sequence[float]) -> list[Json]:
    """Return the deepest falls, the deepest first: ``depth_pct``, and when it began, was deepest and was made good.

    ``until`` is ``None`` where the peak was not reached again.
    """
    deepest = sorted(_falls(values), key=lambda fall: (-fall.depth, fall.peak))[:_DEEPEST]
    return [
        {
            "depth_pct": fall.depth * 100,
            "since": to_ms(ts[fall.peak]),
            "trough": to_ms(ts[fall.trough]),
            "until": None if fall.end is None else to_ms(ts[fall.end]),
        }
        for fall in deepest
    ]


def _falls(values: Sequence[float]) -> Iterator[_Fall]:
    peak = trough = 0
    for place, value in enumerate(values):
        if value < values[peak]:
            if value < values[trough] or trough <= peak:
                trough = place
        else:
            if trough > peak and values[peak] > 0:
                yield _Fall(1 - values[trough] / values[peak], peak, trough, place)
            peak = trough = place
    if trough > peak and values[peak] > 0:
        yield _Fall(1 - values[trough] / values[peak], peak, trough, None)
