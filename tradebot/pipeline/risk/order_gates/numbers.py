"""The numbers of an order: exact, finite and above 0. Exits and stops are held against it too."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from tradebot.model.order import OrderRequest
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "bad_number"
# No account holds as much, and no price is as high: beyond it there are no digits left for ticks and lots.
_MOST_DIGITS = 15


class NumbersGate(OrderGate):
    """Orders of which every number is one."""

    names: ClassVar = {GATE: "a quantity, price or trigger is not an exact, finite number above 0"}
    faults = (GATE,)

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return the first number that is none."""
        return next((stopped for order in orders if (stopped := self.check_exit(order, book)) is not None), None)

    def check_exit(self, order: OrderRequest, book: Book) -> Stopped | None:
        """Return what no venue could make sense of in ``order``."""
        del book
        return _nonsense(order)


def _nonsense(order: OrderRequest) -> Stopped | None:
    if _is_bad(order.qty):
        return _stopped("qty", order.qty)
    if order.price is not None and _is_bad(order.price):
        return _stopped("price", order.price)
    if order.trigger is not None and _is_bad(order.trigger):
        return _stopped("trigger", order.trigger)
    return None


def _is_bad(number: object) -> bool:
    if type(number) is not Decimal:
        return True
    return not number.is_finite() or number <= 0 or number.adjusted() > _MOST_DIGITS


def _stopped(name: str, number: object) -> Stopped:
    return Stopped(GATE, detail=f"{name} is {str(number)[:40]}, not an exact number above 0")
