"""What the risk stage is told: how large an order may be, and what all of them together may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tradebot.model.money import ONE

ACCOUNT = "account"
"""The scope of a limit on all there is."""


class SizeKind(StrEnum):
    """How the size of an entry follows from the rule's value."""

    QTY = "qty"
    NOTIONAL = "notional"
    EQUITY_FRACTION = "equity_fraction"
    RISK_FRACTION = "risk_fraction"


class ConfidenceScale(StrEnum):
    """How the size of an entry follows from its confidence."""

    NONE = "none"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class KellyRule:
    """``fraction`` of Kelly's bet, at most ``most`` of equity, after ``min_trades``; ``least`` of the size remains."""

    fraction: Decimal
    most: Decimal
    min_trades: int
    least: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawdownRule:
    """From ``from_pct`` below the peak on sizes shrink evenly, to ``least`` of them at ``to_pct``."""

    from_pct: Decimal
    to_pct: Decimal
    least: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRule:
    """What makes entries smaller than their size rule; nothing where it is left out.

    ``volatility`` is how much a position may vary in a year, as a fraction of equity; ``min_trades`` is of how many
    results on the spread of a strategy is known.
    """

    volatility: Decimal | None = None
    regime: bool = False
    kelly: KellyRule | None = None
    risk_parity: bool = False
    min_trades: int = 30
    drawdown: DrawdownRule | None = None


NO_SCALES = ScaleRule()


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The size of an entry: ``value`` > 0 is a quantity, an amount of cash, or a fraction of equity, by ``kind``.

    ``shares`` are the parts, in (0, 1], of the equity that strategies may use; one that is not named may use all.
    """

    kind: SizeKind
    value: Decimal
    scale: ConfidenceScale = ConfidenceScale.NONE
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    scales: ScaleRule = NO_SCALES

    def share(self, strategy: str) -> Decimal:
        """Return the part of the equity that ``strategy`` may use."""
        return self.shares.get(strategy, ONE)


Limits = dict[str, Decimal]
"""Numbers by the keys of ``[risk]`` that set them; what is not bounded is missing.

A limit cuts an order and refuses only one cut to nothing; ``min_confidence`` refuses what is below it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of one limit is used: ``pct_used`` of ``max``, in percent.

    ``scope`` is what it bounds: the account, or the symbol, side or strategy that uses most of it.
    """

    limit: str
    value: Decimal
    max: Decimal
    pct_used: Decimal
    scope: str = ACCOUNT
