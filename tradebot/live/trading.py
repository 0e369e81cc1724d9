"""One account under the line: what a boot settles before it trades, and the socket that tells of the account."""

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from tradebot.backoff import Backoff
from tradebot.live.broker import Broker
from tradebot.live.intents import IntentLog
from tradebot.live.line import LiveLine
from tradebot.live.opening import opened, opening
from tradebot.live.patience import until_answered
from tradebot.live.reconcile import Reconciler
from tradebot.log import log
from tradebot.model.errors import InvariantError, RefusedByRule
from tradebot.model.logevent import LogEvent
from tradebot.model.order import TradingPermitted
from tradebot.model.time import from_ms, to_ms
from tradebot.model.venue import AccountEvent, Acted, Down, Garbled, Intent, Past, Settled, Told, Up
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.ports import Clock, Execution
from tradebot.store.journal import SqliteJournal

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
        venue: Execution,
        line: LiveLine,
        journal: SqliteJournal,
        broker: Broker,
        reconciler: Reconciler,
        symbols: Sequence[str],
        clock: Clock,
        heard_ms: int | None,
    ) -> None:
        self.venue = venue
        self.stream = venue.stream()
        self._line = line
        self._journal = journal
        self._symbols = symbols
        self.broker = broker
        self._reconciler = reconciler
        self._clock = clock
        self.down_since: float | None = clock.monotonic()
        self._backoff = Backoff(_RETRY_FIRST_S, _RETRY_MAX_S, seed=2)
        self.settled = asyncio.Event()
        self._has_ended = heard_ms is not None
        self._heard_ms = min(self._now_ms() if heard_ms is None else heard_ms, self._now_ms()) - _OVERLAP_MS
        self._sent: frozenset[str] = frozenset()
        self._untold: list[tuple[Intent, Settled]] = []
        # Whether the book is that of another home, which may have gone on since.
        self.is_taken_over = False

    async def begin(self) -> None:
        """Read the journal's intents: nonces go on after them, and those without outcome are looked for.

        Raises ``RefusedByRule`` when another home has traded the account since this one ended.
        """
        if self._has_ended and not self.is_taken_over:
            await until_answered(self._refuse_rival, self._backoff)
        self.venue.recall(self._past(0, ()))
        unknown = [order.request.client_order_id for order in self._line.orders.unanswered()]
        silent = {self.venue.cloid(name) for name in unknown}
        read = IntentLog(self._journal).read
        last, intents = await read(lambda one: one in silent or self.venue.is_of_another(one))
        self._sent = frozenset(cloid for intent, _ in intents.values() for cloid in intent.cloids)
        self.venue.recall(self._past(last, tuple(intent for intent, _ in intents.values())))
        # By now those of a restored journal go by the cloids they were placed with.
        silent = {self.venue.cloid(name) for name in unknown}
        self._untold = [
            (intent, settled)
            for intent, settled in intents.values()
            if settled is not None and not silent.isdisjoint(intent.cloids)
        ]
        self.broker.resume((intent, self._symbol(intent)) for intent, settled in intents.values() if settled is None)

    def _past(self, last_nonce: int, intents: tuple[Intent, ...]) -> Past:
        # Symbols and strategies that are configured no more may still have orders and positions.
        orders, held = self._line.orders.book(), self._line.orders.held.values()
        adopted = {name: order.venue_order_id for name, order in orders.items() if _is_adopted(order)}
        requests = [order.request for order in orders.values()]
        symbols = dict.fromkeys((*self._symbols, *(one.symbol for one in requests)))
        strategies = frozenset((*(one.strategy for one in requests), *(one.strategy for one in held)))
        return Past(
            adopted=adopted, strategies=strategies, symbols=tuple(symbols), last_nonce=last_nonce, intents=intents
        )

    def symbol_of(self, intent: Intent) -> str:
        """Return the symbol of an intent; empty for one that cannot be told."""
        return self.venue.symbol_of(intent) or ""

    def _symbol(self, intent: Intent) -> str:
        found = self.venue.symbol_of(intent)
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

    async def _hear(self, event: AccountEvent, group: asyncio.TaskGroup) -> None:
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
            case Told(messages):
                self._heard_ms = self._now_ms()
                await self.broker.tell(messages)
            case Acted():
                await until_answered(self._catch_up, self._backoff)
            case _ as never:
                assert_never(never)

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
        await self.venue.learn_time()
        await self._ask()

    async def _ask(self) -> None:
        open_ids = [order.request.client_order_id for order in self._line.orders.open_orders()]
        await self.broker.deliver(await self.venue.catch_up(self._heard_ms, open_ids))
        self._heard_ms = self._now_ms()

    async def _settle(self) -> None:
        for intent, settled in self._untold:
            await self.broker.tell(self.venue.outcome(intent, settled, self._symbol(intent)))
        known = frozenset(name for name in self._line.orders.orders if self.venue.cloid(name) in self._sent)
        # It was asked when the account was connected.
        await self._line.deliver([TradingPermitted(ts_event=from_ms(self._now_ms()))])
        await self.broker.recover(known, from_ms(self._now_ms()), is_taken_over=self.is_taken_over)

    async def _refuse_rival(self) -> None:
        known = {order.venue_order_id for order in self._line.orders.book().values()}
        rival = await self.venue.rival_since(self._heard_ms + _OVERLAP_MS, known)
        if rival:
            raise RefusedByRule(
                f"another tradebot has traded this account since this home ended: {rival}",
                where=str(self._journal.path.parent),
                mend="leave this one stopped; or stop that one for good, then: tradebot start --live --take-over",
            )

    async def _open(self) -> None:
        """Book what the account holds when it is first seen; what moves it comes on top from then on."""
        if self.is_taken_over:
            # What the other home placed since is ours from now on.
            await self._reconciler.adopt()
        if await opened(self._journal) is None:
            await self._reconciler.adopt()
            orders = self._line.orders.orders.values()
            await self._line.deliver(await opening(self.venue.survey, orders, self._symbols))
            await self._journal.committed(self._journal.last_seq)
        first = await opened(self._journal)
        if first is not None:
            self.venue.survey.counted(to_ms(first.ts_event))

    def _now_ms(self) -> int:
        return self.venue.survey.now_ms()


def _is_adopted(order: Order) -> bool:
    """Return whether an earlier run took the order over: the venue's id is all that is known of its name there."""
    return order.is_adopted and order.venue_order_id not in ("", order.request.client_order_id)
