"""Value at risk and expected shortfall of a day's P&L, by three methods. Formulas: docs/explanation/risk.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING
from enum import StrEnum
from math import exp, pi, sqrt
from statistics import NormalDist
from typing import assert_never

from tradebot.model.money import BOOKING_UNIT, Cash, from_float
from tradebot.pipeline.risk.measures.moments import Sample, covariance, deviation, mean, quantile

LEVELS = (0.95, 0.99)
HORIZON_DAYS = 1
_NORMAL = NormalDist()


class TailMethod(StrEnum):
    """How the tail of the P&L is found."""

    HISTORICAL = "historical"
    PARAMETRIC = "parametric"
    CORNISH_FISHER = "cornish_fisher"


@dataclass(frozen=True, slots=True)
class Tail:
    """Losses >= 0 in the unit of the P&L: one that is passed with ``1 - level``, and the mean of those beyond."""

    var: float
    cvar: float


def tail(pnl: Sequence[float], method: TailMethod, level: float) -> Tail:
    """Return the tail of ``pnl``, one value a day, not empty; ``level`` in (0.5, 1).

    Cornish and Fisher's quantiles do not fall all the way for a series far from normal; the mean beyond one is then
    not less than it.
    """
    # 1 - 0.95 is not 0.05.
    part = round(1 - level, 9)
    sample = pnl if isinstance(pnl, Sample) else Sample(pnl)
    match method:
        case TailMethod.HISTORICAL:
            worst = sample.ordered[: int(part * (len(sample) - 1)) + 1]
            return _losses(quantile(sample.ordered, part), mean(worst))
        case TailMethod.PARAMETRIC:
            return _expanded(sample, part, 0.0, 0.0)
        case TailMethod.CORNISH_FISHER:
            return _expanded(sample, part, *sample.shape)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def marginal(pnl: Sequence[float], returns: Sequence[float], level: float) -> float:
    """Return by how much the parametric VaR of ``pnl`` grows with a unit of money more in what made ``returns``.

    Times what is held of it: its component, and the components sum to the VaR.
    """
    spread = deviation(pnl)
    if spread <= 0:
        return -mean(returns)
    return -mean(returns) - _NORMAL.inv_cdf(round(1 - level, 9)) * covariance(pnl, returns) / spread


def as_loss(amount: float) -> Cash:
    """Return a measured loss as money: to 1e-8, up, so that no limit is passed by rounding."""
    return Cash(from_float(amount).quantize(BOOKING_UNIT, ROUND_CEILING))


def _expanded(sample: Sample, part: float, skew: float, kurtosis: float) -> Tail:
    """Return the tail of the Cornish-Fisher expansion; without skewness and kurtosis the normal one."""
    z = _NORMAL.inv_cdf(part)
    beyond = -exp(-z * z / 2) / sqrt(2 * pi) / part
    at = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    over = beyond * (1 + z * skew / 6 + (z**2 - 1) * kurtosis / 24 - (2 * z**2 - 1) * skew**2 / 36)
    centre, spread = sample.mean, sample.deviation
    return _losses(centre + at * spread, centre + over * spread)


def _losses(at: float, beyond: float) -> Tail:
    var = max(0.0, -at)
    return Tail(var=var, cvar=max(var, -beyond))
