"""What only reduces, held against the position: it may be too large, which the venue cuts, but never add to it."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, plain
from tradebot.model.order import OrderRequest, OrderRole
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "bad_exit"


class ReducingGate(OrderGate):
    """Exits and stops that take away from the position that is held, if any is."""

    names: ClassVar = {GATE: "an exit or a stop that is not reduce-only, or stands on the side of its position"}
    faults = (GATE,)

    def check_exit(self, order: OrderRequest, book: Book) -> Stopped | None:
        """Return why ``order`` would not reduce."""
        trip = book.trips.get(order.symbol)
        why = why_not_reducing(order, ZERO if trip is None else trip.qty)
        return Stopped(GATE, detail=why) if why else None


def why_not_reducing(order: OrderRequest, held: Decimal) -> str:
    """Return why ``order`` takes nothing away from what is ``held``, short < 0; empty where it does, or nothing is.

    One without a position is sensible: its fill may be on its way. The venue drops it, for it only reduces.
    """
    if order.role is OrderRole.ENTRY or not order.reduce_only:
        return f"{order.client_order_id} is to reduce a position, and would open one"
    if order.side.sign * held > 0:
        return f"{order.client_order_id} is to {order.side}, and would add to {plain(held)} {order.symbol}"
    return ""
