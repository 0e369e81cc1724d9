"""The limits that cut an entry, and the breakers that end trading: the section `[risk]`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
)

from tradebot.settings.model.fields import Exact, Int, Section, Symbol
from tradebot.settings.model.sizes import MeasureSettings, RiskFractionSize, ScaleSettings, Size
from tradebot.settings.tiers import check_tiers, read_tiers, whole_tiers, written

Money = Annotated[Exact, Field(gt=0, le=Decimal("1e15"))]
Percent = Annotated[Exact, Field(gt=0, le=100)]
Above = Annotated[Exact, Field(gt=0, le=1_000_000)]
Count = Annotated[Exact, Field(ge=1, le=1_000_000)]
_Checked = (BeforeValidator(read_tiers), AfterValidator(check_tiers), PlainSerializer(written))
PercentTiers = Annotated[tuple[Percent, ...], *_Checked]
AboveTiers = Annotated[tuple[Above, ...], *_Checked]
MoneyTiers = Annotated[tuple[Money, ...], *_Checked]
CountTiers = Annotated[tuple[Count, ...], AfterValidator(whole_tiers), *_Checked]


class RiskSettings(Section):
    """How much is entered, the limits that cut it, and the breakers that end it."""

    size: Size = Field(
        default=RiskFractionSize(kind="risk_fraction", fraction=Decimal("0.01")),
        description="How an entry is sized.",
    )
    min_confidence: Exact = Field(
        default=Decimal(0), ge=0, le=100, description="Entries whose confidence is lower are refused; 0 refuses none."
    )
    confidence_scale: Literal["none", "linear"] = Field(
        default="none", description="Size by confidence: not at all, or size x confidence / 100."
    )
    max_order_qty: Mapping[Symbol, Annotated[Exact, Field(gt=0, le=Decimal("1e15"))]] = Field(
        default={}, description="Largest quantity of one entry, by symbol."
    )
    max_order_notional: Money | None = Field(default=None, description="Highest value of one entry, in cash.")
    max_position_notional: Money | None = Field(default=None, description="Highest value of one position, in cash.")
    max_exposure_notional: Money | None = Field(default=None, description="Highest value of all positions, in cash.")
    max_leverage: Exact | None = Field(
        default=None, gt=0, le=1000, description="Highest exposure, in multiples of equity."
    )
    max_concentration_pct: Exact | None = Field(
        default=None, gt=0, le=100_000, description="Highest value in one symbol, in percent of equity."
    )
    max_net_notional: Money | None = Field(
        default=None, description="Highest value of long less short, or short less long."
    )
    max_long_notional: Money | None = Field(default=None, description="Highest value of all longs, in cash.")
    max_short_notional: Money | None = Field(default=None, description="Highest value of all shorts, in cash.")
    max_strategy_notional: Money | None = Field(
        default=None, description="Highest value that one strategy has open, in cash."
    )
    max_cluster_notional: Money | None = Field(
        default=None, description="Highest value in symbols that move together, in cash."
    )
    max_var95: Money | None = Field(default=None, description="Highest loss of all but the worst day in 20, in cash.")
    max_cvar95: Money | None = Field(default=None, description="Highest mean loss of the worst day in 20, in cash.")
    max_var99: Money | None = Field(default=None, description="Highest loss of all but the worst day in 100, in cash.")
    max_cvar99: Money | None = Field(default=None, description="Highest mean loss of the worst day in 100, in cash.")
    max_volume_pct: Exact | None = Field(
        default=None, gt=0, le=100, description="Highest part of what traded in 24 hours that one entry is, in percent."
    )
    max_book_pct: Exact | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Highest part of what a live book offers at its best price that one entry is, in percent.",
    )
    liquidation_stops: Exact | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Least distance of an entry's liquidation, in distances of its stop.",
    )
    min_headroom_pct: Exact | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="Least part of equity left above the margin after the worst stress scenario, in percent.",
    )
    max_entries_per_hour: Int | None = Field(
        default=None, ge=1, le=1000, description="Entries of one strategy within an hour of the market."
    )
    price_collar_pct: Exact | None = Field(
        default=None, gt=0, le=100, description="How much worse than the mark an entry may be priced, in percent of it."
    )
    max_price_age_s: Exact = Field(
        default=Decimal(10),
        ge=1,
        le=3600,
        description="How old the prices of a live market may be when an entry leaves, seconds.",
    )
    duplicate_window_s: Exact = Field(
        default=Decimal(2),
        ge=0,
        le=3600,
        description="An entry like the last is not sent within, seconds; 0 allows it.",
    )
    max_orders_per_s: Int | None = Field(
        default=None, ge=1, le=100_000, description="Orders in a second beyond which no entry is sent, exits counted."
    )
    max_orders_per_min: Int | None = Field(
        default=None, ge=1, le=1_000_000, description="Orders in a minute beyond which no entry is sent, exits counted."
    )
    live_cap_notional: Money | None = Field(
        default=None, description="While it stands, no live entry is larger, in cash: for the first days of real money."
    )
    flatten: Literal["all", "own"] | None = Field(
        default=None,
        description="What is closed and cancelled to end the risk: all that the account has, as without this key, "
        "or what this bot opened and placed.",
    )
    scale: ScaleSettings | None = Field(default=None, description="What makes entries smaller.")
    measure: MeasureSettings = Field(default=MeasureSettings(), description="How the market is measured.")
    drawdown_pct: PercentTiers = Field(
        default=(Decimal(20),), description="How far equity may fall below its peak, percent of the peak."
    )
    daily_loss_pct: PercentTiers = Field(
        default=(), description="How much of the equity that a UTC day began with may be lost in it, percent."
    )
    max_consecutive_losses: CountTiers = Field(default=(), description="Round trips in a row that may lose.")
    max_trades_per_day: CountTiers = Field(
        default=(), description="Positions that may be opened in a UTC day; asking for one more trips it."
    )
    loss_cooldown_min: AboveTiers = Field(
        default=(), description="Minutes without an entry in a symbol after a loss there, after the second in a row..."
    )
    max_slippage_bps: AboveTiers = Field(
        default=(),
        description="How much worse than expected the last five taker fills may be on average, basis points.",
    )
    max_rejects_per_min: CountTiers = Field(default=(), description="Orders that the venue may refuse within a minute.")
    max_silent_symbols: CountTiers = Field(
        default=(), description="Symbols whose live market may be silent at once; it never halts."
    )
    max_unanswered_symbols: CountTiers = Field(
        default=(), description="Symbols with an order that the venue may leave unanswered for 60 s; it never halts."
    )
    max_residual: MoneyTiers = Field(
        default=(), description="Cash by which a real venue and the book may differ unexplained."
    )
