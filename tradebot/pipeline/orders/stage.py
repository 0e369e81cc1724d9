"""The orders stage: decisions become orders, and what the venue says of them becomes fills.

The venue may say anything in any order and again. Each order is a fold (``lifecycle``); what is open in a
symbol is the sum of our fills; and after whatever happened an open position has its stop, or is closed.
"""

from collections.abc import Callable, Mapping, Sequence

from tradebot.model.command import Command, CommandDone, Heartbeat, StateChanged, Tick, TradingState, Verb
from tradebot.model.instrument import Instrument
from tradebot.model.making import maker
from tradebot.model.market import BarsClosed, Message
from tradebot.model.order import (
    Fill,
    FillReport,
    OrderAccepted,
    OrderCanceled,
    OrderDone,
    OrderFound,
    OrderRejected,
    OrderRequest,
    OrderRole,
    SubmitOrders,
)
from tradebot.model.signal import Action, Approved
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import bracket, market_exit
from tradebot.pipeline.orders.guard import Guard
from tradebot.pipeline.orders.lifecycle import Order, OrderEvent
from tradebot.pipeline.orders.register import Lateness, Register
from tradebot.pipeline.orders.state import OrdersState, Protection

CLOSING_REASONS = frozenset({"sibling_filled", "position_closed", "reduce_only"})
"""Why a venue cancels an exit by itself, because the fill that ends the position comes next."""
LIQUIDATION = "liquidation"
_LATE = Lateness()
_submit = maker(SubmitOrders)
_order_done = maker(OrderDone)
_booked = maker(Fill)


class OrdersStage:
    """Knows every order that matters, from intent to last fill."""

    STATE = OrdersState

    def __init__(self, instruments: Mapping[str, Instrument], lateness: Lateness = _LATE) -> None:
        self._instruments = instruments
        self._register = Register(lateness)
        self._guard = Guard(self._register)
        # The entries that wait no longer than a time or a price: few, and asked for at each bar.
        self._timed: set[str] = set()
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {
            Approved: self._on_approved,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            OrderCanceled: self._on_canceled,
            FillReport: self._on_report,
            StateChanged: self._on_state,
            Command: self._on_command,
            BarsClosed: self._on_bars,
            Tick: _nothing,
            OrderFound: _nothing,
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
        self._timed = {order.request.client_order_id for order in self._register.waiting_entries() if _is_timed(order)}

    def protection(self) -> tuple[Protection, ...]:
        """Return for each open position how much of it stops at the venue cover."""
        return tuple(self._guard.protection(held) for held in self._register.held.values())

    def _on_approved(self, approved: Approved) -> Sequence[Message]:
        signal, symbol = approved.signal, approved.signal.symbol
        if signal.action is Action.MOVE_STOP:
            return [] if signal.stop is None else self._guard.move_stop(symbol, signal.stop, approved.ts_event)
        if signal.action is Action.ENTER:
            requests = bracket(approved, self._instruments.get(symbol) or Instrument(symbol=symbol))
            self._register.submit(requests)
            if signal.expires_ts is not None or signal.void_price is not None:
                self._timed.add(requests[0].client_order_id)
            return (_submit(ts_event=approved.ts_event, orders=requests),)
        # The rest of an entry would go on enlarging what is being closed.
        started = [o for o in self._register.waiting_entries() if o.fills and o.request.symbol == symbol]
        canceled = self._register.cancel(started, approved.ts_event, "exit")
        request = market_exit(approved)
        self._register.submit((request,))
        return (*canceled, _submit(ts_event=approved.ts_event, orders=(request,)))

    def _on_bars(self, closed: BarsClosed) -> Sequence[Message]:
        if not self._timed:
            return ()
        outputs: list[Message] = []
        for name in sorted(self._timed):
            order = self._register.orders.get(name)
            if order is None or not order.is_waiting:
                self._timed.discard(name)
            elif order.request.symbol == closed.symbol and (reason := _overdue(order.request, closed)):
                outputs += self._register.cancel([order], closed.ts_event, reason)
        return outputs

    def _on_accepted(self, accepted: OrderAccepted) -> Sequence[Message]:
        order = self._register.orders.get(accepted.client_order_id)
        if order is not None:
            self._register.keep(order.on(OrderEvent.ACCEPT, venue_order_id=accepted.venue_order_id))
        return ()

    def _on_rejected(self, rejected: OrderRejected) -> Sequence[Message]:
        return self._on_end(rejected.client_order_id, OrderEvent.REJECT, rejected.reason, rejected.ts_event)

    def _on_canceled(self, canceled: OrderCanceled) -> Sequence[Message]:
        return self._on_end(canceled.client_order_id, OrderEvent.CANCEL, canceled.reason, canceled.ts_event)

    def _on_end(self, client_order_id: str, event: OrderEvent, reason: str, ts: Nanos) -> Sequence[Message]:
        order = self._register.orders.get(client_order_id)
        if order is None:
            return ()
        ended = order.on(event, reason=reason)
        if ended.state is order.state:
            return ()
        self._register.keep(ended)
        outputs: list[Message] = [_done(ended, ts)]
        symbol = order.request.symbol
        if order.request.role is OrderRole.ENTRY:
            outputs += self._end_children(ended, ts)
        elif not order.is_canceling and reason not in CLOSING_REASONS:
            outputs += self._guard.secure(ended, ts)
        if symbol not in self._register.held:
            self._register.drop_finished(symbol)
        return outputs

    def _end_children(self, entry: Order, ts: Nanos) -> Sequence[Message]:
        # Without a fill the exits of an entry end with it; else they are for what did fill. The venue may
        # say so too, before or after.
        outputs: list[Message] = []
        for child in self._register.of(entry.request.symbol):
            if child.request.parent_id != entry.request.client_order_id or child.state.is_terminal:
                continue
            filled = entry.filled_qty
            after = child.resized(filled) if filled else child.on(OrderEvent.CANCEL, reason=entry.reason)
            self._register.keep(after)
            if after.state.is_terminal:
                outputs.append(_done(after, ts))
        return outputs

    def _on_report(self, report: FillReport) -> Sequence[Message]:
        order = self._register.find(report.client_order_id)
        if order is None:
            return self._on_foreign(report)
        after = order.with_fill(report.trade_id, report.qty)
        if after is order:
            return ()
        self._register.keep(after)
        request = order.request
        fill = _fill(report, request.client_order_id, request.signal_id, request.strategy, request.role, request.reason)
        outputs: list[Message] = [fill]
        if after.state.is_terminal and after.state is not order.state:
            outputs.append(_done(after, report.ts_event))
        return outputs + self._guard.settle(fill, after)

    def _on_foreign(self, report: FillReport) -> Sequence[Message]:
        # The venue acted by itself, or somebody else did on our account: what is open pays for it.
        if self._register.has_seen(report.trade_id):
            return ()
        self._register.see((report.trade_id,))
        held = self._register.held.get(report.symbol)
        reason = LIQUIDATION if report.client_order_id is None else "manual"
        signal_id, strategy = (held.signal_id, held.strategy) if held is not None else ("", reason)
        client_order_id = report.client_order_id or f"{LIQUIDATION}-{report.trade_id}"
        fill = _fill(report, client_order_id, signal_id, strategy, OrderRole.EXIT, reason)
        return [fill, *self._guard.settle(fill, None)]

    def _on_state(self, changed: StateChanged) -> Sequence[Message]:
        if changed.state is TradingState.RUNNING:
            return ()
        return self._register.cancel(self._register.waiting_entries(), changed.ts_event, changed.state.value)

    def _on_command(self, command: Command) -> Sequence[Message]:
        if command.verb is Verb.STOP:
            return self._register.cancel(self._register.waiting_entries(), command.ts_event, "stop")
        if command.verb is not Verb.CANCEL:
            return ()
        orders = self._register.orders
        if command.arguments.get("all") == "true":
            wanted = [
                o for o in orders.values() if o.is_waiting and not self._guard.guards(o) and not self._is_child(o)
            ]
        else:
            order = orders.get(command.arguments.get("id", ""))
            error = self._cancel_error(order)
            if order is None or error:
                return (CommandDone(id=command.id, ts_event=command.ts_event, detail="", error=error),)
            wanted = [order]
        detail = f"cancelling {len(wanted)} order{'' if len(wanted) == 1 else 's'}"
        done = CommandDone(id=command.id, ts_event=command.ts_event, detail=detail)
        return (*self._register.cancel(wanted, command.ts_event, "operator"), done)

    def _cancel_error(self, order: Order | None) -> str:
        if order is None or not order.is_waiting:
            return "no such order is at work; mend: orders lists those that are"
        if self._guard.guards(order):
            return "this stop protects a position; mend: close the position, or halt --flatten"
        if self._is_child(order) and order.request.role is OrderRole.STOP:
            return f"this stop belongs to a waiting entry; mend: cancel {order.request.parent_id}"
        return ""

    def _is_child(self, order: Order) -> bool:
        return order.request.parent_id is not None and self._guard.is_of_next(order)


def _is_timed(order: Order) -> bool:
    return order.request.expires_ts is not None or order.request.void_price is not None


def _overdue(entry: OrderRequest, closed: BarsClosed) -> str:
    """Return why an entry that waits is withdrawn at this close; empty when it may go on waiting."""
    if entry.void_price is not None and (closed.bars[-1].close - entry.void_price) * entry.side.sign < 0:
        return "invalidated"
    return "expired" if entry.expires_ts is not None and closed.ts_event >= entry.expires_ts else ""


def _nothing(message: Message) -> Sequence[Message]:
    del message
    return ()


def _done(order: Order, ts: Nanos) -> OrderDone:
    request = order.request
    return _order_done(
        ts_event=ts,
        client_order_id=request.client_order_id,
        signal_id=request.signal_id,
        strategy=request.strategy,
        symbol=request.symbol,
        role=request.role,
        state=order.state,
        filled_qty=order.filled_qty,
        reason=order.reason,
    )


def _fill(
    report: FillReport, client_order_id: str, signal_id: str, strategy: str, role: OrderRole, reason: str
) -> Fill:
    return _booked(
        ts_event=report.ts_event,
        trade_id=report.trade_id,
        client_order_id=client_order_id,
        signal_id=signal_id,
        strategy=strategy,
        symbol=report.symbol,
        role=role,
        side=report.side,
        qty=report.qty,
        price=report.price,
        fee=report.fee,
        liquidity=report.liquidity,
        reason=reason,
    )
