"""A venue in miniature that follows the rules of a real one, and a wire that loses time, order and count."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tests.builders import FIRST, instrument, replace
from tests.orders.ratchet import Ratchet
from tradebot.model.command import Alert, AlertName, Tick
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import (
    CancelOrder,
    Fill,
    FillReport,
    Liquidity,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    RefusalClass,
    StopFault,
    StopFaulted,
    SubmitOrders,
)
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.model.venue import VenueOrder
from tradebot.pipeline.orders.stage import OrdersStage
from tradebot.pipeline.orders.state import OrdersState
from tradebot.pipeline.orders.witness import Witness
from tradebot.store.codec import decode, encode
from tradebot.venues.hyperliquid.cloid import Cloids

CLOIDS = Cloids(b"test", b"key", ["cross"])


@dataclass
class Placed:
    """An order at the venue. Asleep: it waits for its parent to fill."""

    request: OrderRequest
    oid: int
    left: Decimal
    is_asleep: bool = False
    is_live: bool = True

    @property
    def rests(self) -> bool:
        return self.is_live and not self.is_asleep


@dataclass
class Venue:
    """Follows the rules; ``said`` is what it has to tell, in the order of happening.

    ``is_sleepy``: children of a filled entry wake by hand only. ``refusal``: what stops alone are refused with.
    ``moods`` are what becomes of the first exits; all later ones are refused where it ``refuses_exits``. ``clamps``:
    what is reduce-only trades no more than there is.
    """

    is_sleepy: bool = False
    refusal: RefusalClass | None = None
    refuses_exits: bool = False
    clamps: bool = True
    moods: list[str] = field(default_factory=list)
    refusals: list[RefusalClass | None] = field(default_factory=list)
    position: Decimal = ZERO
    orders: dict[str, Placed] = field(default_factory=dict)
    said: list[Message] = field(default_factory=list)
    trades: int = 0
    numbers: int = 0

    def submit(self, submit: SubmitOrders) -> None:
        parent = submit.orders[0].client_order_id
        for request in submit.orders:
            assert request.client_order_id not in self.orders, "sent twice"
            mood = self._mood(request)
            if mood == "silent":
                continue
            drawn = self.refusals.pop(0) if mood == "refused" and self.refusals else None
            refusal = (drawn or RefusalClass.PASSING) if mood == "refused" else self._refusal(request, parent)
            if refusal is not None:
                name = request.client_order_id
                self.said.append(
                    OrderRejected(ts_event=FIRST, client_order_id=name, reason=refusal.value, refusal=refusal)
                )
                continue
            self._place(request, mood, is_asleep=request.parent_id == parent and request is not submit.orders[0])

    def _mood(self, request: OrderRequest) -> str:
        if request.role is not OrderRole.EXIT:
            return ""
        if self.moods:
            return self.moods.pop(0)
        return "refused" if self.refuses_exits else ""

    def _refusal(self, request: OrderRequest, parent: str) -> RefusalClass | None:
        if request.parent_id == parent or not request.reduce_only:
            return None
        if self.position * request.side.sign >= 0:
            return RefusalClass.PASSING
        return self.refusal if request.role is OrderRole.STOP else None

    def _place(self, request: OrderRequest, mood: str, *, is_asleep: bool) -> None:
        name = request.client_order_id
        self.numbers += 1
        order = self.orders[name] = Placed(request, self.numbers, request.qty, is_asleep)
        self._accepted(order)
        if mood == "canceled":
            self.end(name, "ioc_canceled")
        elif request.role is OrderRole.EXIT:
            self.fill(name, min(order.left, Decimal(1)) if mood == "part" else order.left)
        elif request.role is OrderRole.STOP and not is_asleep:
            self._drop_older(order)

    def _accepted(self, order: Placed) -> None:
        name = order.request.client_order_id
        oid = name if order.is_asleep else str(order.oid)
        self.said.append(OrderAccepted(ts_event=FIRST, client_order_id=name, venue_order_id=oid))

    def _drop_older(self, newest: Placed) -> None:
        stops = [o for o in self.orders.values() if o.rests and o.request.role is OrderRole.STOP]
        while len(stops) > 2 and stops[0] is not newest:
            self.end(stops.pop(0).request.client_order_id, "reduce_only")

    def end(self, name: str, reason: str) -> None:
        order = self.orders.get(name)
        if order is None or not order.is_live:
            return
        order.is_live = False
        self.said.append(OrderCanceled(ts_event=FIRST, client_order_id=name, reason=reason))
        if order.request.role is OrderRole.ENTRY:
            for child in self.children(name):
                self.end(child.request.client_order_id, "canceled")

    def cancel(self, cancel: CancelOrder) -> None:
        order = self.orders.get(cancel.client_order_id)
        # What sleeps cannot be cancelled here, and what is unknown is told by its own events.
        if order is not None and order.rests:
            self.end(cancel.client_order_id, cancel.reason)

    def fill(self, name: str, size: Decimal) -> None:
        order = self.orders[name]
        if not order.rests:
            return
        if order.request.reduce_only and self.clamps:
            size = min(size, abs(self.position) if self.position * order.request.side.sign < 0 else ZERO)
        size = min(size, order.left)
        if size:
            order.left -= size
            self._trade(name, order.request.side, size)
        if order.left == 0:
            order.is_live = False
            self._filled(order)
        elif order.request.role is OrderRole.EXIT:
            self.end(name, "ioc_canceled")
        self._clean()

    def _filled(self, order: Placed) -> None:
        request = order.request
        if request.role is OrderRole.ENTRY and not self.is_sleepy:
            self.wake(request.client_order_id)
        for other in list(self.orders.values()):
            if request.parent_id and other.request.parent_id == request.parent_id and other is not order:
                self.end(other.request.client_order_id, "sibling_filled")

    def wake(self, entry: str) -> None:
        parent = self.orders[entry]
        for child in self.children(entry) if not parent.left else ():
            if child.is_live and child.is_asleep:
                child.is_asleep = False
                self._accepted(child)

    def children(self, name: str) -> list[Placed]:
        return [order for order in self.orders.values() if order.request.parent_id == name]

    def by_hand(self, side: OrderSide, size: Decimal) -> None:
        self._trade("venue-77", side, size)
        self._clean()

    def _trade(self, name: str, side: OrderSide, size: Decimal) -> None:
        self.trades += 1
        self.position += size * side.sign
        self.said.append(
            FillReport(
                ts_event=FIRST,
                trade_id=f"t{self.trades}",
                client_order_id=name,
                symbol="BTC",
                side=side,
                qty=Qty(size),
                price=Price(Decimal(100)),
                fee=Cash(ZERO),
                liquidity=Liquidity.TAKER,
            )
        )

    def _clean(self) -> None:
        for order in list(self.orders.values()):
            if order.rests and order.request.reduce_only and self.position * order.request.side.sign >= 0:
                self.end(order.request.client_order_id, "reduce_only")

    def spoil(self, name: str, how: int) -> None:
        """Let a stop rest for less, or wake farther away or nearer, without a word of it."""
        order = self.orders[name]
        trigger = order.request.trigger
        assert trigger is not None
        if how % 3 == 0:
            order.left = max(Decimal(1), order.left - 1)
        else:
            order.request = replace(order.request, trigger=Price(trigger + (2 if how % 3 == 1 else -2)))

    def resting(self) -> dict[str, VenueOrder]:
        return {name: _listed(order) for name, order in self.orders.items() if order.rests}

    def covered(self) -> Decimal:
        stops = [o for o in self.orders.values() if o.rests and o.request.role is OrderRole.STOP]
        return sum((o.left for o in stops if o.request.side.sign * self.position < 0), ZERO)


def _listed(order: Placed) -> VenueOrder:
    request = order.request
    return VenueOrder(
        oid=str(order.oid),
        cloid=None,
        symbol=request.symbol,
        side=request.side,
        price=Price(Decimal(100)),
        qty=Qty(order.left),
        original_qty=request.qty,
        ts_event=FIRST,
        reduce_only=request.reduce_only,
        trigger=request.trigger,
    )


@dataclass
class World:
    """The orders stage, the venue and what is between them."""

    venue: Venue
    stage: OrdersStage = field(default_factory=lambda: OrdersStage({"BTC": instrument()}))
    wire: list[SubmitOrders | CancelOrder] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    fills: dict[str, Fill] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    now: int = FIRST
    exits: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    ratchet: Ratchet = field(default_factory=Ratchet)

    def take(self, outputs: Sequence[Message]) -> None:
        for message in outputs:
            if isinstance(message, SubmitOrders | CancelOrder):
                self.wire.append(message)
                self._check_exit(message)
                self.ratchet.check(self.stage, message)
            elif isinstance(message, Fill):
                assert message.trade_id not in self.fills, "booked twice"
                self.fills[message.trade_id] = message
            elif isinstance(message, Alert):
                self.alerts.append(message)

    def _check_exit(self, message: SubmitOrders | CancelOrder) -> None:
        """One exit at work, no larger than what is open, under a name that the venue can carry."""
        if isinstance(message, CancelOrder) or message.orders[0].role is not OrderRole.EXIT:
            return
        (request,) = message.orders
        state = self.stage.save()
        assert request.qty <= abs(state.held[request.symbol].qty)
        for name, sent in self.exits.items():
            order = self.stage.find(name)
            # One of the other side, or cancelled, was for a position that is gone.
            if order is not None and order.is_waiting and order.request.side is request.side:
                assert self.now >= sent + 30 * NANOS_PER_S, "two at work"
        assert CLOIDS.encode(request.client_order_id)
        self.exits[request.client_order_id] = self.now

    def look(self) -> None:
        """Compare the stops, as the watch over a real venue does."""
        witness = Witness(self.stage.orders, self.stage.held)
        for faulted in witness.differing(self.venue.resting(), Nanos(self.now)).values():
            self.hear(faulted)

    def stick(self, name: str) -> None:
        """Let a stop have been passed, as the watch sees it."""
        if name in Witness(self.stage.orders, self.stage.held).names:
            self.hear(StopFaulted(ts_event=Nanos(self.now), client_order_id=name, fault=StopFault.UNFILLED))

    def hear(self, message: Message) -> None:
        """Give the stage a report: it knows beforehand whether that is news."""
        before, is_news = self.stage.save(), self.stage.is_news(message)
        outputs = self.stage.handle(message)
        assert is_news is (bool(outputs) or self.stage.save() != before), message
        self.take(outputs)
        self.ratchet.note(self.stage)

    def deliver(self, pick: int) -> None:
        if self.venue.said:
            message = self.venue.said.pop(pick % len(self.venue.said))
            self.told.append(message)
            self.hear(message)

    def again(self, pick: int) -> None:
        if self.told:
            self.hear(self.told[pick % len(self.told)])

    def leave(self, pick: int) -> None:
        if self.wire:
            message = self.wire.pop(pick % len(self.wire))
            self.venue.submit(message) if isinstance(message, SubmitOrders) else self.venue.cancel(message)

    def arrive(self) -> None:
        """Let all that is under way arrive, in its order."""
        while self.wire or self.venue.said:
            self.leave(0)
            self.deliver(0)

    def tick(self) -> None:
        self.now += NANOS_PER_S
        if self.stage.is_overdue:
            self.take(self.stage.handle(Tick(ts_event=Nanos(self.now))))

    def restart(self) -> None:
        state = decode(OrdersState, encode(self.stage.save()))
        self.stage = OrdersStage({"BTC": instrument()})
        self.stage.load(state)

    def settle(self) -> None:
        """Let everything arrive, and time pass."""
        for _ in range(200):
            self.arrive()
            self.look()
            self.tick()

    def has_paged(self, name: AlertName = AlertName.UNPROTECTED) -> bool:
        return any(alert.name is name for alert in self.alerts)
