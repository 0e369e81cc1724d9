"""The orders stage: decisions become orders, and what the venue says of them becomes fills.

The venue may say anything in any order and again. Each order is a fold (``lifecycle``); what is open in a
symbol is the sum of our fills; and after whatever happened an open position has its stop, or is closed.
"""

from collections.abc import Callable, Mapping, Sequence

from tradebot.model.command import Command, Heartbeat, StateChanged, Tick, TradingState, Verb
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.market import BarsClosed, Message
from tradebot.model.order import (
    FillReport,
    FillSettled,
    OrderAccepted,
    OrderCanceled,
    OrderFound,
    OrderRejected,
    OrderRequest,
    StopFaulted,
    SubmitOrders,
    TradingPermitted,
)
from tradebot.model.signal import Action, Approved
from tradebot.model.time import Nanos
from tradebot.pipeline.orders import fold
from tradebot.pipeline.orders.audit import Audit
from tradebot.pipeline.orders.brackets import STRATEGY, bracket
from tradebot.pipeline.orders.cancels import Canceller
from tradebot.pipeline.orders.cover import protection
from tradebot.pipeline.orders.disputes import held_back, let_go
from tradebot.pipeline.orders.exits import TAKEN, Exits
from tradebot.pipeline.orders.facts import done
from tradebot.pipeline.orders.fold import Booked
from tradebot.pipeline.orders.follow import Follow
from tradebot.pipeline.orders.guard import Guard
from tradebot.pipeline.orders.lifecycle import Order, OrderEvent
from tradebot.pipeline.orders.register import Lateness, Register
from tradebot.pipeline.orders.state import Held, OrdersState, Protection
from tradebot.pipeline.runs import Run

_LATE = Lateness()


class OrdersStage:
    """Knows every order that matters, from intent to last fill."""

    STATE = OrdersState

    def __init__(
        self, instruments: Mapping[str, Instrument], lateness: Lateness = _LATE, *, venue_trails: bool = False
    ) -> None:
        self._register = Register(lateness, instruments)
        self._exits = Exits(self._register)
        self._guard = Guard(self._register, self._exits)
        self._audit = Audit(self._register, self._guard)
        self._canceller = Canceller(self._register, self._exits)
        self._follow = Follow(self._register, self._guard, self._exits)
        # The entries that wait no longer than a time or a price: few, and asked for at each bar.
        self._timed: set[str] = set()
        # The symbols in which a stop may have to follow the price.
        self._trailed: set[str] = set()
        self._venue_trails = venue_trails
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            Approved: self._on_approved,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            OrderCanceled: self._on_canceled,
            FillReport: self._on_report,
            FillSettled: self._on_settled,
            StopFaulted: self._on_faulted,
            TradingPermitted: self._on_permitted,
            InstrumentSeen: self._on_seen,
            StateChanged: self._on_state,
            Command: self._on_command,
            BarsClosed: self._on_bars,
            Tick: self._on_tick,
            OrderFound: self._on_found,
            Heartbeat: _nothing,
        }

    def handle(self, message: Message) -> Sequence[Message]:
        """Return what follows from ``message``."""
        return self.handlers[type(message)](message)

    def save(self) -> OrdersState:
        """Return the orders that matter."""
        return self._register.save()

    def load(self, state: OrdersState) -> None:
        """Become what ``save`` saw."""
        self._register.load(state)
        self._trailed = {o.request.symbol for o in self._register.orders.values() if o.request.trail is not None}
        self._timed = {order.request.client_order_id for order in self._register.waiting_entries() if _is_timed(order)}

    def protection(self) -> tuple[Protection, ...]:
        """Return for each open position how much of it stops at the venue cover."""
        return tuple(protection(self._register, held) for held in self._register.held.values())

    @property
    def disputed(self) -> Mapping[str, FillReport]:
        """The fills that contradict the book and wait for what looking proves, by trade id."""
        return self._register.disputed

    def find(self, client_order_id: str) -> Order | None:
        """Return an order by its id, as long as it is remembered."""
        return self._register.find(client_order_id)

    @property
    def orders(self) -> Mapping[str, Order]:
        """The orders that matter, by id, in the order they were made: those that work and those of open positions."""
        return dict(self._register.orders)

    @property
    def held(self) -> Mapping[str, Held]:
        """What our fills leave open, by symbol."""
        return dict(self._register.held)

    def book(self) -> Mapping[str, Order]:
        """Return all orders that are remembered, by id; those that matter no more come first."""
        return self._register.remembered()

    def open_orders(self) -> list[Order]:
        """Return the orders that the venue may work on, in the order they were made."""
        return [order for order in self._register.orders.values() if not order.state.is_terminal]

    def unanswered(self) -> list[Order]:
        """Return the orders of which the venue has said nothing, also those that are not sent before their entry."""
        return [order for order in self._register.orders.values() if order.is_unknown]

    def unknown(self) -> int:
        """Return how many orders were sent and not answered."""
        return sum(not self._waits(order) for order in self.unanswered())

    def _waits(self, order: Order) -> bool:
        # What follows its entry when that has filled is not even sent.
        entry = self._register.orders.get(order.request.parent_id or "")
        return entry is not None and not entry.is_unknown and not entry.state.is_terminal

    @property
    def is_blank(self) -> bool:
        """Whether no order was ever known: the book is new, or its journal was lost."""
        return self._register.is_blank

    @property
    def is_overdue(self) -> bool:
        """Whether ticks must come: a position is to be left, or no stop covers it and more may have to be done."""
        return bool(self._register.wanted) or self._audit.is_due

    def is_news(self, message: Message) -> bool:
        """Return whether the venue's ``message`` would change anything here; what it says again would not."""
        if isinstance(message, TradingPermitted):
            return self._register.is_barred or self._exits.is_stuck
        if isinstance(message, StopFaulted):
            return self._guard.is_at_fault(message)
        return fold.is_news(self._register, message)

    def _on_approved(self, approved: Approved) -> Sequence[Message]:
        signal, symbol = approved.signal, approved.signal.symbol
        if signal.action is Action.MOVE_STOP:
            if signal.stop is None:
                return []
            return self._guard.move_stop(symbol, signal.stop, approved.ts_event, signal.pattern or STRATEGY)
        if signal.action is Action.ENTER:
            instrument = self._register.instruments.of(symbol)
            requests = bracket(approved, instrument, venue_trails=self._venue_trails)
            if self._is_taken(requests):
                return (_taken(requests[0], approved.ts_event),)
            self._register.submit(requests)
            if signal.expires_ts is not None or signal.void_price is not None:
                self._timed.add(requests[0].client_order_id)
            if signal.trail is not None:
                self._trailed.add(symbol)
            return (SubmitOrders(ts_event=approved.ts_event, orders=requests),)
        # The rest of an entry would go on enlarging what is being closed.
        started = [o for o in self._register.waiting_entries() if o.fills and o.request.symbol == symbol]
        canceled = self._register.cancel(started, approved.ts_event, "exit")
        return (*canceled, *self._exits.approve(approved))

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar no entry that waits is withdrawn; ``at`` while a stop may follow the price."""
        if run.symbol in self._trailed:
            return at
        for name in self._timed:
            order = self._register.orders.get(name)
            if order is None or order.state.is_terminal:
                continue
            if order.is_canceling:
                return at
            if order.request.symbol == run.symbol:
                until = _due(order.request, run, at, until)
        return until

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Take bars that concern no entry: there is nothing to remember of them."""

    def _on_bars(self, closed: BarsClosed) -> Sequence[Message]:
        symbol = closed.symbol
        if not self._timed and symbol not in self._trailed:
            return ()
        outputs: list[Message] = []
        if symbol in self._trailed:
            outputs += self._guard.trail(symbol, closed.bars[-1].close, closed.ts_event)
            if not any(order.request.trail is not None for order in self._register.of(symbol)):
                self._trailed.discard(symbol)
        for name in sorted(self._timed):
            order = self._register.orders.get(name)
            if order is None or not order.is_waiting:
                self._timed.discard(name)
            elif order.request.symbol == symbol and (reason := _overdue(order.request, closed)):
                outputs += self._register.cancel([order], closed.ts_event, reason)
        return outputs

    def _is_taken(self, requests: Sequence[OrderRequest]) -> bool:
        # The counters of a journal that was lost begin anew, and may come to an id that the venue still has.
        found = (self._register.find(request.client_order_id) for request in requests)
        return any(order is not None and order.is_adopted for order in found)

    def _on_tick(self, tick: Tick) -> Sequence[Message]:
        return [*self._exits.look(tick.ts_event), *self._audit.look(tick.ts_event)]

    def _on_found(self, found: OrderFound) -> Sequence[Message]:
        order = found.order
        if self._register.find(order.client_order_id) is None:
            self._register.adopt(order, found.venue_order_id)
            if order.expires_ts is not None or order.void_price is not None:
                self._timed.add(order.client_order_id)
        return ()

    def _on_accepted(self, accepted: OrderAccepted) -> Sequence[Message]:
        rested = fold.accept(self._register, accepted)
        return () if rested is None else self._follow.rested(rested)

    def _on_rejected(self, rejected: OrderRejected) -> Sequence[Message]:
        ended = fold.reject(self._register, rejected)
        return () if ended is None else self._follow.ended(ended)

    def _on_canceled(self, canceled: OrderCanceled) -> Sequence[Message]:
        ended = fold.cancel(self._register, canceled)
        return () if ended is None else self._follow.ended(ended)

    def _on_report(self, report: FillReport) -> Sequence[Message]:
        change = fold.fill(self._register, report)
        if isinstance(change, Booked):
            return self._follow.booked(change)
        return () if change is None else held_back(change.report, change.what)

    def _on_settled(self, settled: FillSettled) -> Sequence[Message]:
        report = self._register.disputed.get(settled.trade_id)
        if report is None:
            return ()
        booked = fold.settle(self._register, settled, report)
        return [let_go(report, settled), *(() if booked is None else self._follow.booked(booked))]

    def _on_faulted(self, faulted: StopFaulted) -> Sequence[Message]:
        # A journal of another version may hold one that changes nothing here.
        return self._guard.mend(faulted) if self._guard.is_at_fault(faulted) else ()

    def _on_state(self, changed: StateChanged) -> Sequence[Message]:
        if changed.state is TradingState.RUNNING:
            return self._permit(changed.ts_event)
        return self._register.cancel(self._register.waiting_entries(), changed.ts_event, changed.state.value)

    def _on_permitted(self, permitted: TradingPermitted) -> Sequence[Message]:
        return self._permit(permitted.ts_event)

    def _on_seen(self, seen: InstrumentSeen) -> Sequence[Message]:
        symbol, ts = seen.symbol, seen.ts_event
        self._register.instruments.learn(seen)
        if seen.listing is Listing.TRADED:
            # What was refused by the rules of before is formed anew by these.
            self._exits.permit(symbol)
            self._guard.permit(symbol)
            return ()
        entries = [entry for entry in self._register.waiting_entries() if entry.request.symbol == symbol]
        return self._register.cancel(entries, ts, "not_traded")

    def _permit(self, ts: Nanos) -> Sequence[Message]:
        self._exits.permit()
        if not self._register.is_barred:
            return ()
        self._register.is_barred = False
        self._guard.permit()
        # What was to be cancelled could not be asked for.
        unheard = [o for o in self._register.orders.values() if o.is_canceling and not o.state.is_terminal]
        return self._register.cancel(unheard, ts, "canceled")

    def _on_command(self, command: Command) -> Sequence[Message]:
        if command.verb is Verb.STOP:
            return self._register.cancel(self._register.waiting_entries(), command.ts_event, "stop")
        return self._canceller.on_command(command) if command.verb is Verb.CANCEL else ()


def _taken(request: OrderRequest, ts: Nanos) -> Message:
    return done(Order(request=request, qty=request.qty).on(OrderEvent.REJECT, reason=TAKEN), ts)


def _is_timed(order: Order) -> bool:
    return order.request.expires_ts is not None or order.request.void_price is not None


def _overdue(entry: OrderRequest, closed: BarsClosed) -> str:
    """Return why an entry that waits is withdrawn at this close; empty when it may go on waiting."""
    if entry.void_price is not None and (closed.bars[-1].close - entry.void_price) * entry.side.sign < 0:
        return "invalidated"
    return "expired" if entry.expires_ts is not None and closed.ts_event >= entry.expires_ts else ""


def _due(entry: OrderRequest, run: Run, at: int, until: int) -> int:
    """Return the first place at whose close an entry that waits is withdrawn."""
    if entry.expires_ts is not None and at < until:
        until = run.find(entry.expires_ts, at, until)
    if entry.void_price is None or at == until:
        return until
    return run.close_beyond(at, until, entry.void_price, entry.side.sign)


def _nothing(message: Message) -> Sequence[Message]:
    del message
    return ()
