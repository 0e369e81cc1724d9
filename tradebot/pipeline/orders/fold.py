"""The fold: what the venue's word does to the register, before anything follows from it.

Each function takes one message in and returns what it changed, or nothing where it changes nothing: the venue may say
anything late, in any order and again. None of them sends an order; what must follow is derived from the change.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from tradebot.model.market import Message
from tradebot.model.money import Qty
from tradebot.model.order import (
    Fill,
    FillReport,
    FillSettled,
    OrderAccepted,
    OrderCanceled,
    OrderFound,
    OrderRejected,
    OrderRole,
    OrderState,
    RefusalClass,
)
from tradebot.model.record import Value
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.disputes import as_stranger, contradiction
from tradebot.pipeline.orders.facts import booked
from tradebot.pipeline.orders.foreign import Owner, is_opened_by_others, owner_of
from tradebot.pipeline.orders.lifecycle import Order, OrderEvent
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, WantedExit

_END: Mapping[type[Message], OrderEvent] = {OrderRejected: OrderEvent.REJECT, OrderCanceled: OrderEvent.CANCEL}
_OF_SIZE = frozenset({RefusalClass.TOO_LARGE, RefusalClass.TOO_SMALL, RefusalClass.OFF_GRID, RefusalClass.NOT_TRADED})
_MOST_SIZES = 64
"""How many refused sizes are remembered: halving goes through fewer."""


class Rested(Value, frozen=True):
    """``order`` rests at the venue from now on; ``was_asleep``: it waited there for its entry."""

    ts: Nanos
    order: Order
    was_asleep: bool


class Ended(Value, frozen=True):
    """``order`` ended, ``children`` are the exits that its end changed. ``is_wanted``: what it was to do still is."""

    ts: Nanos
    order: Order
    children: tuple[Order, ...]
    is_wanted: bool


class Booked(Value, frozen=True):
    """A trade of ``order``, or of none of ours, left ``held`` open.

    ``is_end``: the order ended with it; ``is_late``: it had ended before. ``is_wanted``: what it was to do still is.
    ``is_strange``: somebody else opened what is open.
    """

    fill: Fill
    held: Held | None
    order: Order | None = None
    is_end: bool = False
    is_late: bool = False
    is_wanted: bool = False
    is_strange: bool = False


class Doubted(Value, frozen=True):
    """A trade contradicts the book, as ``what`` says, and is held back."""

    report: FillReport
    what: str


def is_news(register: Register, message: Message) -> bool:
    """Return whether the venue's ``message`` would change anything; what it says again would not."""
    match message:
        case OrderAccepted():
            order = register.orders.get(message.client_order_id)
            return order is not None and _accepted(order, message) != order
        case OrderRejected() | OrderCanceled():
            order = register.orders.get(message.client_order_id)
            return order is not None and order.on(_END[type(message)]).state is not order.state
        case FillReport():
            is_held_back = register.disputed.get(message.trade_id) == message
            return not is_held_back and not register.has_booked(message, register.find(message.client_order_id))
        case FillSettled():
            return message.trade_id in register.disputed
        case OrderFound():
            return register.find(message.order.client_order_id) is None
        case _:
            return True


def accept(register: Register, accepted: OrderAccepted) -> Rested | None:
    """Take in that the venue works an order; that it keeps one for later changes nothing around it."""
    order = register.orders.get(accepted.client_order_id)
    if order is None:
        return None
    after = register.orders[accepted.client_order_id] = _accepted(order, accepted)
    if after.venue_order_id == order.venue_order_id or not after.is_resting:
        return None
    return Rested(accepted.ts_event, after, order.is_asleep)


def reject(register: Register, rejected: OrderRejected) -> Ended | None:
    """Take in that the venue refused an order."""
    name, refusal = rejected.client_order_id, rejected.refusal
    if name in register.orders and refusal is RefusalClass.KEY:
        register.is_barred = True
    return _end(register, name, OrderEvent.REJECT, rejected.reason, rejected.ts_event, refusal)


def cancel(register: Register, canceled: OrderCanceled) -> Ended | None:
    """Take in that the venue works an order no more."""
    return _end(register, canceled.client_order_id, OrderEvent.CANCEL, canceled.reason, canceled.ts_event)


def fill(register: Register, report: FillReport) -> Booked | Doubted | None:
    """Take in a trade, once, unless it contradicts the book."""
    order = register.find(report.client_order_id)
    if register.has_booked(report, order):
        return None
    if order is not None and (what := contradiction(report, order)) is not None:
        return _doubt(register, report, what)
    register.disputed.pop(report.trade_id, None)
    return _book_foreign(register, report) if order is None else _book(register, report, order)


def settle(register: Register, settled: FillSettled, report: FillReport) -> Booked | None:
    """Let go of the disputed ``report``; take it in after all if the venue stands by it."""
    del register.disputed[report.trade_id]
    order = register.find(report.client_order_id)
    if not settled.is_believed or register.has_booked(report, order):
        return None
    if order is None or order.request.symbol != report.symbol or order.request.side is not report.side:
        # Whoever did it: it was not what we asked for.
        return _book_foreign(register, as_stranger(report))
    return _book(register, report, order)


def _accepted(order: Order, accepted: OrderAccepted) -> Order:
    return order.on(OrderEvent.ACCEPT, venue_order_id=accepted.venue_order_id)


def _doubt(register: Register, report: FillReport, what: str) -> Doubted | None:
    if register.disputed.get(report.trade_id) == report:
        return None
    register.disputed[report.trade_id] = report
    return Doubted(report, what)


def _book(register: Register, report: FillReport, order: Order) -> Booked:
    after = order.with_fill(report.trade_id, report.qty)
    register.keep(after)
    request = order.request
    owner = Owner(request.client_order_id, request.signal_id, request.strategy, request.role, request.reason)
    made = booked(report, owner)
    held = _hold(register, made)
    is_end = after.state is not order.state and after.state.is_terminal
    is_wanted = is_end and _end_wanted(register, after)
    return Booked(made, held, after, is_end, order.state.is_terminal, is_wanted)


def _book_foreign(register: Register, report: FillReport) -> Booked:
    # The venue acted by itself, or somebody else did on our account, or we did before the journal was lost.
    register.see((report.trade_id,))
    before = register.held.get(report.symbol)
    owner = owner_of(report, before)
    made = booked(report, owner)
    return Booked(made, _hold(register, made), is_strange=is_opened_by_others(owner, before))


def _hold(register: Register, made: Fill) -> Held | None:
    """Add a trade to what is open, and take what it closed off what is to be left."""
    held = register.hold(made)
    wanted = register.wanted.get(made.symbol)
    if wanted is not None:
        if held is None or closing_side(held.qty) is not wanted.side:
            del register.wanted[made.symbol]
        elif made.side is wanted.side:
            register.wanted[made.symbol] = replace(wanted, left=Qty(wanted.left - made.qty))
    return held


def _end(
    register: Register,
    client_order_id: str,
    event: OrderEvent,
    reason: str,
    ts: Nanos,
    refusal: RefusalClass = RefusalClass.PASSING,
) -> Ended | None:
    order = register.orders.get(client_order_id)
    if order is None:
        return None
    ended = order.on(event, reason=reason)
    if ended.state is order.state:
        return None
    if refusal is not ended.refusal:
        ended = replace(ended, refusal=refusal)
    register.orders[client_order_id] = ended
    is_wanted = _end_wanted(register, ended)
    children = _end_children(register, ended) if order.request.role is OrderRole.ENTRY else ()
    return Ended(ts, ended, children, is_wanted)


def _end_children(register: Register, entry: Order) -> tuple[Order, ...]:
    # Without a fill the exits of an entry end with it; else they are for what did fill. The venue may
    # say so too, before or after.
    filled, name = entry.filled_qty, entry.request.client_order_id
    children = [one for one in register.of(entry.request.symbol) if one.request.parent_id == name]
    after = tuple(
        child.resized(filled) if filled else child.on(OrderEvent.CANCEL, reason=entry.reason)
        for child in children
        if not child.state.is_terminal
    )
    for child in after:
        register.keep(child)
    return after


def _end_wanted(register: Register, order: Order) -> bool:
    """Take in that ``order`` ended; return whether what it was to do is wanted further."""
    request = order.request
    wanted = register.wanted.get(request.symbol)
    if wanted is None or request.role is not OrderRole.EXIT:
        return False
    is_own = request.signal_id == wanted.signal_id
    if request.client_order_id != wanted.order_id:
        return is_own
    if not is_own:
        register.wanted[request.symbol] = replace(wanted, order_id="", due_ts=None)
        return False
    is_too_small = order.refusal is RefusalClass.TOO_SMALL
    # No order can be for so small a part of the position; its stop covers it further.
    is_left = is_too_small and wanted.left < abs(register.held[request.symbol].qty)
    if wanted.left <= 0 or order.is_canceling or is_left:
        del register.wanted[request.symbol]
        return False
    register.wanted[request.symbol] = _failed(register, wanted, order)
    return True


def _failed(register: Register, wanted: WantedExit, order: Order) -> WantedExit:
    failed = replace(wanted, fails=wanted.fails + 1, due_ts=None, words=order.reason)
    if order.refusal in _OF_SIZE:
        # Others are of the price, which is made when an order at market leaves, or of the key.
        return _without(register, failed, order)
    if order.state is OrderState.FILLED:
        # A smaller order than was wanted, because no larger one is taken: the next follows at once.
        return replace(failed, fails=0, words="")
    return failed


def _without(register: Register, wanted: WantedExit, order: Order) -> WantedExit:
    """Return ``wanted`` without the size of ``order``, which the venue never takes."""
    qty, lots = order.request.qty, register.instruments.of(wanted.symbol)
    most = lots.qty_down(qty / 2) if order.refusal is RefusalClass.TOO_LARGE else wanted.most
    return replace(wanted, refused=(*wanted.refused, qty)[-_MOST_SIZES:], most=most)
