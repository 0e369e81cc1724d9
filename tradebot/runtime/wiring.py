"""The composition root: from settings to stages, line and feed. Nothing else knows what is simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tradebot.feeds.generated import Generated
from tradebot.feeds.replay import Replay
from tradebot.model.errors import InvariantError
from tradebot.model.instrument import Instrument
from tradebot.model.money import ZERO, Cash
from tradebot.model.time import NANOS_PER_MS, Nanos, Timeframe, parse_timeframe
from tradebot.pipeline.arrivals import Arrivals
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import StageName
from tradebot.pipeline.orders.register import PROMPT
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.outbox import Outbox
from tradebot.pipeline.risk.gates.base import MAINTENANCE
from tradebot.pipeline.risk.last_gate import LastGate
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import StrategySpec
from tradebot.pipeline.strategy.stage import StrategyStage
from tradebot.ports import MarketData, Stage
from tradebot.runtime.data_files import bar_files
from tradebot.runtime.guard import is_operators
from tradebot.runtime.recording import REAL, SIMULATED, Vocabulary
from tradebot.settings.build import (
    build_breakers,
    build_instruments,
    build_limits,
    build_measures,
    build_size,
    feed_network,
)
from tradebot.settings.check import build_cooldowns, build_specs, check_settings, feed_timeframes
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    GeneratedFeedSettings,
    LiveFeedSettings,
    ReplayFeedSettings,
    Settings,
    SimulatedVenueSettings,
)
from tradebot.store.candles import BarFile, FileSummary, check_files
from tradebot.store.funding import read_funding
from tradebot.store.tick_files import TickFile
from tradebot.venues.simulated.costs import Costs, MatchOn
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.venue import SimulatedVenue

# Our own ids come from counters: none is given twice, and a snapshot need not carry a thousand of them.
_REMEMBERED_IDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """All parts of one bot, by their own types. ``stages`` are the same objects, for the line."""

    bars: BarsStage
    venue: SimulatedVenue | Outbox
    gate: LastGate
    """What the line has in place of the venue."""
    orders: OrdersStage
    risk: RiskStage
    strategy: StrategyStage
    feed: MarketData
    files: Sequence[BarFile]
    """What a replay reads."""
    summaries: Sequence[FileSummary]
    """What was found in the files where they were checked."""
    specs: Sequence[StrategySpec]
    has_ticks: bool = False
    """Whether trades or quotes come between the bars."""

    @property
    def is_single(self) -> bool:
        """Whether the market is the bars of one series and nothing else."""
        return self.bars.is_single and not self.has_ticks

    @property
    def vocabulary(self) -> Vocabulary:
        """What the journal of this line keeps."""
        return REAL if isinstance(self.venue, Outbox) else SIMULATED

    @property
    def simulated(self) -> SimulatedVenue:
        """The simulated venue. Raises ``InvariantError`` when the line trades for real."""
        if isinstance(self.venue, Outbox):
            raise InvariantError("the account of a real venue is asked of the line")
        return self.venue

    @property
    def stages(self) -> Mapping[StageName, Stage]:
        """The stages by name."""
        return {
            StageName.BARS: self.bars,
            StageName.VENUE: self.gate,
            StageName.ORDERS: self.orders,
            StageName.RISK: self.risk,
            StageName.STRATEGY: self.strategy,
        }


def wire(loaded: Loaded, *, check_data: bool = True) -> Wired:
    """Build everything from the settings; nothing runs yet.

    Raises ``ConfigError`` for what does not fit together and ``DataError`` for a bad data file. Without
    ``check_data`` the feed raises that when it comes to the bad line.
    """
    settings = loaded.settings
    # That --live was said is asked where a daemon starts; a journal is read again without it.
    check_settings(loaded, is_live=settings.bot.mode == "live")
    specs = build_specs(loaded)
    instruments = build_instruments(settings)
    sources = feed_timeframes(settings)
    files = bar_files(settings)
    simulated = settings.venue if isinstance(settings.venue, SimulatedVenueSettings) else None
    venue = Outbox() if simulated is None else _venue(simulated, instruments, _match_on(settings))
    risk = wire_risk(settings, specs, instruments)
    return Wired(
        feed=_feed(settings, files),
        files=files,
        summaries=check_files(files) if check_data else (),
        bars=BarsStage(sources, _wanted(specs)),
        venue=venue,
        gate=LastGate(venue, risk),
        # A real venue may say something late, or again.
        orders=OrdersStage(instruments) if simulated is None else OrdersStage(instruments, PROMPT, venue_trails=True),
        risk=risk,
        strategy=StrategyStage(specs, instruments, is_operators),
        specs=specs,
        has_ticks=_match_on(settings) is not MatchOn.BAR,
    )


def wire_risk(settings: Settings, specs: Sequence[StrategySpec], instruments: Mapping[str, Instrument]) -> RiskStage:
    """Build the risk stage from the settings."""
    simulated = settings.venue if isinstance(settings.venue, SimulatedVenueSettings) else None
    return RiskStage(
        instruments=instruments,
        # A real account says by its first deposit what it holds.
        starting_cash=Cash(ZERO if simulated is None else simulated.starting_cash),
        size=build_size(settings.risk, settings.strategy),
        limits=build_limits(settings.risk, settings.bot.mode),
        cooldowns=build_cooldowns(specs, settings),
        breakers=build_breakers(settings.risk),
        measured=build_measures(settings.risk),
        maintenance=MAINTENANCE if simulated is None else simulated.maintenance,
        flattens_own=settings.risk.flatten == "own",
    )


def _feed(settings: Settings, files: Sequence[BarFile]) -> MarketData:
    feed = settings.feed
    if isinstance(feed, GeneratedFeedSettings):
        return Generated(settings.bot.symbols, parse_timeframe(feed.timeframe), feed.start_ts, feed.seed, feed.bars)
    if isinstance(feed, LiveFeedSettings):
        return Arrivals(f"{feed.kind} {feed_network(settings)}")
    kind, ticks = feed.ticks
    return Replay(files, [TickFile(file.path, file.symbol, kind) for file in ticks])


def _wanted(specs: Sequence[StrategySpec]) -> dict[str, frozenset[Timeframe]]:
    wanted: dict[str, set[Timeframe]] = {}
    for spec in specs:
        for symbol in spec.symbols:
            wanted.setdefault(symbol, set()).add(spec.timeframe)
    return {symbol: frozenset(timeframes) for symbol, timeframes in wanted.items()}


def _venue(venue: SimulatedVenueSettings, instruments: Mapping[str, Instrument], match_on: MatchOn) -> SimulatedVenue:
    funding = {file.symbol: FundingRates(read_funding(file.path)) for file in venue.funding_files}
    return SimulatedVenue(
        instruments, build_costs(venue), Cash(venue.starting_cash), funding, match_on, remembered_ids=_REMEMBERED_IDS
    )


def _match_on(settings: Settings) -> MatchOn:
    """Return what orders meet at the simulated venue: the finest that the feed has."""
    kind = settings.feed.ticks[0] if isinstance(settings.feed, ReplayFeedSettings) else "bars"
    return {"trades": MatchOn.TRADE, "quotes": MatchOn.QUOTE, "books": MatchOn.QUOTE}.get(kind, MatchOn.BAR)


def build_costs(venue: SimulatedVenueSettings) -> Costs:
    """Return what trading costs on the simulated venue."""
    return Costs(
        taker_bps=venue.taker_bps,
        maker_bps=venue.maker_bps,
        slippage_bps=venue.slippage_bps,
        latency=Nanos(venue.latency_ms * NANOS_PER_MS),
        leverage=venue.leverage,
        maintenance=venue.maintenance,
        funding_rate=venue.funding_rate,
        volume_share=venue.volume_share,
    )
