"""What a live market or a real venue adds to a daemon, from the first request to the tasks around the line."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tradebot.live.allowance import AllowanceWatch
from tradebot.live.broker import Broker
from tradebot.live.flatness import Flatness
from tradebot.live.instruments import InstrumentWatch, Source
from tradebot.live.line import LiveLine
from tradebot.live.market import MarketFeed
from tradebot.live.opening import opened
from tradebot.live.patience import Patience
from tradebot.live.preflight import red_lines
from tradebot.live.reconcile import Reconciler
from tradebot.live.rotation import KeyRotation
from tradebot.live.rounds import Rounds
from tradebot.live.sides import Sides
from tradebot.live.trading import Trading
from tradebot.live.watch import LiveWatch, Watched
from tradebot.model.command import AlertName, StateChanged, TradingState
from tradebot.model.errors import InvariantError, RefusedByRule
from tradebot.model.finding import Finding
from tradebot.model.market import Message
from tradebot.model.money import Cash, Price
from tradebot.model.time import Nanos, to_ms
from tradebot.model.venue import AccountState, Listed, Purpose, Silent, VenueOrder
from tradebot.pipeline.arrivals import Arrivals
from tradebot.pipeline.outbox import Outbox
from tradebot.ports import Clock, Connection, Execution, Market, Page
from tradebot.report.views import ForeignOrder, Mismatch
from tradebot.runtime.boot import Booted
from tradebot.runtime.engine import Engine
from tradebot.runtime.feeding import FeedTask
from tradebot.runtime.real_venue import connect_venue, feed_pace
from tradebot.runtime.recording import REAL
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec
from tradebot.settings.build import feed_network
from tradebot.settings.check import feed_timeframes
from tradebot.settings.load import Loaded, config_hash
from tradebot.settings.model import InstrumentSettings, RealVenueSettings
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query

FLATTENING = "flattening"
"""The kind of the rows that tell when a flattening began, or was over: the next run sees it through."""
_BEGUN = b'{"open":true}'
_ENDED_MEND = "its position, if any, is settled by the venue; take the symbol out of bot.symbols when it is flat"


@dataclass(frozen=True, slots=True)
class _Account:
    """What follows an account from the moment on in which its past is settled."""

    trading: Trading
    reconciler: Reconciler


class Live:
    """The ways to the market and to the account of one daemon.

    Its phases are those of a boot: ``connect`` asks the venue, ``market_feed`` gives the line its feed, ``trade``
    follows symbols and account. What one of them makes is ``None`` until then, and where there is no such thing.
    """

    def __init__(self, connection: Connection, loaded: Loaded, clock: Clock, patience: Patience, page: Page) -> None:
        self.execution = connection.execution
        self.network = feed_network(loaded.settings)
        self._connection, self._clock, self._patience, self._page = connection, clock, patience, page
        self._symbols = loaded.settings.bot.symbols
        self.feed: MarketFeed | None = None
        self._account: _Account | None = None
        # Whether the account is taken over from another home.
        self.is_taken_over = False

    @classmethod
    async def connect(
        cls, loaded: Loaded, home: Path, journal: SqliteJournal, clock: Clock, patience: Patience, page: Page
    ) -> "Live":
        """Ask the venue what it has and whether we may trade there, however long it cannot be asked.

        Raises ``NotPermitted``, ``ConfigError`` and ``LockHeld``.
        """
        connection = await patience.until(lambda: connect_venue(loaded, home, journal, clock))
        return cls(connection, loaded, clock, patience, page)

    async def begin(self, loaded: Loaded, journal: SqliteJournal) -> bool:
        """Look for red lines where nothing was traded yet; return whether that is so, and ``arm`` has nothing to add.

        Raises ``RefusedByRule``: there is nothing to look after.
        """
        if self.execution is None or await opened(journal) is not None:
            return False
        red = await red_lines(self._connection, loaded, is_fresh=True)
        if red:
            mend = red[0].mend or "tradebot doctor shows all of it"
            raise RefusedByRule(_described(red), where="before arming", mend=mend)
        return True

    async def arm(self, loaded: Loaded) -> str:
        """Look for red lines once what is held is guarded, before anything may enter.

        Return why trading must go on halted; empty for no reason, and when nothing real is traded.
        """
        if self.execution is None:
            return ""
        red = await red_lines(self._connection, loaded, is_fresh=False)
        return f"before arming: {_described(red)}" if red else ""

    def overrule(self, loaded: Loaded) -> Loaded:
        """Return the configuration with what the venue knows better: its instruments, and whose the account is."""
        settings, listed = loaded.settings, self._connection.market.listed
        known = {symbol: listed[symbol].instrument for symbol in settings.bot.symbols if symbol in listed}
        # Of what the venue does not know the file may still say something.
        rules = [one for one in settings.instrument if one.symbol in settings.bot.symbols and one.symbol not in known]
        rules += [
            InstrumentSettings(
                symbol=one.symbol,
                tick=one.tick,
                lot=one.lot,
                min_notional=one.min_notional,
                max_leverage=one.max_leverage,
            )
            for one in known.values()
        ]
        update: dict[str, object] = {"instrument": tuple(rules)}
        if self.execution is not None and isinstance(settings.venue, RealVenueSettings):
            update["venue"] = settings.venue.model_copy(update={"account": self.execution.account})
        settings = settings.model_copy(update=update)
        return replace(loaded, settings=settings, config_hash=config_hash(settings), configured=loaded.as_configured)

    def market_feed(self, loaded: Loaded, booted: Booted, line: LiveLine) -> FeedTask:
        """Return the task that feeds the line from the live market."""
        market, settings, arrivals = self._connection.market, loaded.settings, booted.wired.feed
        if not isinstance(arrivals, Arrivals):
            raise InvariantError("a live feed is asked of another one")
        timeframes = {symbol: given[0] for symbol, given in feed_timeframes(settings).items()}
        listed = market.listed
        # What is not traded is subscribed to once it is: an unknown coin would end the socket.
        traded = {one: given for one, given in timeframes.items() if one in listed and not listed[one].is_delisted}
        stream = market.stream(traded, has_quotes=settings.risk.max_book_pct is not None)
        self.feed = MarketFeed(market, stream, arrivals, timeframes, feed_pace(settings), line, self._clock)
        # A line that is built anew has another stage.
        self.feed.is_alarming = lambda prices: line.risk.acts_at(prices)
        if self.execution is not None:
            self.feed.on_mark = self.execution.mark
        return self.feed

    async def open_feed(self) -> None:
        """Let the line see what it has not of the past; waits as long as the venue cannot be asked."""
        if self.feed is not None:
            await self._patience.until(self.feed.open)

    async def trade(self, supervisor: Supervisor, engine: Engine, journal: SqliteJournal) -> None:
        """Settle the past with the venue, and follow the account from here on; nothing when it is simulated."""
        page = self._page
        instruments = await self._begin_instruments(supervisor, engine)
        venue, outbox = self.execution, engine.booted.wired.venue
        if venue is None or not isinstance(outbox, Outbox):
            return
        broker = Broker(venue, engine, engine.durable)
        reconciler = Reconciler(self._sides(venue, engine, broker))
        heard_ms = await _heard_ms(journal)
        trading = Trading(venue, engine, journal, broker, reconciler, self._symbols, self._clock, heard_ms)
        trading.is_taken_over = self.is_taken_over
        self._account = _Account(trading, reconciler)
        if self.feed is not None:
            self.feed.on_mark = partial(_mark, venue, reconciler)
        watch = LiveWatch(engine, _watched(venue, trading, engine), page, self._clock)
        flatness = Flatness(engine, venue.sweep, reconciler.reconcile_now, self._symbols, page)
        flatness.on_flat = engine.venue_is_flat
        flatness.on_change = partial(_note_flattening, engine, journal)
        broker.doubted = instruments.doubt
        broker.refused = venue.on_forbidden = watch.refused
        engine.booted.recorder.listeners.append(partial(_reopen, venue))
        await trading.begin()
        outbox.send = broker.send
        await supervisor.start(_broker_task(broker))
        await supervisor.start(TaskSpec(name="account", run=trading.run, policy=FailurePolicy.HALT))
        await supervisor.start(_looping("watch", watch.run, watch.rounds))
        limit = venue.capabilities.actions
        if limit is not None:
            allowance = AllowanceWatch(venue, limit, engine, page, self._clock)
            await self._patience.until(partial(allowance.learn, Purpose.TRADE, may_be_recent=True))
            await supervisor.start(TaskSpec(name="allowance", run=allowance.run, policy=FailurePolicy.RESTART))
        await trading.settled.wait()
        rotation = KeyRotation(venue, engine, reconciler.reconcile_now, self._clock)
        await rotation.begin()
        engine.rotation = rotation
        await supervisor.start(_looping("reconciler", reconciler.run, reconciler.rounds))
        engine.flatness = flatness
        is_asked = engine.is_flatten_asked or await _was_flattening(journal)
        if engine.trading_state is TradingState.HALTED and is_asked:
            flatness.begin()
        await supervisor.start(TaskSpec(name="flatness", run=flatness.run, policy=FailurePolicy.RESTART))

    async def _begin_instruments(self, supervisor: Supervisor, engine: Engine) -> InstrumentWatch:
        """Tell the line what the venue trades by now, and watch that from here on."""
        venue, market, known = self.execution, self._connection.market, engine.risk.untraded
        source = Source(
            read=partial(_refreshed, market),
            venue_ms=market.now_ms,
            symbols=self._symbols,
            is_halt=lambda words: venue is not None and venue.meaning_of(words).is_halt,
            is_simulated=venue is None,
        )
        watch = InstrumentWatch(source, engine, self._clock)
        if self.feed is not None:
            watch.changed = self.feed.keep
            self.feed.on_silent = partial(self._tell_of_silence, watch)
        await watch.take(market.listed)
        for symbol, listing in engine.risk.untraded.items():
            if known.get(symbol) is listing:
                # What is news was paged by the line.
                self._page(AlertName.SYMBOL_ENDED, f"{symbol} is still {listing} at the venue", _ENDED_MEND, symbol)
        await supervisor.start(TaskSpec(name="instruments", run=watch.run, policy=FailurePolicy.RESTART))
        return watch

    def _tell_of_silence(self, instruments: InstrumentWatch, silent: Silent) -> None:
        instruments.doubt(silent.symbol)
        what = f"{silent.symbol}: the venue tells nothing on {silent.channel}, while other channels speak"
        mend = "look at the coin at the venue; it is subscribed to anew and asked for over REST, the others go on"
        self._page(AlertName.SYMBOL_SILENT, what, mend, silent.symbol)

    def _sides(self, venue: Execution, line: LiveLine, broker: Broker) -> Sides:
        return Sides(
            venue=venue,
            line=line,
            page=self._page,
            clock=self._clock,
            deliver=broker.tell,
            in_hands=broker.holds,
            symbols=self._symbols,
        )

    @property
    def trading(self) -> Trading | None:
        """What trades the account; ``None`` before it does, and where nothing real is traded."""
        return None if self._account is None else self._account.trading

    @property
    def is_connected(self) -> bool:
        """Whether every socket stands."""
        return (self.feed is None or self.feed.is_connected) and (self.trading is None or self.trading.stream.is_up)

    @property
    def budget(self) -> int:
        """The weight of requests that may still be sent this minute."""
        return self._connection.market.budget_left()

    @property
    def actions_left(self) -> int | None:
        """The actions that the account may still send; ``None`` before the venue said, or without an account."""
        counted = None if self.execution is None else self.execution.allowance()
        return None if counted is None else counted.left

    @property
    def residual(self) -> Cash | None:
        """What the venue's cash is more than ours; ``None`` before it was compared."""
        return None if self._account is None else self._account.reconciler.residual

    @property
    def mismatches(self) -> Sequence[Mismatch]:
        """What book and venue do not agree on, after it was asked again."""
        return () if self._account is None else self._account.reconciler.money.mismatches

    @property
    def equity(self) -> Cash | None:
        """What the account is worth, as the venue last had it."""
        return None if self._seen is None else self._seen.equity

    @property
    def margin_used(self) -> Cash | None:
        """The margin that positions hold, as the venue last had it."""
        return None if self._seen is None else self._seen.margin_used

    @property
    def _seen(self) -> AccountState | None:
        return None if self._account is None else self._account.reconciler.account

    @property
    def foreign(self) -> Sequence[ForeignOrder]:
        """The orders of another hand that rest, as the venue last had them."""
        found = () if self._account is None else self._account.reconciler.orders.foreign
        return [
            _foreign(order) for order in sorted(found, key=lambda order: (order.ts_event, len(order.oid), order.oid))
        ]

    @property
    def liquidations(self) -> Mapping[str, Price]:
        """Where the venue liquidates each position, as it last said."""
        return {} if self._account is None else self._account.reconciler.stops.liquidations

    async def close(self) -> None:
        """Close all connections."""
        if self.feed is not None:
            await self.feed.shut()
        if self.trading is not None:
            await self.trading.stream.close()
        await self._connection.close()


def _mark(venue: Execution, reconciler: Reconciler, symbol: str, price: Price) -> None:
    venue.mark(symbol, price)
    reconciler.stops.on_mark(symbol, price)


def _note_flattening(engine: Engine, journal: SqliteJournal, is_open: bool) -> None:
    if journal.failed is not None:
        return
    payload = _BEGUN if is_open else b'{"open":false}'
    journal.append(FLATTENING, engine.session.market_time, payload)


async def _was_flattening(journal: SqliteJournal) -> bool:
    rows = await journal.rows(Query(kinds=[FLATTENING], newest_first=True, limit=1))
    return bool(rows) and rows[0].payload == _BEGUN


def _foreign(order: VenueOrder) -> ForeignOrder:
    return ForeignOrder(
        venue_order_id=order.oid,
        symbol=order.symbol,
        side=order.side.value,
        qty=order.qty,
        original_qty=order.original_qty,
        price=order.price,
        trigger=order.trigger,
        reduce_only=order.reduce_only,
        ts_event=order.ts_event,
    )


def _described(red: Sequence[Finding]) -> str:
    return "; ".join(f"{finding.check}: {finding.what}" for finding in red)


async def _refreshed(market: Market) -> Mapping[str, Listed]:
    await market.refresh()
    return market.listed


async def _heard_ms(journal: SqliteJournal) -> int | None:
    """Return when the last run heard something by our clock; ``None`` where none traded the account."""
    inputs = await journal.rows(Query(kinds=REAL.inputs, newest_first=True, limit=1))
    return to_ms(Nanos(inputs[0].ts_wall)) if inputs and await opened(journal) else None


def _looping(name: str, run: Callable[[Callable[[], None]], Awaitable[None]], rounds: Rounds) -> TaskSpec:
    return TaskSpec(name=name, run=run, policy=FailurePolicy.RESTART, came_round=rounds.oldest)


def _broker_task(broker: Broker) -> TaskSpec:
    return TaskSpec(
        name="broker",
        run=broker.run,
        policy=FailurePolicy.HALT,
        close=broker.close,
        queue_size=lambda: broker.waiting,
        when_full="never full",
    )


def _watched(venue: Execution, trading: Trading, line: LiveLine) -> Watched:
    return Watched(
        unsettled=trading.broker.unsettled,
        venue_ms=venue.survey.now_ms,
        symbol_of=trading.symbol_of,
        down_since=lambda: trading.down_since,
        expiry=venue.key_expiry,
        is_due=lambda: line.orders.is_overdue or line.risk.is_flattening,
    )


def _reopen(venue: Execution, message: Message) -> None:
    """Let the key try once more when an operator has said to go on."""
    if isinstance(message, StateChanged) and message.state is TradingState.RUNNING:
        venue.reopen()
