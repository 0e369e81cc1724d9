"""The largest order, asked once more at the price at which it was approved."""

from collections.abc import Sequence
from typing import ClassVar

from tradebot.model.order import OrderRequest
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.gates.live_cap import LiveCapGate
from tradebot.pipeline.risk.gates.order_notional import OrderNotionalGate
from tradebot.pipeline.risk.gates.order_qty import limit_of
from tradebot.pipeline.risk.gates.position_notional import PositionNotionalGate
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "order_size"
_LIMITS = tuple(gate.setting for gate in (OrderNotionalGate, PositionNotionalGate, LiveCapGate))


class OrderSizeGate(OrderGate):
    """Entries within what one order, and one position, may be worth."""

    names: ClassVar = {GATE: "it is more, or worth more, than an order or position may be, by the keys that bound them"}
    faults = (GATE,)

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return the limit that the entry is beyond."""
        first = orders[0]
        value = first.qty * book.entries[first.signal_id].price
        most = book.limits.get(limit_of(first.symbol))
        if most is not None and first.qty > most:
            return Stopped(GATE, most, first.qty, f"it is more than risk.{limit_of(first.symbol)}")
        for setting in _LIMITS:
            limit = book.limits.get(setting)
            if limit is not None and value > limit:
                return Stopped(GATE, limit, value, f"it is worth more than risk.{setting}")
        return None
