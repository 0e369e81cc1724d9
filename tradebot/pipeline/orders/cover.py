"""What covers a position: which of its orders rest at the venue or are on their way, and for how much of it."""

from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.order import OrderRole, OrderState
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, Protection

_OPENING = (OrderRole.ENTRY, OrderRole.STOP)


def protection(register: Register, held: Held) -> Protection:
    """Return how much of ``held`` its stops at the venue cover."""
    resting = [order for order in stops(register, held) if order.is_resting and not order.is_canceling]
    covered = sum((order.left for order in resting), ZERO)
    return Protection(
        symbol=held.symbol,
        qty=Qty(abs(held.qty)),
        stop_price=resting[-1].request.trigger if resting else None,
        covered_qty=Qty(min(abs(held.qty), covered)),
        moved_by=resting[-1].request.moved_by if resting else "",
    )


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
    coming = sum((order.left for order in awake(register, held, OrderRole.STOP)), ZERO)
    return coming < abs(held.qty) and bool(kin(register, held, OrderRole.STOP))


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
