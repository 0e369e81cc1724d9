"""The venue as a witness of stops: what its own word shows to be wrong with those that the book holds for resting.

Pure: whoever asked a venue gives its answers, and gets what to tell the line.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from tradebot.model.money import ONE, Price
from tradebot.model.order import OrderRequest, OrderRole, OrderType, StopFault, StopFaulted
from tradebot.model.time import Nanos
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.orders.brackets import closing_side
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.state import Held

LEAST_MARGIN, NEW_MARGIN = Decimal("0.005"), Decimal("0.01")
"""How far on the near side of the liquidation a stop must lie, and is put when it does not, as a part of its price."""

ROUNDING = Decimal("0.0005")
"""By what part of its price a stop may rest elsewhere than asked: venues keep but so many digits of a price."""


class Witness:
    """Compares the stops of ``held``, which are among ``orders``, with what a venue says."""

    __slots__ = ("_held", "_orders")

    def __init__(self, orders: Mapping[str, Order], held: Mapping[str, Held]) -> None:
        self._orders = orders
        self._held = held

    @property
    def names(self) -> frozenset[str]:
        """The stops that the book relies on."""
        return frozenset(stop.request.client_order_id for stop, _ in self._stops())

    def differing(self, resting: Mapping[str, VenueOrder], ts: Nanos) -> Mapping[str, StopFaulted]:
        """Return by client order id what differs of the stops that rest under those ids."""
        found = {
            stop.request.client_order_id: _difference(stop, held, resting[stop.request.client_order_id], ts)
            for stop, held in self._stops()
            if stop.request.client_order_id in resting
        }
        return {name: faulted for name, faulted in found.items() if faulted is not None}

    def beyond(self, liquidations: Mapping[str, Price], ts: Nanos) -> list[StopFaulted]:
        """Return the stops that do not lie clearly on the near side of the liquidation of their symbol."""
        found: list[StopFaulted] = []
        for stop, held in self._stops():
            trigger, liquidation = stop.request.trigger, liquidations.get(held.symbol)
            if trigger is not None and liquidation is not None and not is_clear(trigger, liquidation, held.qty):
                wanted = Price(liquidation * (ONE + NEW_MARGIN.copy_sign(held.qty)))
                found.append(_faulted(stop, StopFault.LIQUIDATION, ts, wanted))
        return found

    def passed(self, marks: Mapping[str, Price]) -> frozenset[str]:
        """Return the stops that rest though the mark of their symbol is beyond their trigger, but for rounding."""
        return frozenset(
            stop.request.client_order_id
            for stop, held in self._stops()
            if stop.request.trigger is not None
            and (mark := marks.get(held.symbol)) is not None
            and (mark - stop.request.trigger) * stop.request.side.sign > stop.request.trigger * ROUNDING
        )

    def _stops(self) -> Iterator[tuple[Order, Held]]:
        """Give the stops that the book relies on, each with its position."""
        for stop in self._orders.values():
            request, held = stop.request, self._held.get(stop.request.symbol)
            if (
                request.role is OrderRole.STOP
                and stop.is_resting
                and not stop.is_canceling
                and stop.fault is None
                and held is not None
                and held.signal_id == request.signal_id
                and request.side is closing_side(held.qty)
            ):
                yield stop, held


def is_clear(trigger: Decimal, liquidation: Decimal, qty: Decimal) -> bool:
    """Return whether a stop of a position of ``qty`` wakes well before its liquidation."""
    away = trigger - liquidation if qty > 0 else liquidation - trigger
    return away >= liquidation * LEAST_MARGIN


def _difference(stop: Order, held: Held, rests: VenueOrder, ts: Nanos) -> StopFaulted | None:
    request = stop.request
    if rests.side is not request.side or not rests.reduce_only:
        return _faulted(stop, StopFault.SIDE, ts)
    if not _wakes_there(request, rests.trigger):
        return _faulted(stop, StopFault.PRICE, ts, rests.trigger)
    # The venue may cut what only reduces to the position.
    if rests.qty < min(stop.left, abs(held.qty)):
        return _faulted(stop, StopFault.SIZE, ts)
    return None


def _wakes_there(request: OrderRequest, trigger: Price | None) -> bool:
    """Return whether a stop that wakes at ``trigger`` is as asked, but for what the venue rounds.

    Of one that the venue moves by itself the book knows only how far it came at least.
    """
    if trigger is None or request.trigger is None:
        return trigger is request.trigger
    nearer = (request.trigger - trigger) * request.side.sign
    is_moved = request.type is OrderType.TRAILING_STOP and nearer > 0
    return is_moved or abs(nearer) <= request.trigger * ROUNDING


def _faulted(stop: Order, fault: StopFault, ts: Nanos, trigger: Price | None = None) -> StopFaulted:
    return StopFaulted(ts_event=ts, client_order_id=stop.request.client_order_id, fault=fault, trigger=trigger)
