"""One account under the line: what a boot settles before it trades, and the socket that tells of the account."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tradebot.backoff import Backoff
from tradebot.model.errors import InvariantError
from tradebot.model.logevent import LogEvent
from tradebot.model.order import TradingPermitted
from tradebot.model.time import Nanos, from_ms, to_ms
from tradebot.ports import Clock
from tradebot.runtime.live.broker import Broker
from tradebot.runtime.live.connect import Account
from tradebot.runtime.live.intents import IntentLog
from tradebot.runtime.live.line import LiveLine
from tradebot.runtime.live.opening import opened, opening
from tradebot.runtime.live.patience import until_answered
from tradebot.runtime.live.reconcile import Reconciler
from tradebot.runtime.logs import log
from tradebot.runtime.recording import REAL
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.venues.hyperliquid.stream import Down, Garbled, StreamEvent, Up
from tradebot.venues.hyperliquid.submit import Intent, Settled
from tradebot.venues.hyperliquid.translate import CanceledByVenue, Filled, Funded, Liquidated, OrdersUpdated

# The journal's stamps of writing are of our clock, the venue's of its own; and what it says may be late.
_OVERLAP_MS = 10 * 60_000
_RETRY_FIRST_S, _RETRY_MAX_S = 0.25, 1.0


class Trading:
    """Trades one account: settles the past, then follows what the venue tells of it.

    ``down_since``: since when, in monotonic seconds, the socket is down; ``None`` while it stands. ``settled`` is set
    once the past is.
    """

    def __init__(
        self,
        account: Account,
        line: LiveLine,
        journal: SqliteJournal,
        broker: Broker,
        reconciler: Reconciler,
        symbols: Sequence[str],
        clock: Clock,
    ) -> None:
        self.account = account
        self.stream = account.stream()
        self._line = line
        self._journal = journal
        self._symbols = symbols
        self.broker = broker
        self._reconciler = reconciler
        self._clock = clock
        self.down_since: float | None = clock.monotonic()
        self._backoff = Backoff(_RETRY_FIRST_S, _RETRY_MAX_S, seed=2)
        self.settled = asyncio.Event()
        self._heard_ms = 0
        self._sent: frozenset[str] = frozenset()
        self._untold: list[tuple[Intent, Settled]] = []

    async def begin(self) -> None:
        """Read the journal's intents: nonces go on after them, and those without outcome are looked for."""
        self._know_the_book()
        cloids, names = self.account.cloids, self.account.venue.names
        unknown = [name for name, order in self._line.orders.save().orders.items() if order.is_unknown]
        silent = {names.cloid(name) for name in unknown}
        last, intents = await IntentLog(self._journal).read(lambda one: one in silent or cloids.is_of_another(one))
        self.account.gateway.nonces.seen(last)
        self._sent = frozenset(cloid for intent, _ in intents.values() for cloid in intent.cloids)
        self._know_elders(intent for intent, _ in intents.values())
        # By now those of a restored journal go by the cloids they were placed with.
        silent = {names.cloid(name) for name in unknown}
        self._untold = [
            (intent, settled)
            for intent, settled in intents.values()
            if settled is not None and not silent.isdisjoint(intent.cloids)
        ]
        self.broker.resume((intent, self._symbol(intent)) for intent, settled in intents.values() if settled is None)
        # Of the last run: this one has not heard anything yet.
        inputs = await self._journal.rows(Query(kinds=REAL.inputs, newest_first=True, limit=1))
        heard_ms = to_ms(Nanos(inputs[0].ts_wall)) if inputs and await opened(self._journal) else self._now_ms()
        self._heard_ms = min(heard_ms, self._now_ms()) - _OVERLAP_MS

    def _know_the_book(self) -> None:
        # Symbols and strategies that are configured no more may still have orders and positions.
        state = self._line.orders.save()
        for name, order in state.orders.items():
            if order.is_adopted and order.venue_order_id.isdecimal():
                self.account.venue.names.remember(name, int(order.venue_order_id))
        requests = [order.request for order in (*state.done.values(), *state.orders.values())]
        held = state.held.values()
        self.account.cloids.know({*(one.strategy for one in requests), *(one.strategy for one in held)})
        self._symbols = tuple({**dict.fromkeys(self._symbols), **dict.fromkeys(one.symbol for one in requests)})

    def _know_elders(self, intents: Iterable[Intent]) -> None:
        # A restored journal is another instance than the one that placed these.
        cloids = self.account.cloids
        for intent in intents:
            for cloid in filter(cloids.is_of_another, intent.cloids):
                owners = (cloids.decode(cloid, symbol) for symbol in self._symbols)
                owner = next((owner for owner in owners if owner is not None), None)
                if owner is not None:
                    self.account.venue.names.adopt(owner.client_order_id, cloid)

    def symbol_of(self, intent: Intent) -> str:
        """Return the symbol of an intent; empty for one that cannot be told."""
        try:
            return self._symbol(intent)
        except InvariantError:
            return ""

    def _symbol(self, intent: Intent) -> str:
        cloids, cloid = self.account.cloids, intent.cloids[0]
        found = next((symbol for symbol in self._symbols if cloids.decode(cloid, symbol) is not None), None)
        if found is None:
            raise InvariantError(
                f"intent {intent.nonce} in the journal is of no symbol or strategy of the configuration",
                where="journal.db",
                mend="put the symbols and strategies back until nothing of theirs is under way",
            )
        return found

    async def run(self, ready: Callable[[], None]) -> None:
        """Follow the account until cancelled."""
        ready()
        # What is held is guarded before anything is listened to: asking takes no socket.
        await until_answered(self._begin_anew, self._backoff)
        async with asyncio.TaskGroup() as group:
            while True:
                await self._hear(await self.stream.next(), group)

    async def _hear(self, event: StreamEvent, group: asyncio.TaskGroup) -> None:
        match event:
            case Up(away_s):
                self.down_since = None
                log(LogEvent.VENUE_CONNECTED, away_s=away_s)
                # Before the first time, time and assets were asked a moment ago.
                await until_answered(self._ask if away_s is None else self._catch_up, self._backoff)
                # It looks more than once where both differ; meanwhile the socket is read.
                group.create_task(self._compare())
            case Down(reason):
                self.down_since = self.down_since or self._clock.monotonic()
                log(LogEvent.VENUE_LOST, level="warning", reason=reason)
            case Garbled(error):
                log(LogEvent.VENUE_GARBLED, level="warning", error=str(error))
                await until_answered(self._catch_up, self._backoff)
            case OrdersUpdated() | Filled() | Funded() if self.down_since is not None:
                # Told before all subscriptions stand; the catching up that follows asks for all of it.
                pass
            case OrdersUpdated() | Filled() | Funded():
                self._heard_ms = self._now_ms()
                await self.broker.tell(self.account.venue.on_frame(event))
            case Liquidated() | CanceledByVenue():
                await until_answered(self._catch_up, self._backoff)
            case _:
                pass

    async def _compare(self) -> None:
        await until_answered(self._reconciler.reconcile_now, self._backoff)
        self.settled.set()

    async def _begin_anew(self) -> None:
        """Settle the past, and guard what is held."""
        await self._open()
        await self._ask()
        await self._settle()

    async def _catch_up(self) -> None:
        """Ask for what was not heard, after a while in which our clock may have moved."""
        await self.account.gateway.learn_time()
        await self._ask()

    async def _ask(self) -> None:
        venue = self.account.venue
        orders = self._line.orders.save().orders.values()
        open_ids = [order.request.client_order_id for order in orders if not order.state.is_terminal]
        await self.broker.deliver(await venue.catch_up(self._heard_ms, open_ids))
        self._heard_ms = self._now_ms()

    async def _settle(self) -> None:
        for intent, settled in self._untold:
            await self.broker.tell(self.account.venue.outcome(intent, settled, self._symbol(intent)))
        orders = self._line.orders.save().orders
        known = frozenset(name for name in orders if self.account.venue.names.cloid(name) in self._sent)
        # It was asked when the account was connected.
        await self._line.deliver([TradingPermitted(ts_event=from_ms(self._now_ms()))])
        await self.broker.recover(known, from_ms(self._now_ms()))

    async def _open(self) -> None:
        """Book what the account holds when it is first seen; what moves it comes on top from then on."""
        if await opened(self._journal) is None:
            await self._reconciler.adopt()
            orders = self._line.orders.save().orders.values()
            await self._line.deliver(await opening(self.account.venue.survey, orders, self._symbols))
            await self._journal.committed(self._journal.last_seq)
        first = await opened(self._journal)
        if first is not None:
            self.account.venue.survey.counted_ms = to_ms(first.ts_event)

    def _now_ms(self) -> int:
        return self.account.gateway.time.ms()
