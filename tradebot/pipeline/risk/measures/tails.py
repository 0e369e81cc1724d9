"""Value at risk and expected shortfall of a day's P&L, by three methods. Formulas: docs/explanation/risk.md."""

from collections.abc import Sequence
from decimal import ROUND_CEILING
from enum import StrEnum
from functools import lru_cache
from math import exp, pi, sqrt
from statistics import NormalDist
from typing import NamedTuple, assert_never

from tradebot.model.money import BOOKING_UNIT, Cash, from_float
from tradebot.pipeline.risk.measures.moments import Sample, covariance, deviation, mean, quantile

LEVELS = (0.95, 0.99)
HORIZON_DAYS = 1


class TailMethod(StrEnum):
    """How the tail of the P&L is found."""

    HISTORICAL = "historical"
    PARAMETRIC = "parametric"
    CORNISH_FISHER = "cornish_fisher"


class Tail(NamedTuple):
    """Losses >= 0 in the unit of the P&L: one that is passed with ``1 - level``, and the mean of those beyond."""

    var: float
    cvar: float


def tail(pnl: Sequence[float], method: TailMethod, level: float) -> Tail:
    """Return the tail of ``pnl``, one value a day, not empty; ``level`` in (0.5, 1).

    Cornish and Fisher's quantiles do not fall all the way for a series far from normal; the mean beyond one is then
    not less than it.
    """
    normal = _normal(level)
    sample = pnl if isinstance(pnl, Sample) else Sample(pnl)
    match method:
        case TailMethod.HISTORICAL:
            worst = sample.ordered[: int(normal.part * (len(sample) - 1)) + 1]
            return _losses(quantile(sample.ordered, normal.part), mean(worst))
        case TailMethod.PARAMETRIC:
            return _expanded(sample, normal, 0.0, 0.0)
        case TailMethod.CORNISH_FISHER:
            return _expanded(sample, normal, *sample.shape)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


@lru_cache(maxsize=8)
def worst_tail(pnl: Sample, level: float) -> Tail:
    """Return the largest VaR and the largest CVaR that any method finds; several limits ask for the same ones."""
    tails = [tail(pnl, method, level) for method in TailMethod]
    return Tail(var=max(one.var for one in tails), cvar=max(one.cvar for one in tails))


def marginal(pnl: Sequence[float], returns: Sequence[float], level: float) -> float:
    """Return by how much the parametric VaR of ``pnl`` grows with a unit of money more in what made ``returns``.

    Times what is held of it: its component, and the components sum to the VaR.
    """
    spread = deviation(pnl)
    if spread <= 0:
        return -mean(returns)
    return -mean(returns) - _normal(level).z * covariance(pnl, returns) / spread


def as_loss(amount: float) -> Cash:
    """Return a measured loss as money: to 1e-8, up, so that no limit is passed by rounding."""
    return Cash(from_float(amount).quantize(BOOKING_UNIT, ROUND_CEILING))


class _Normal(NamedTuple):
    """The normal distribution below a level: what ``part`` of it lies under ``z``, with the mean ``beyond``."""

    part: float
    z: float
    beyond: float


@lru_cache
def _normal(level: float) -> _Normal:
    # 1 - 0.95 is not 0.05.
    part = round(1 - level, 9)
    z = NormalDist().inv_cdf(part)
    return _Normal(part, z, -exp(-z * z / 2) / sqrt(2 * pi) / part)


def _expanded(sample: Sample, normal: _Normal, skew: float, kurtosis: float) -> Tail:
    """Return the tail of the Cornish-Fisher expansion; without skewness and kurtosis the normal one."""
    _, z, beyond = normal
    at = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    over = beyond * (1 + z * skew / 6 + (z**2 - 1) * kurtosis / 24 - (2 * z**2 - 1) * skew**2 / 36)
    centre, spread = sample.mean, sample.deviation
    return _losses(centre + at * spread, centre + over * spread)


def _losses(at: float, beyond: float) -> Tail:
    var = max(0.0, -at)
    return Tail(var=var, cvar=max(var, -beyond))
