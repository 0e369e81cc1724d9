"""What opens is held against what was decided and against our own orders: nothing goes out twice, or unasked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.money import Price, Qty, plain
from tradebot.model.order import (
    OrderDone,
    OrderFound,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    SubmitOrders,
)
from tradebot.model.record import Value
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

INTENT, DUPLICATE, SELF_TRADE = "no_intent", "duplicate_order", "self_trade"
WINDOW = "duplicate_window_s"


class Opening(Value, frozen=True, kw_only=True):
    """An order that opens: ``level`` is its limit or trigger, ``None`` at market. ``is_limit``: it rests visibly."""

    symbol: str
    signal_id: str
    side: OrderSide
    qty: Qty
    level: Price | None
    is_limit: bool
    ts_event: Nanos

    def is_like(self, other: "Opening") -> bool:
        """Return whether ``other`` would do the same once more."""
        if self.symbol != other.symbol or self.side is not other.side:
            return False
        return self.qty == other.qty and self.level == other.level

    def crosses(self, resting: "Opening") -> bool:
        """Return whether it could trade with ``resting``, a limit of ours on the other side."""
        if resting.symbol != self.symbol or resting.side is self.side or not resting.is_limit or resting.level is None:
            return False
        return not self.is_limit or self.level is None or (self.level - resting.level) * self.side.sign >= 0


@dataclass(frozen=True, slots=True)
class OpeningState:
    """The orders that open and have not ended, by id, and those that ended lately, oldest first."""

    kind: ClassVar[str] = "openings"
    at_work: dict[str, Opening] = field(default_factory=dict)
    ended: tuple[Opening, ...] = ()


class OwnOrdersGate(OrderGate):
    """Orders that carry out one approved entry each, once, and not against ourselves."""

    names: ClassVar = {
        INTENT: "no approved entry asks for it: it is larger, of another symbol or side, or a second one",
        DUPLICATE: "one of the same symbol, side, price and quantity went out within `duplicate_window_s`",
        SELF_TRADE: "it could trade with a limit order of our own",
    }
    settings = (WINDOW,)
    faults = (INTENT, SELF_TRADE)
    hears: ClassVar = (SubmitOrders, OrderDone, OrderFound)

    def __init__(self) -> None:
        self._at_work: dict[str, Opening] = {}
        self._ended: list[Opening] = []

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return what the orders are in spite of."""
        stopped = self._unasked(orders, book)
        if stopped is not None:
            return stopped
        order = opening(orders[0])
        at_work = [one for one in self._at_work.values() if one.symbol == order.symbol]
        age = _age_of_like(order, (*at_work, *self._ended))
        if age is not None and age < _window(book):
            what = f"{_told(order)} went out already"
            return Stopped(DUPLICATE, book.limits[WINDOW], Decimal(age) / NANOS_PER_S, what)
        against = next((resting for resting in at_work if order.crosses(resting)), None)
        if against is not None:
            return Stopped(SELF_TRADE, against.level, order.level, f"{_told(against)} rests, and is ours")
        return None

    def _unasked(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        first, *exits = orders
        entry = book.entries.get(first.signal_id)
        if entry is None or first.reduce_only:
            return Stopped(INTENT, detail=f"no entry of {first.signal_id} was approved")
        if entry.symbol != first.symbol or (entry.side is not None and entry.side.entry is not first.side):
            what = f"{entry.symbol} was to be entered {entry.side}, not to {first.side} {first.symbol}"
            return Stopped(INTENT, detail=what)
        if first.qty > entry.qty:
            return Stopped(INTENT, entry.qty, first.qty, "it is larger than what was approved")
        if any(one.signal_id == first.signal_id for one in self._at_work.values()):
            return Stopped(INTENT, detail=f"an order of {first.signal_id} is at work")
        for one in exits:
            is_exit = one.reduce_only and one.symbol == first.symbol and one.side is first.side.opposite
            if not is_exit or one.qty > first.qty:
                what = f"{one.client_order_id} is no exit of {first.client_order_id}"
                return Stopped(INTENT, first.qty, one.qty, what)
        return None

    def hear(self, message: Message, book: Book) -> None:
        """Remember what opens until it has ended, and a while longer, unless the venue never took it."""
        if isinstance(message, SubmitOrders):
            first = message.orders[0]
            if not first.reduce_only:
                self._at_work[first.client_order_id] = opening(first)
        elif isinstance(message, OrderDone):
            self._on_done(message, _window(book))
        elif isinstance(message, OrderFound) and message.order.role is OrderRole.ENTRY:
            self._at_work[message.order.client_order_id] = opening(message.order)

    def _on_done(self, done: OrderDone, window: int) -> None:
        order = self._at_work.pop(done.client_order_id, None)
        if order is None or not window:
            return
        oldest = done.ts_event - window
        self._ended = [one for one in self._ended if one.ts_event > oldest]
        if done.state is not OrderState.REJECTED:
            self._ended.append(order)

    def save(self) -> OpeningState:
        """Return what is remembered."""
        return OpeningState(dict(self._at_work), tuple(self._ended))

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, OpeningState):
            raise InvariantError(f"{state!r} is not what {INTENT} remembers")
        self._at_work = dict(state.at_work)
        self._ended = list(state.ended)


def opening(order: OrderRequest) -> Opening:
    """Return what of ``order`` is compared."""
    return Opening(
        symbol=order.symbol,
        signal_id=order.signal_id,
        side=order.side,
        qty=order.qty,
        level=order.price if order.price is not None else order.trigger,
        is_limit=order.type is OrderType.LIMIT,
        ts_event=order.ts_event,
    )


def _window(book: Book) -> int:
    window_s = book.limits.get(WINDOW)
    return 0 if window_s is None else int(window_s * NANOS_PER_S)


def _age_of_like(order: Opening, others: Iterable[Opening]) -> int | None:
    return min((order.ts_event - other.ts_event for other in others if order.is_like(other)), default=None)


def _told(order: Opening) -> str:
    at = "at market" if order.level is None else f"at {plain(order.level)}"
    return f"to {order.side} {plain(order.qty)} {order.symbol} {at}"
