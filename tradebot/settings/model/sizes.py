"""How much is entered, and what makes it smaller."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    Field,
)

from tradebot.settings.model.fields import Exact, Int, Number, Section


class QtySize(Section):
    """A fixed quantity."""

    kind: Literal["qty"] = Field(description="Names this size.")
    qty: Exact = Field(gt=0, le=Decimal("1e15"), description="Quantity of each entry, in the base asset.")


class NotionalSize(Section):
    """A fixed amount of money."""

    kind: Literal["notional"] = Field(description="Names this size.")
    notional: Exact = Field(gt=0, le=Decimal("1e15"), description="Value of each entry, in cash.")


class EquityFractionSize(Section):
    """A fraction of the equity."""

    kind: Literal["equity_fraction"] = Field(description="Names this size.")
    fraction: Exact = Field(gt=0, le=50, description="Value of each entry, as a fraction of equity.")


class RiskFractionSize(Section):
    """A quantity that loses a fraction of the equity at the stop."""

    kind: Literal["risk_fraction"] = Field(description="Names this size.")
    fraction: Exact = Field(gt=0, le=1, description="Lost if the stop fills, as a fraction of equity.")


Size = Annotated[QtySize | NotionalSize | EquityFractionSize | RiskFractionSize, Field(discriminator="kind")]


class MeasureSettings(Section):
    """Of what days and how correlations, volatility and bad days are measured."""

    window_days: Int = Field(
        default=90, ge=30, le=730, description="Daily returns that are looked at; nothing is said of fewer than 30."
    )
    decay: Number = Field(
        default=0.94,
        ge=0.5,
        le=1,
        description="Weight of a day in correlations and volatility, against the day after it; 1 weighs all the same.",
    )
    cluster_correlation: Number = Field(
        default=0.7, gt=0, le=1, description="From which correlation on, of either sign, two symbols are one bet."
    )


class KellySettings(Section):
    """A part of the bet that Kelly's rule makes of the strategy's own last 200 results."""

    fraction: Exact = Field(default=Decimal("0.25"), gt=0, le=1, description="Part of Kelly's bet that may be risked.")
    max_fraction: Exact = Field(
        default=Decimal("0.02"), gt=0, le=1, description="Most that is risked, as a fraction of equity."
    )
    min_trades: Int = Field(default=30, ge=10, le=200, description="Results before which it does nothing.")
    least: Exact = Field(
        default=Decimal("0.1"), ge=0, le=1, description="Part of the size that remains where the odds are bad."
    )


class DrawdownSettings(Section):
    """Smaller entries the further equity is below its peak, evenly between two points."""

    from_pct: Exact = Field(default=Decimal(5), ge=0, lt=100, description="Up to there sizes are whole, percent.")
    to_pct: Exact = Field(default=Decimal(20), gt=0, le=100, description="From there on they are smallest, percent.")
    least: Exact = Field(default=Decimal("0.25"), ge=0, le=1, description="Part of the size that remains there.")


class ScaleSettings(Section):
    """What makes entries smaller than their size says; the factors multiply, and none enlarges."""

    volatility_pct: Exact | None = Field(
        default=None, gt=0, le=1000, description="Most that a position may vary in a year, percent of equity."
    )
    regime: Literal["none", "volatility"] = Field(
        default="none", description="Size by the regime: not at all, or smaller while a symbol varies more than usual."
    )
    kelly: KellySettings | None = Field(default=None, description="A part of Kelly's bet, from realized results.")
    risk_parity: Literal["none", "strategies"] = Field(
        default="none", description="Even what strategies risk: not at all, or by how far their results spread."
    )
    drawdown: DrawdownSettings | None = Field(default=None, description="Smaller entries in a drawdown.")
