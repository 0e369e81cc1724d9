"""The venue's own rules: its ticks, its lots and its smallest order."""

from collections.abc import Sequence
from typing import ClassVar

from tradebot.model.instrument import Instrument
from tradebot.model.order import OrderRequest
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GRID, MINIMUM = "off_grid", "order_minimum"


class GridGate(OrderGate):
    """Entries and their exits on the grid of the symbol, and entries as large as the venue wants them."""

    names: ClassVar = {
        GRID: "a price is no multiple of the tick, or a quantity none of the lot",
        MINIMUM: "the entry, or a part of it that a target closes, is worth less than the venue's smallest order",
    }

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return what the venue would refuse."""
        first = orders[0]
        instrument = book.instrument(first.symbol)
        for order in orders:
            stopped = _off_grid(order, instrument)
            if stopped is not None:
                return stopped
        price = first.price or first.trigger or book.marks.get(first.symbol)
        if price is not None and first.qty * price < instrument.min_notional:
            return Stopped(MINIMUM, instrument.min_notional, first.qty * price, "the venue takes no smaller order")
        for order in orders:
            # What closes all of a position may be of any size.
            if order.qty < first.qty and order.price is not None and order.qty * order.price < instrument.min_notional:
                what = f"{order.client_order_id} closes less than the venue takes as an order"
                return Stopped(MINIMUM, instrument.min_notional, order.qty * order.price, what)
        return None


def _off_grid(order: OrderRequest, instrument: Instrument) -> Stopped | None:
    if order.qty % instrument.lot:
        return Stopped(GRID, instrument.lot, order.qty, f"{order.client_order_id} is of no whole number of lots")
    for price in (order.price, order.trigger):
        if price is not None and price % (tick := instrument.tick_at(price)):
            return Stopped(GRID, tick, price, f"{order.client_order_id} is not on the tick")
    return None
