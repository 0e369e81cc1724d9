"""How far the figures of a run could be luck: bootstrap intervals, and what another order of the trades had meant.

Intervals: a circular block bootstrap (Politis and Romano 1992) with blocks of the cube root of n, percentile method.
Whole blocks are drawn, so that days or trades that hang together stay together, and a resample costs n^(2/3).
Drawdowns: the round trips in random order, the amounts as they were. The seed is fixed: a run has the same figures
each time. Explained in docs/explanation/luck.md.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from random import Random  # noqa: TID251 - seeded here, and nothing that trades sees it
from typing import NamedTuple

from tradebot.model.money import book, from_float, plain
from tradebot.model.position import RoundTrip
from tradebot.report.metrics import PERIODS
from tradebot.report.periods import daily_of
from tradebot.report.shapes import Document, Json

SEED = 1
SAMPLES = 1000
LEVEL = 0.95
LEAST_TRADES = 30
"""Below so many round trips no ratio of them means anything: the usual floor of the central limit theorem."""
LEAST_DAYS = 60
"""Below so many daily returns a Sharpe ratio means nothing: its standard error is then above 2.4 a year."""
_LEAST_VALUES = 10
"""Of fewer a block is so much of the ring that resamples hardly differ: their interval would be falsely narrow."""
_TWO_SIDED = 1.959963984540054
_MOST_PARTS = 500
_MOST_UNDEFINED = 0.05

_Sums = Sequence[float]
_Statistic = Callable[[float, _Sums], float | None]


class _Part(NamedTuple):
    """A run of trades that stays together: its sum, its highest and lowest level on the way, its deepest fall."""

    total: float
    high: float
    low: float
    fall: float


def with_uncertainty(report: Document, trips: Iterable[RoundTrip]) -> Document:
    """Return ``report`` with what its days and its ``trips``, in order of exit, could be by luck.

    It is no part of the report's own sums since it costs some tenths of a second.
    """
    days = [value for _, value in daily_of(report)]
    start = report["starting_equity"]
    nets = [float(trip.net_pnl) for trip in trips]
    return report | uncertainty(days, nets, float(start) if isinstance(start, str) else None)


def uncertainty(days: Sequence[float], net_pnls: Sequence[float], starting_equity: float | None) -> Document:
    """Return the keys ``uncertainty`` and ``monte_carlo`` of a report.

    ``days`` are daily returns, ``net_pnls`` those of the round trips in order of exit.
    """
    day_block, trade_block = _block(len(days)), _block(len(net_pnls))
    intervals = {
        **_intervals(_day_terms(days), len(days), day_block, _DAY_STATISTICS),
        **_intervals(_trade_terms(net_pnls), len(net_pnls), trade_block, _TRADE_STATISTICS),
    }
    told = intervals["expectancy"]
    return {
        "uncertainty": {
            "level": LEVEL,
            "samples": SAMPLES,
            "seed": SEED,
            "days": len(days),
            "day_block": day_block,
            "trades": len(net_pnls),
            "trade_block": trade_block,
            **{name: _pair(pair, is_money=name == "expectancy") for name, pair in intervals.items()},
            "least_trades": LEAST_TRADES,
            "least_days": LEAST_DAYS,
            "is_too_few_trades": len(net_pnls) < LEAST_TRADES,
            "is_too_few_days": len(days) < LEAST_DAYS,
            "is_expectancy_clear": told is not None and (told[0] > 0 or told[1] < 0),
            "trades_to_tell": _trades_to_tell(net_pnls),
        },
        "monte_carlo": _monte_carlo(net_pnls, starting_equity),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of ``ordered`` lies, linear between two; ``ordered`` is not empty."""
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _block(count: int) -> int:
    return max(1, math.ceil(math.cbrt(count) - 1e-9))


def _intervals(
    terms: Sequence[Sequence[float]], count: int, block: int, statistics: Mapping[str, _Statistic]
) -> dict[str, tuple[float, float] | None]:
    """Return the interval of each statistic of resamples; a statistic gets ``count`` and the sum of each term."""
    if count < _LEAST_VALUES:
        return dict.fromkeys(statistics)
    # Around the end once more, so that every block is a difference of two prefix sums.
    prefixes = [list(accumulate((*term, *term[:block]), initial=0.0)) for term in terms]
    rest = count % block
    lengths = [block] * (count // block) + ([rest] if rest else [])
    random = Random(SEED).random  # noqa: S311 - no secret  # nosec B311
    found: dict[str, list[float]] = {name: [] for name in statistics}
    for _ in range(SAMPLES):
        starts = [int(random() * count) for _ in lengths]
        spans = [(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        # Exactly: what ``sum`` gives depends on the version of Python.
        sums = [math.fsum([prefix[end] - prefix[start] for start, end in spans]) for prefix in prefixes]
        for name, statistic in statistics.items():
            value = statistic(count, sums)
            if value is not None:
                found[name].append(value)
    return {name: _interval(values) for name, values in found.items()}


def _interval(values: list[float]) -> tuple[float, float] | None:
    # Where the statistic has often no value, an interval of the rest would be too good.
    if len(values) < SAMPLES * (1 - _MOST_UNDEFINED):
        return None
    values.sort()
    tail = (1 - LEVEL) / 2
    return percentile(values, tail), percentile(values, 1 - tail)


def _day_terms(days: Sequence[float]) -> list[list[float]]:
    return [list(days), [day * day for day in days], [min(day, 0.0) ** 2 for day in days]]


def _trade_terms(nets: Sequence[float]) -> list[list[float]]:
    return [list(nets), [max(net, 0.0) for net in nets], [float(net > 0) for net in nets]]


def _sharpe(count: float, sums: _Sums) -> float | None:
    total, squares, _ = sums
    variance = (squares - total * total / count) / (count - 1)
    # What is left of equal returns is noise of the last digit.
    if variance <= 1e-12 * squares / count:
        return None
    return total / count / math.sqrt(variance) * math.sqrt(PERIODS)


def _sortino(count: float, sums: _Sums) -> float | None:
    total, squares, below = sums
    # Differences of prefix sums leave noise of the last digits where no day lost.
    if below <= 1e-12 * squares:
        return None
    return total / count / math.sqrt(below / count) * math.sqrt(PERIODS)


def _profit_factor(_: float, sums: _Sums) -> float | None:
    total, won, _ = sums
    lost = won - total
    return won / lost if lost > 1e-9 * won else None


_DAY_STATISTICS: Mapping[str, _Statistic] = {"sharpe": _sharpe, "sortino": _sortino}
_TRADE_STATISTICS: Mapping[str, _Statistic] = {
    "expectancy": lambda count, sums: sums[0] / count,
    "win_rate": lambda count, sums: sums[2] / count,
    "profit_factor": _profit_factor,
}


def _trades_to_tell(nets: Sequence[float]) -> int | None:
    """Return how many such trades tell their mean from 0 at ``LEVEL``, were each independent of the others."""
    if len(nets) < 2:
        return None
    mean = math.fsum(nets) / len(nets)
    variance = math.fsum((net - mean) ** 2 for net in nets) / (len(nets) - 1)
    if mean == 0:
        return None
    needed = _TWO_SIDED**2 * variance / mean**2
    return math.ceil(needed) if math.isfinite(needed) else None


def _monte_carlo(nets: Sequence[float], starting_equity: float | None) -> Document | None:
    if len(nets) < 2 or starting_equity is None or starting_equity <= 0:
        return None
    size = math.ceil(len(nets) / _MOST_PARTS)
    parts = [_part(nets[first : first + size]) for first in range(0, len(nets), size)]
    random = Random(SEED).random  # noqa: S311 - no secret  # nosec B311
    falls = sorted(_fall(sorted(parts, key=lambda _: random())) for _ in range(SAMPLES))
    scale = 100 / starting_equity
    return {
        "samples": SAMPLES,
        "seed": SEED,
        "together": size,
        "observed_pct": _fall(parts) * scale,
        **{f"p{share}_pct": percentile(falls, share / 100) * scale for share in (5, 50, 95, 99)},
    }


def _part(nets: Sequence[float]) -> _Part:
    level = high = low = fall = 0.0
    for net in nets:
        level += net
        high, low = max(high, level), min(low, level)
        fall = max(fall, high - level)
    return _Part(level, high, low, fall)


def _fall(parts: Iterable[_Part]) -> float:
    level = peak = worst = 0.0
    for total, high, low, fall in parts:
        deep = peak - level - low
        if deep > worst:
            worst = deep
        if fall > worst:
            worst = fall
        if level + high > peak:
            peak = level + high
        level += total
    return worst


def _pair(pair: tuple[float, float] | None, *, is_money: bool) -> list[Json] | None:
    if pair is None:
        return None
    return [plain(book(from_float(end))) for end in pair] if is_money else list(pair)
