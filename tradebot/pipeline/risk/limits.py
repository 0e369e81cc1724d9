"""What the risk stage is told: how large an order may be, and what all of them together may be."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tradebot.model.money import Cash


class SizeKind(StrEnum):
    """How the size of an entry follows from the rule's value."""

    QTY = "qty"
    NOTIONAL = "notional"
    EQUITY_FRACTION = "equity_fraction"
    RISK_FRACTION = "risk_fraction"


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The size of an entry: ``value`` > 0 is a quantity, an amount of cash, or a fraction of equity, by ``kind``."""

    kind: SizeKind
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds, each ``None`` where there is none. A limit cuts an order and refuses only one cut to nothing."""

    max_order_notional: Cash | None = None
    max_position_notional: Cash | None = None
    max_exposure_notional: Cash | None = None
    max_leverage: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of one limit is used: ``pct_used`` of ``max``, in percent."""

    limit: str
    value: Decimal
    max: Decimal
    pct_used: Decimal
