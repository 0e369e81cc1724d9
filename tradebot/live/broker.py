"""Orders of the line on their way to the venue, and the venue's word on its way back.

Each submission is a task of its own, for one whose outcome is unknown may take long; the next must not wait. A
cancel of an order that is still on its way is tried at once and again when its outcome is known. Cancels that come
together leave as one action.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from tradebot.backoff import Backoff
from tradebot.live.instruments import hint_of
from tradebot.live.line import LiveLine
from tradebot.log import log
from tradebot.model.errors import Rejected, VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.money import ZERO
from tradebot.model.order import (
    CancelOrder,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderState,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.time import Nanos
from tradebot.model.venue import Intent
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.risk.order_gates.reducing import why_not_reducing
from tradebot.ports import Execution

_RETRY_FIRST_S, _RETRY_MAX_S = 0.25, 2.0
NEVER_SENT = "the daemon ended before it was sent"


@dataclass(slots=True)
class _Work:
    """What waits to leave, in the order the line said it."""

    cancels: list[CancelOrder] = field(default_factory=list)
    submits: list[SubmitOrders] = field(default_factory=list)
    resumes: list[tuple[Intent, str]] = field(default_factory=list)


class Broker:
    """One account's orders, out and back.

    ``committed`` returns once all rows so far are durable. ``refused`` hears that the venue does not let us trade,
    ``doubted`` of which symbol its words hint that the rules have changed.
    """

    def __init__(
        self,
        venue: Execution,
        line: LiveLine,
        committed: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.venue = venue
        self._line = line
        self._committed = committed
        self._sleep = sleep
        self._backoff = Backoff(_RETRY_FIRST_S, _RETRY_MAX_S, seed=1)
        self._work = _Work()
        self._wake = asyncio.Event()
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._deferred: dict[str, OrderRequest] = {}
        self._is_closing = False
        self.refused: Callable[[str], Awaitable[None]] = _unheard
        self.doubted: Callable[[str, str], None] = lambda symbol, words: None

    def send(self, message: SubmitOrders | CancelOrder) -> None:
        """Take what the line sends. Returns at once."""
        if isinstance(message, CancelOrder):
            self._work.cancels.append(message)
        else:
            self._work.submits.append(message)
        self._wake.set()

    def holds(self, client_order_id: str) -> bool:
        """Return whether an order is on its way, waits to leave, or waits for its entry."""
        waiting = (order for submit in self._work.submits for order in submit.orders)
        return (
            client_order_id in self._in_flight
            or client_order_id in self._deferred
            or any(order.client_order_id == client_order_id for order in waiting)
        )

    @property
    def waiting(self) -> int:
        """How many submissions and cancels have not left or have no outcome."""
        work = self._work
        return len(work.cancels) + len(work.submits) + len(work.resumes) + len(self._in_flight)

    def unsettled(self) -> Mapping[int, tuple[Intent, int]]:
        """Return the intents without an outcome, and since when by venue time, by nonce."""
        return self.venue.unsettled()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until closed and nothing is on its way."""
        ready()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                work, self._work = self._work, _Work()
                # What takes risk away goes first.
                if work.cancels:
                    group.create_task(self._cancel(work.cancels))
                for submit in work.submits:
                    names = [order.client_order_id for order in submit.orders]
                    before = self._under_way(submit.orders[0].symbol)
                    self._start(group, self._submit(submit, before), names, submit.orders[0].symbol)
                for intent, symbol in work.resumes:
                    self._start(group, self._resume(intent, symbol), self.venue.names_of(intent, symbol), symbol)
                if self._is_closing:
                    break

    def close(self) -> None:
        """Let ``run`` end once what is on its way has its outcome."""
        self._is_closing = True
        self._wake.set()

    def _under_way(self, symbol: str) -> Collection[asyncio.Task[None]]:
        return {task for task in self._in_flight.values() if task.get_name() == symbol}

    def _is_wanted(self, client_order_id: str) -> bool:
        order = self._line.orders.find(client_order_id)
        return order is not None and order.is_waiting

    def _start(
        self, group: asyncio.TaskGroup, work: Coroutine[None, None, None], names: Sequence[str], symbol: str
    ) -> None:
        task = group.create_task(work, name=symbol)
        for name in names:
            self._in_flight[name] = task
        task.add_done_callback(lambda _: self._landed(task))

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight = {name: other for name, other in self._in_flight.items() if other is not task}

    async def _submit(self, submit: SubmitOrders, before: Collection[asyncio.Task[None]]) -> None:
        is_entry = submit.orders[0].role is OrderRole.ENTRY
        if before and is_entry:
            # A reversal: the exit must have had its say before the entry turns the position round.
            await asyncio.wait(before)
        elif not is_entry:
            await self.venue.turn()
        if not self._is_wanted(submit.orders[0].client_order_id):
            await self._line.deliver([_never(order, "canceled") for order in submit.orders])
            return
        if not is_entry and (senseless := self._senseless(submit)):
            # Not all that comes here has passed the last gate: what a death kept from leaving has not.
            await self._line.deliver(senseless)
            return
        together, later = _split(submit, self.venue.capabilities.bracket_targets)
        self._deferred |= {order.client_order_id: order for order in later}
        await self.tell(await self.venue.submit(together))

    def _senseless(self, submit: SubmitOrders) -> Sequence[OrderRejected]:
        """Return the refusal of orders that are to reduce, if one of them would not."""
        held = self._line.risk.positions
        whys = [why_not_reducing(order, held.get(order.symbol, ZERO)) for order in submit.orders]
        if not any(whys):
            return ()
        return [_never(order, f"not sent: {'; '.join(filter(None, whys))}") for order in submit.orders]

    def resume(self, intents: Iterable[tuple[Intent, str]]) -> None:
        """Settle the intents that the last run left without an outcome, each with its symbol."""
        self._work.resumes += intents
        self._wake.set()

    async def _resume(self, intent: Intent, symbol: str) -> None:
        await self.tell(await self.venue.resume(intent, symbol))

    async def _cancel(self, cancels: Sequence[CancelOrder]) -> None:
        await self._committed()
        late = [cancel for cancel in cancels if cancel.client_order_id in self._in_flight]
        await self._cancel_now(cancels)
        for cancel in late:
            await self._cancel_late(cancel)

    async def _cancel_late(self, cancel: CancelOrder) -> None:
        task = self._in_flight.get(cancel.client_order_id)
        if task is not None:
            await asyncio.wait({task})
        order = self._line.orders.find(cancel.client_order_id)
        if order is not None and not order.state.is_terminal:
            await self._cancel_now([cancel])

    async def _cancel_now(self, cancels: Sequence[CancelOrder]) -> None:
        known = [cancel for cancel in cancels if cancel.client_order_id not in self._deferred]
        gone = [self._deferred.pop(cancel.client_order_id, None) for cancel in cancels]
        await self._line.deliver([_never(order, "canceled") for order in gone if order is not None])
        attempt = 0
        while known:
            attempt += 1
            known = await self._cancel_once(known, attempt)
            if known:
                await self._sleep(self._backoff.delay_s(attempt))

    async def _cancel_once(self, cancels: Sequence[CancelOrder], attempt: int) -> list[CancelOrder]:
        """Ask the venue once; return what must be asked for again."""
        try:
            await self.tell(await self.venue.cancel(*cancels))
        except VenueError as error:
            log(LogEvent.CANCEL_FAILED, level="warning", attempt=attempt, error=str(error))
            meaning = self.venue.meaning_of(error.what)
            if meaning.is_forbidden:
                await self.refused(error.what)
                return []
            if isinstance(error, Rejected) and meaning.refusal.is_lasting:
                return await self._cancel_singly(cancels, attempt)
            return [cancel for cancel in cancels if self._may_live(cancel.client_order_id)]
        # What rests for all that was asked for too early, or the answer came from a replica that lags.
        return [cancel for cancel in cancels if self._rests(cancel.client_order_id)]

    async def _cancel_singly(self, cancels: Sequence[CancelOrder], attempt: int) -> list[CancelOrder]:
        """Ask one by one for what the venue never takes together; what it never takes alone is asked for no more."""
        if len(cancels) == 1:
            return []
        left = [await self._cancel_once([cancel], attempt) for cancel in cancels]
        return [cancel for cancels in left for cancel in cancels]

    def _rests(self, client_order_id: str) -> bool:
        order = self._line.orders.find(client_order_id)
        return order is not None and order.is_resting

    def _may_live(self, client_order_id: str) -> bool:
        order = self._line.orders.find(client_order_id)
        return order is None or not order.state.is_terminal

    async def tell(self, messages: Sequence[Message]) -> None:
        """Give the venue's word to the line, the end of an exit behind its fills: what is left of it goes again.

        An end whose fills cannot be asked for is not told; the comparison finds it.
        """
        if not any(map(self._ends_exit, messages)):
            await self.deliver(messages)
            return
        fills: Sequence[Message] = ()
        try:
            fills = await self.venue.late_fills()
        except VenueError as error:
            log(LogEvent.VENUE_FAILED, level="warning", attempt=1, error=str(error))
            messages = [message for message in messages if not self._ends_exit(message)]
        await self.deliver([*fills, *messages])

    def _ends_exit(self, message: Message) -> bool:
        order = self._line.orders.find(message.client_order_id) if isinstance(message, OrderCanceled) else None
        return order is not None and order.request.role is OrderRole.EXIT and not order.state.is_terminal

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Give the venue's word to the line, and send what waited for it."""
        hints = [hint for message in messages if (hint := hint_of(message, self._line)) is not None]
        await self._line.deliver(messages)
        self._release()
        for symbol, words in hints:
            self.doubted(symbol, words)
        reasons = (message.reason for message in messages if isinstance(message, OrderRejected))
        reason = next((reason for reason in reasons if self.venue.meaning_of(reason).is_forbidden), None)
        if reason is not None:
            await self.refused(reason)

    def _release(self) -> None:
        """Send the rungs whose entry has ended with a fill; drop those whose order the line ended."""
        for name, request in list(self._deferred.items()):
            order = self._line.orders.find(name)
            if order is None or order.state.is_terminal:
                del self._deferred[name]
                continue
            parent = self._line.orders.find(request.parent_id or "")
            if parent is None or (parent.fills and (parent.state.is_terminal or self._is_bare(request))):
                del self._deferred[name]
                alone = replace(request, qty=order.qty, parent_id=None)
                self.send(SubmitOrders(ts_event=request.ts_event, orders=(alone,)))

    def _is_bare(self, request: OrderRequest) -> bool:
        """Return whether what has filled is without a stop until this one rests: it could not go with its entry."""
        return request.role is OrderRole.STOP and self.venue.capabilities.bracket_targets is None

    async def recover(self, sent: frozenset[str], ts: Nanos, *, is_taken_over: bool = False) -> None:
        """Settle what the last run decided and never sent; ``sent`` are the order ids that were in an intent.

        Exits of what is held go out now, entries are given up: their moment is past. From another home all is given
        up, for that one may have sent it: what is held gets exits of its own.
        """
        orders = self._line.orders.open_orders()
        silent = [order for order in orders if order.state is OrderState.SUBMITTED]
        # What this run decided while it settled the past, such as a stop anew, is on its way already.
        unsent = [
            order
            for order in silent
            if order.request.client_order_id not in sent and not self.holds(order.request.client_order_id)
        ]
        given_up = []
        for order in unsent:
            parent = self._line.orders.find(order.request.parent_id or "")
            if is_taken_over or _is_lost(order, parent, sent):
                given_up.append(_never(order.request, NEVER_SENT, ts))
            elif parent is not None and not parent.state.is_terminal:
                self._deferred[order.request.client_order_id] = order.request
            else:
                alone = replace(order.request, qty=order.qty, parent_id=None)
                self.send(SubmitOrders(ts_event=ts, orders=(alone,)))
        await self.deliver(given_up)
        for order in orders:
            if order.is_canceling and order not in unsent:
                request = order.request
                self.send(
                    CancelOrder(
                        ts_event=ts, client_order_id=request.client_order_id, symbol=request.symbol, reason="canceled"
                    )
                )


def _is_lost(order: Order, parent: Order | None, sent: frozenset[str]) -> bool:
    """Return whether an order that was never sent is given up: entries, what opens, and exits of such entries."""
    if order.request.role is OrderRole.ENTRY or order.is_canceling:
        return True
    # An entry that was sent may have filled, though nobody has said so yet.
    is_open = parent is not None and parent.state is OrderState.SUBMITTED
    return is_open and order.request.parent_id not in sent


def _split(submit: SubmitOrders, bracket_targets: int | None) -> tuple[SubmitOrders, Sequence[OrderRequest]]:
    """Return what goes as one request, and the exits that follow when their entry has filled."""
    first, *children = submit.orders
    if first.role is not OrderRole.ENTRY:
        return submit, ()
    if bracket_targets is None:
        return replace(submit, orders=(first,)), children
    if len(children) <= 1 + bracket_targets:
        return submit, ()
    stops = [order for order in children if order.role is OrderRole.STOP]
    targets = [order for order in children if order.role is not OrderRole.STOP]
    return replace(submit, orders=(first, *stops)), targets


def _never(order: OrderRequest, reason: str, ts: Nanos | None = None) -> OrderRejected:
    return OrderRejected(
        ts_event=order.ts_event if ts is None else ts,
        client_order_id=order.client_order_id,
        reason=reason,
        refusal=RefusalClass.UNSENT,
    )


async def _unheard(reason: str) -> None:
    log(LogEvent.VENUE_FAILED, level="error", attempt=1, error=reason)
