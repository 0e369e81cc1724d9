"""What covers a position: which of its orders rest at the venue or are on their way, and for how much of it."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from tradebot.model.money import ZERO, Price, Qty, plain
from tradebot.model.order import OrderRole, OrderState, StopFault
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, Protection

_OPENING = (OrderRole.ENTRY, OrderRole.STOP)
_FAULTS: Mapping[StopFault, str] = {
    StopFault.SIDE: "rests on the wrong side",
    StopFault.SIZE: "rests for less than the position",
    StopFault.PRICE: "rests at another price",
    StopFault.LIQUIDATION: "lies beyond the liquidation",
    StopFault.UNFILLED: "was passed and did not fill",
}


def protection(register: Register, held: Held) -> Protection:
    """Return how much of ``held`` its stops at the venue cover."""
    resting = _in_force(register, held)
    covered = min(abs(held.qty), sum((order.left for order in resting), ZERO))
    return Protection(
        symbol=held.symbol,
        qty=Qty(abs(held.qty)),
        stop_price=resting[-1].request.trigger if resting else None,
        covered_qty=Qty(covered),
        moved_by=resting[-1].request.moved_by if resting else "",
        why="" if covered == abs(held.qty) else _why_naked(register, held, covered),
    )


def _in_force(register: Register, held: Held) -> list[Order]:
    return [one for one in stops(register, held) if one.is_resting and not one.is_canceling and one.fault is None]


def _why_naked(register: Register, held: Held, covered: Decimal) -> str:
    """Return why no more than ``covered`` of ``held`` has a stop that rests, and what is on its way."""
    if sent := pending(register, held):
        on_its_way = f"{sent} is on its way"
    elif held.symbol in register.wanted:
        on_its_way = "it is to be closed"
    else:
        on_its_way = ""
    faulty = next((one for one in reversed(stops(register, held)) if one.is_resting and one.fault is not None), None)
    if register.bars(held.symbol):
        why = "the venue takes no orders for it now"
    elif has_no_stop(register, held):
        why = "it was opened without a stop"
    elif faulty is not None and faulty.fault is not None:
        why = f"its stop {_FAULTS[faulty.fault]}"
    elif covered:
        why = f"its stops rest for {plain(covered)} of {plain(abs(held.qty))}"
    else:
        why = "no stop of it rests at the venue"
    return f"{why}; {on_its_way}" if on_its_way else why


def pending(register: Register, held: Held) -> str:
    """Return the newest order that was sent to protect or to close ``held`` and has no outcome; else nothing."""
    sent = [o for o in stops(register, held) if o.is_unknown and not o.is_canceling and not _sleeps(register, o)]
    orders = [*sent, *closing(register, held)]
    return orders[-1].request.client_order_id if orders else ""


def has_no_stop(register: Register, held: Held) -> bool:
    """Return whether ``held`` was never to have a stop: its entry came without, or somebody else opened it."""
    return not held.signal_id or {o.request.role for o in kin(register, held, *_OPENING)} == {OrderRole.ENTRY}


def lacks_stop(register: Register, held: Held) -> bool:
    """Return whether ``held``, which is to have a stop, has none of its size that rests or is on its way."""
    coming = sum((order.left for order in awake(register, held, OrderRole.STOP) if order.fault is None), ZERO)
    return coming < abs(held.qty) and bool(kin(register, held, OrderRole.STOP))


def is_covered(register: Register, held: Held, but: Collection[Order]) -> bool:
    """Return whether stops that rest cover ``held`` without those of ``but``."""
    left = [one for one in _in_force(register, held) if one not in but]
    return sum((one.left for one in left), ZERO) >= abs(held.qty)


def stop_in_force(register: Register, order: Order) -> Price | None:
    """Return where the newest stop of the position of ``order``, which was one, stands, if it has one."""
    held = register.held.get(order.request.symbol)
    left = awake(register, held, OrderRole.STOP) if held is not None and guards(register, order) else []
    return left[-1].request.trigger if left else None


def guards(register: Register, order: Order) -> bool:
    """Return whether ``order`` is the stop of an open position."""
    held = register.held.get(order.request.symbol)
    is_stop = order.request.role is OrderRole.STOP
    return is_stop and held is not None and held.signal_id == order.request.signal_id


def is_of_next(register: Register, order: Order) -> bool:
    """Return whether ``order`` is an entry that has not begun to fill, or an exit of one."""
    parent_id = order.request.parent_id
    entry = order if parent_id is None else register.orders.get(parent_id, order)
    return entry.request.role is OrderRole.ENTRY and entry.is_waiting and not entry.fills


def closing(register: Register, held: Held) -> list[Order]:
    """Return the exits at work that close all of ``held``."""
    exits = (one for one in register.of(held.symbol) if one.request.role is OrderRole.EXIT and one.is_waiting)
    return [order for order in exits if order.left >= abs(held.qty)]


def awake(register: Register, held: Held, role: OrderRole) -> list[Order]:
    """Return the exits that rest at the venue, or will without anything else happening first."""
    side = closing_side(held.qty)
    orders = kin(register, held, role)
    return [one for one in orders if one.is_waiting and one.request.side is side and not _sleeps(register, one)]


def stops(register: Register, held: Held) -> list[Order]:
    """Return all stops of ``held``, but those of the other side: it was turned round since."""
    side = closing_side(held.qty)
    return [order for order in kin(register, held, OrderRole.STOP) if order.request.side is side]


def kin(register: Register, held: Held, *roles: OrderRole) -> list[Order]:
    """Return the orders of the signal that opened ``held``, of these roles."""
    return [
        order
        for order in register.orders.values()
        if order.request.symbol == held.symbol
        and order.request.signal_id == held.signal_id
        and order.request.role in roles
    ]


def _sleeps(register: Register, order: Order) -> bool:
    """Return whether ``order`` waits at the venue for an entry that has not filled wholly."""
    if order.request.parent_id is None or order.is_resting:
        return False
    entry = register.orders.get(order.request.parent_id)
    return entry is not None and entry.state is not OrderState.FILLED
