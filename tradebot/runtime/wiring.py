"""The composition root: from settings to stages, line and feed. Nothing else knows what is simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradebot.model.instrument import Instrument
from tradebot.model.money import Cash
from tradebot.model.time import NANOS_PER_MS, Nanos, Timeframe, parse_timeframe
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import StageName
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import StrategySpec
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.ports import MarketData, Stage
from tradebot.runtime.settings import Loaded
from tradebot.runtime.settings_check import build_specs, check_settings, feed_timeframes
from tradebot.runtime.settings_model import (
    EquityFractionSize,
    GeneratedFeedSettings,
    NotionalSize,
    QtySize,
    RiskFractionSize,
    RiskSettings,
    Settings,
    SimulatedVenueSettings,
)
from tradebot.store.candles import BarFile, check_files, read_funding
from tradebot.venues.generated import Generated
from tradebot.venues.replay import Replay
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.venue import SimulatedVenue


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """All parts of one bot, by their own types. ``stages`` are the same objects, for the line."""

    bars: BarsStage
    venue: SimulatedVenue
    orders: OrdersStage
    risk: RiskStage
    strategy: StrategyStage
    feed: MarketData
    specs: Sequence[StrategySpec]

    @property
    def stages(self) -> Mapping[StageName, Stage]:
        """The stages by name."""
        return {
            StageName.BARS: self.bars,
            StageName.VENUE: self.venue,
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.strategy,
        }


def wire(loaded: Loaded) -> Wired:
    """Build everything from the settings; nothing runs yet.

    Raises ``ConfigError`` for what does not fit together and ``DataError`` for a bad data file.
    """
    check_settings(loaded)
    settings = loaded.settings
    specs = build_specs(loaded)
    instruments = _instruments(settings)
    sources = feed_timeframes(settings)
    return Wired(
        feed=_feed(settings),
        bars=BarsStage(sources, _wanted(specs)),
        venue=_venue(settings.venue, instruments),
        orders=OrdersStage(instruments),
        risk=RiskStage(
            instruments=instruments,
            starting_cash=Cash(settings.venue.starting_cash),
            size=_size(settings.risk),
            limits=build_limits(settings.risk),
        ),
        strategy=StrategyStage(specs, instruments),
        specs=specs,
    )


def _feed(settings: Settings) -> MarketData:
    feed = settings.feed
    if isinstance(feed, GeneratedFeedSettings):
        return Generated(settings.bot.symbols, parse_timeframe(feed.timeframe), feed.start_ts, feed.seed, feed.bars)
    files = [BarFile(one.path, one.symbol, one.timeframe) for one in feed.series]
    check_files(files)
    return Replay(files)


def _wanted(specs: Sequence[StrategySpec]) -> dict[str, frozenset[Timeframe]]:
    wanted: dict[str, set[Timeframe]] = {}
    for spec in specs:
        for symbol in spec.symbols:
            wanted.setdefault(symbol, set()).add(spec.timeframe)
    return {symbol: frozenset(timeframes) for symbol, timeframes in wanted.items()}


def _venue(venue: SimulatedVenueSettings, instruments: Mapping[str, Instrument]) -> SimulatedVenue:
    costs = Costs(
        taker_bps=venue.taker_bps,
        maker_bps=venue.maker_bps,
        slippage_bps=venue.slippage_bps,
        latency=Nanos(venue.latency_ms * NANOS_PER_MS),
        leverage=venue.leverage,
        maintenance=venue.maintenance,
        funding_rate=venue.funding_rate,
    )
    funding = {file.symbol: FundingRates(read_funding(file.path)) for file in venue.funding_files}
    return SimulatedVenue(instruments, costs, Cash(venue.starting_cash), funding)


def _instruments(settings: Settings) -> dict[str, Instrument]:
    configured = {item.symbol: Instrument(**dict(item)) for item in settings.instrument}
    return {symbol: configured.get(symbol, Instrument(symbol=symbol)) for symbol in settings.bot.symbols}


def _size(risk: RiskSettings) -> SizeRule:
    match risk.size:
        case QtySize(qty=value):
            return SizeRule(SizeKind.QTY, value)
        case NotionalSize(notional=value):
            return SizeRule(SizeKind.NOTIONAL, value)
        case EquityFractionSize(fraction=value):
            return SizeRule(SizeKind.EQUITY_FRACTION, value)
        case RiskFractionSize(fraction=value):
            return SizeRule(SizeKind.RISK_FRACTION, value)


def build_limits(risk: RiskSettings) -> Limits:
    """Return the limits of the risk stage."""
    return Limits(
        max_order_notional=None if risk.max_order_notional is None else Cash(risk.max_order_notional),
        max_position_notional=None if risk.max_position_notional is None else Cash(risk.max_position_notional),
        max_exposure_notional=None if risk.max_exposure_notional is None else Cash(risk.max_exposure_notional),
        max_leverage=risk.max_leverage,
    )
