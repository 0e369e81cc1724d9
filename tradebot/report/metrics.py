"""What the numbers of a run mean, by the conventions of empyrical-reloaded. The only floats of a report.

Daily value = the last point at or before 00:00 UTC; the first return counts from the start; an unfinished
last day is left out. Simple returns, 365 periods a year, risk-free rate 0. What has no value is ``None``,
never NaN or infinity. Source of the formulas: docs/reference/json.md.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise

from tradebot.model.time import DAY

PERIODS = 365
_TAIL = 0.05


def time_weighted(equity: Sequence[int], deposits: Iterable[tuple[int, int]]) -> Sequence[float]:
    """Return ``equity`` as it would be had no money come from outside: what came is neither gain nor loss.

    ``deposits`` are amounts, < 0 for money that left, each with the number of points before it. The point after
    a deposit may hold it or not, so it shows no return; the next one shows that of both steps together.
    """
    came: dict[int, int] = {}
    for before, amount in deposits:
        came[before] = came.get(before, 0) + amount
    if not came or not equity:
        return equity
    # From one deposit to the next, values are multiples of equity: what stands still stays the same to the last bit.
    values: list[float] = [equity[0]]
    level, base, unseen, is_moved = values[0], equity[0], 0, 0 in came
    is_unknown = is_moved
    for index in range(1, len(equity)):
        now = equity[index]
        if index in came:
            unseen, is_moved = unseen + came[index], True
            values.append(values[-1])
            continue
        # Of nothing there is no return, and of a first point that may lack a deposit neither.
        values.append(level if base <= 0 or is_unknown else level * ((now - unseen) / base))
        if is_moved:
            level, base, unseen, is_moved, is_unknown = values[-1], now, 0, False, False
    return values


def daily_values(ts: Sequence[int], equity: Sequence[float]) -> list[float]:
    """Return the first equity, then that at each midnight the curve has reached."""
    if not ts:
        return []
    values = [equity[0]]
    position = 0
    for midnight in range(ts[0] - ts[0] % DAY + DAY, ts[-1] + 1, DAY):
        position = bisect_right(ts, midnight, position) - 1
        values.append(equity[position])
    return values


def daily_returns(values: Sequence[float]) -> list[float] | None:
    """Return the simple returns of ``values``; ``None`` when one counts from nothing or less."""
    if any(value <= 0 for value in values[:-1]):
        return None
    return [later / earlier - 1 for earlier, later in pairwise(values)]


def volatility(returns: Sequence[float]) -> float | None:
    """Return the standard deviation (ddof 1) x sqrt(365)."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1) * PERIODS)


def annual_return(values: Sequence[float]) -> float | None:
    """Return the compound yearly growth of daily values; ``None`` below two days."""
    days = len(values) - 1
    if days < 2 or values[-1] < 0:
        return None
    try:
        return math.pow(values[-1] / values[0], PERIODS / days) - 1
    except OverflowError:
        return None


def sharpe(returns: Sequence[float]) -> float | None:
    """Return mean / standard deviation (ddof 1) x sqrt(365)."""
    if len(returns) < 2 or min(returns) == max(returns):
        return None
    mean = math.fsum(returns) / len(returns)
    variance = math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1)
    return _ratio(mean * math.sqrt(PERIODS), math.sqrt(variance))


def sortino(returns: Sequence[float]) -> float | None:
    """Return the yearly mean over the yearly downside deviation about 0, over all days."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    downside = math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns)
    return _ratio(mean * PERIODS, math.sqrt(downside) * math.sqrt(PERIODS))


def calmar(values: Sequence[float]) -> float | None:
    """Return the compound yearly growth over the deepest fall, both of daily values."""
    growth, fall = annual_return(values), max_drawdown(values)
    return _ratio(growth, fall) if growth is not None and fall else None


def value_at_risk(returns: Sequence[float]) -> float | None:
    """Return the 5 % percentile of the returns, linear between two."""
    if len(returns) < 2:
        return None
    ordered = sorted(returns)
    place = _TAIL * (len(ordered) - 1)
    below = int(place)
    return ordered[below] + (ordered[below + 1] - ordered[below]) * (place - below)


def conditional_value_at_risk(returns: Sequence[float]) -> float | None:
    """Return the mean of the lowest int(0.05 (n - 1)) + 1 returns."""
    if len(returns) < 2:
        return None
    count = int((len(returns) - 1) * _TAIL) + 1
    return math.fsum(sorted(returns)[:count]) / count


def max_drawdown(equity: Sequence[float]) -> float | None:
    """Return the deepest fall from a running peak, as a fraction of that peak, >= 0.

    Above 1 when equity went below 0. ``None`` when empty or never above 0.
    """
    if not equity or max(equity) <= 0:
        return None
    peak = trough = equity[0]
    worst = 0.0
    for value in equity:
        if value > peak:
            worst = max(worst, _fall(peak, trough))
            peak = trough = value
        elif value < trough:
            trough = value
    return max(worst, _fall(peak, trough))


def win_loss(wins: int, losses: int, won: Decimal, lost: Decimal, trades: int) -> dict[str, float | None]:
    """Return ``win_rate``, ``profit_factor`` and ``kelly`` of ``trades`` round trips.

    ``won`` and ``lost`` are the sums of the winners and losers, both >= 0.
    """
    if not trades:
        return {"win_rate": None, "profit_factor": None, "kelly": None}
    rate = wins / trades
    kelly = None
    if wins and losses:
        kelly = rate - (1 - rate) / float((won / wins) / (lost / losses))
    return {"win_rate": rate, "profit_factor": float(won / lost) if losses else None, "kelly": kelly}


def curve_metrics(ts: Sequence[int], equity: Sequence[float]) -> dict[str, float | None]:
    """Return all that the curve alone tells, by its key in the report."""
    values = daily_values(ts, equity)
    returns = daily_returns(values) if len(values) > 2 else None
    fall = max_drawdown(equity)
    whole = {
        "return_pct": (equity[-1] / equity[0] - 1) * 100 if equity and equity[0] > 0 else None,
        "max_drawdown_pct": None if fall is None else fall * 100,
    }
    if returns is None:
        # Fewer than two days, or a day that began with nothing: no return has a meaning.
        ratios = ("annual_return", "volatility", "sharpe", "sortino", "calmar", "var95", "cvar95")
        return {**whole, **dict.fromkeys(ratios)}
    return {
        **whole,
        "annual_return": annual_return(values),
        "volatility": volatility(returns),
        "sharpe": sharpe(returns),
        "sortino": sortino(returns),
        "calmar": calmar(values),
        "var95": value_at_risk(returns),
        "cvar95": conditional_value_at_risk(returns),
    }


def _fall(peak: float, trough: float) -> float:
    return (peak - trough) / peak if peak > 0 else 0.0


def _ratio(above: float, below: float) -> float | None:
    if below == 0:
        return None
    value = above / below
    return value if math.isfinite(value) else None
