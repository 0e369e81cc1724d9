"""From settings to what the stages and the simulated venue are made of."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.pipeline.risk.breakers.base import Tiers
from tradebot.pipeline.risk.breakers.sequence import BREAKERS
from tradebot.pipeline.risk.gates.order_qty import limit_of
from tradebot.pipeline.risk.gates.sequence import LIMITS, OTHER_SETTINGS
from tradebot.pipeline.risk.limits import (
    ConfidenceScale,
    DrawdownRule,
    KellyRule,
    Limits,
    ScaleRule,
    SizeKind,
    SizeRule,
)
from tradebot.pipeline.risk.measures.measuring import MeasureRule
from tradebot.pipeline.risk.order_gates.sequence import MEASURES
from tradebot.settings.files import URLS
from tradebot.settings.model import (
    EquityFractionSize,
    HyperliquidFeedSettings,
    HyperliquidVenueSettings,
    LiveFeedSettings,
    NotionalSize,
    QtySize,
    RealVenueSettings,
    RiskFractionSize,
    RiskSettings,
    ScaleSettings,
    Settings,
    StrategySettings,
)


def build_instruments(settings: Settings) -> Mapping[str, Instrument]:
    """Return the instrument of every symbol of the bot: as configured, else with the defaults."""
    configured = {item.symbol: Instrument(**dict(item)) for item in settings.instrument}
    return {symbol: configured.get(symbol, Instrument(symbol=symbol)) for symbol in settings.bot.symbols}


def build_size(risk: RiskSettings, strategies: Sequence[StrategySettings] = ()) -> SizeRule:
    """Return the rule by which entries of ``strategies`` are sized."""
    kind, value = _size(risk)
    shares = {strategy.name: strategy.share for strategy in strategies if strategy.share != 1}
    return SizeRule(kind, value, ConfidenceScale(risk.confidence_scale), shares, _scales(risk.scale or ScaleSettings()))


def _scales(scale: ScaleSettings) -> ScaleRule:
    kelly, drawdown = scale.kelly, scale.drawdown
    return ScaleRule(
        volatility=None if scale.volatility_pct is None else scale.volatility_pct / 100,
        regime=scale.regime == "volatility",
        kelly=None
        if kelly is None
        else KellyRule(
            fraction=kelly.fraction, most=kelly.max_fraction, min_trades=kelly.min_trades, least=kelly.least
        ),
        risk_parity=scale.risk_parity == "strategies",
        drawdown=None
        if drawdown is None
        else DrawdownRule(from_pct=drawdown.from_pct, to_pct=drawdown.to_pct, least=drawdown.least),
    )


def _size(risk: RiskSettings) -> tuple[SizeKind, Decimal]:
    match risk.size:
        case QtySize(qty=value):
            return SizeKind.QTY, value
        case NotionalSize(notional=value):
            return SizeKind.NOTIONAL, value
        case EquityFractionSize(fraction=value):
            return SizeKind.EQUITY_FRACTION, value
        case RiskFractionSize(fraction=value):
            return SizeKind.RISK_FRACTION, value
        case _:
            assert_never(risk.size)


def build_limits(risk: RiskSettings, mode: str = "paper") -> Limits:
    """Return the limits of the risk stage; some are for the mode ``live`` alone."""
    keys = [*OTHER_SETTINGS, *(gate.setting for gate in LIMITS if mode == "live" or not gate.is_live_only), *MEASURES]
    limits = {key: Decimal(value) for key in keys if (value := getattr(risk, key))}
    return limits | {limit_of(symbol): qty for symbol, qty in risk.max_order_qty.items()}


def build_measures(risk: RiskSettings) -> MeasureRule:
    """Return of what days and how the market is measured."""
    measure = risk.measure
    return MeasureRule(
        window_days=measure.window_days, decay=measure.decay, cluster_correlation=measure.cluster_correlation
    )


def build_breakers(risk: RiskSettings) -> Mapping[str, Tiers]:
    """Return the tiers of the breakers that are on, by name."""
    return {breaker.name: tiers for breaker in BREAKERS if (tiers := getattr(risk, breaker.name))}


def feed_network(settings: Settings) -> str:
    """Return the network of a live feed: its own, else the venue's, else mainnet."""
    feed, venue = settings.feed, settings.venue
    if isinstance(feed, LiveFeedSettings) and feed.network is not None:
        return feed.network
    return venue.network if isinstance(venue, RealVenueSettings) else "mainnet"


def feed_url(settings: Settings) -> str:
    """Return where the live feed asks: its own url, else the venue's where it is the same network."""
    feed, venue, network = settings.feed, settings.venue, feed_network(settings)
    if isinstance(feed, HyperliquidFeedSettings) and feed.url is not None:
        return feed.url
    if isinstance(venue, HyperliquidVenueSettings) and venue.network == network:
        return venue_url(venue)
    return URLS[network]


def venue_url(venue: HyperliquidVenueSettings) -> str:
    """Return where the venue answers."""
    return venue.url or URLS[venue.network]


def key_path(venue: HyperliquidVenueSettings, home: Path) -> Path:
    """Return where the key is: as configured, else where a devnet of this home writes it."""
    return venue.key_file or home / "devnet.key"
