"""The register: orders, what their fills leave open, and what is still to be done about it.

It is all that the stage knows. Bounded: what matters no more is dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from msgspec.structs import replace

from tradebot.model.errors import InvariantError
from tradebot.model.instrument import Instrument, Listing
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Qty
from tradebot.model.order import CancelOrder, Fill, FillReport, OrderRequest, OrderRole, OrderState
from tradebot.model.time import Nanos
from tradebot.pipeline.instruments import Instruments
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.state import Held, OrdersState, WantedExit, Watch


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long the past is kept for what a venue says late, or again.

    ``orders`` are those that matter no more, ``trades`` the ids of trades whose orders are gone.
    """

    orders: int = 100
    trades: int = 10_000


_PLACED = (OrderRole.STOP, OrderRole.TARGET, OrderRole.EXIT)
_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})
PROMPT = Lateness(orders=20, trades=100)
"""For a venue in this process, which says everything once and at once: snapshots stay small."""


class Register:
    """Orders by id, open positions by symbol and the trades seen; ``OrdersState`` says what the fields mean."""

    __slots__ = (
        "_done",
        "_lateness",
        "_seen",
        "_submitted",
        "disputed",
        "held",
        "instruments",
        "is_barred",
        "orders",
        "wanted",
        "watched",
    )

    def __init__(self, lateness: Lateness, instruments: Mapping[str, Instrument]) -> None:
        self._lateness = lateness
        self.instruments = Instruments(instruments)
        self.orders: dict[str, Order] = {}
        self.held: dict[str, Held] = {}
        self._done: dict[str, Order] = {}
        # A dict for its order: the oldest ids are forgotten first.
        self._seen: dict[str, None] = {}
        self._submitted = 0
        self.is_barred = False
        self.wanted: dict[str, WantedExit] = {}
        self.watched: dict[str, Watch] = {}
        self.disputed: dict[str, FillReport] = {}

    def save(self) -> OrdersState:
        """Return it as a value."""
        return OrdersState(
            orders=dict(self.orders),
            done=dict(self._done),
            held=dict(self.held),
            seen=tuple(self._seen),
            submitted=self._submitted,
            watched=dict(self.watched),
            wanted=dict(self.wanted),
            disputed=dict(self.disputed),
            is_barred=self.is_barred,
            instruments=dict(self.instruments.seen),
        )

    def load(self, state: OrdersState) -> None:
        """Become what ``save`` saw."""
        self.orders = dict(state.orders)
        self._done = dict(state.done)
        self.held = dict(state.held)
        self._seen = dict.fromkeys(state.seen)
        self._submitted = state.submitted
        self.is_barred = state.is_barred
        self.wanted = dict(state.wanted)
        self.watched = dict(state.watched)
        self.disputed = dict(state.disputed)
        self.instruments.seen = dict(state.instruments)

    def bars(self, symbol: str) -> bool:
        """Return whether nothing is to be placed in ``symbol``: our key may not trade, or the venue does not."""
        return self.is_barred or self.instruments.listing(symbol) is not Listing.TRADED

    def has_ended(self, symbol: str) -> bool:
        """Return whether the venue takes no orders of ``symbol`` any more."""
        return self.instruments.listing(symbol).has_ended

    def submit(self, requests: Iterable[OrderRequest], replaces: Mapping[str, tuple[str, ...]] = _NOTHING) -> None:
        """Enter orders that are on their way to the venue, and by id what each ``replaces`` once it rests there.

        Raises ``InvariantError`` on an id that was used.
        """
        for request in requests:
            name = request.client_order_id
            if self.find(name) is not None:
                raise InvariantError(f"order {name} is submitted a second time", where="orders", mend="report this bug")
            self.orders[name] = Order(
                request=request, qty=request.qty, state=OrderState.SUBMITTED, replaces=replaces.get(name, ())
            )
            self._submitted += 1

    def adopt(self, request: OrderRequest, venue_order_id: str) -> None:
        """Enter an order of ours that was found at the venue."""
        self.orders[request.client_order_id] = Order(
            request=request, qty=request.qty, state=OrderState.OPEN, venue_order_id=venue_order_id, is_adopted=True
        )

    def keep(self, order: Order) -> None:
        """Replace an order by what it has become; one that was dropped matters again, with its kin."""
        name = order.request.client_order_id
        if name in self._done:
            signal_id = order.request.signal_id
            for kin in [kin for kin, one in self._done.items() if one.request.signal_id == signal_id]:
                self.orders[kin] = self._done.pop(kin)
        self.orders[name] = order

    def cancel(self, orders: Iterable[Order], ts: Nanos, reason: str) -> list[Message]:
        """Return what asks the venue to cancel ``orders``, and remember that it was asked."""
        outputs: list[Message] = []
        for order in orders:
            self.keep(replace(order, is_canceling=True))
            request = order.request
            outputs.append(
                CancelOrder(ts_event=ts, client_order_id=request.client_order_id, symbol=request.symbol, reason=reason)
            )
        return outputs

    def of(self, symbol: str) -> list[Order]:
        """Return the orders of ``symbol``, in the order they were made."""
        return [order for order in self.orders.values() if order.request.symbol == symbol]

    def waiting_entries(self) -> list[Order]:
        """Return the entries that may still trade."""
        return [o for o in self.orders.values() if o.request.role is OrderRole.ENTRY and o.is_waiting]

    def has_booked(self, report: FillReport, order: Order | None) -> bool:
        """Return whether the trade of ``report``, which is told of ``order``, was booked before."""
        # It may have been booked before its order was found, or the order may be gone.
        if report.trade_id in self._seen:
            return True
        if order is not None:
            return report.trade_id in order.fills
        # Whose it is may be told otherwise than before; a trade is one all the same.
        return any(report.trade_id in one.fills for one in (*self.orders.values(), *self._done.values()))

    def see(self, trade_ids: Iterable[str]) -> None:
        """Remember trades that no order remembers."""
        for trade_id in trade_ids:
            self._seen[trade_id] = None
        while len(self._seen) > self._lateness.trades:
            del self._seen[next(iter(self._seen))]

    def find(self, client_order_id: str | None) -> Order | None:
        """Return an order by its id, also one of the last that matter no more."""
        if client_order_id is None:
            return None
        return self.orders.get(client_order_id) or self._done.get(client_order_id)

    def remembered(self) -> dict[str, Order]:
        """Return all orders that are remembered, by id; those that matter no more come first."""
        return self._done | self.orders

    @property
    def is_blank(self) -> bool:
        """Whether no order was ever known."""
        return not (self.orders or self._done or self.held or self._submitted)

    def hold(self, fill: Fill) -> Held | None:
        """Add ``fill`` to what is open in its symbol and return what is open now."""
        held = self.held.get(fill.symbol)
        before = held.qty if held is not None else ZERO
        after = before + fill.qty * fill.side.sign
        if not after:
            self.held.pop(fill.symbol, None)
            return None
        if held is None or before * after < 0:
            held = Held(symbol=fill.symbol, strategy=fill.strategy, signal_id=fill.signal_id, qty=Qty(after))
        else:
            held = replace(held, qty=Qty(after))
        self.held[fill.symbol] = held
        return held

    def next_generation(self, held: Held, *signal_ids: str) -> Held:
        """Return ``held`` with the next number of its exits, which no order of ``signal_ids`` and its own has."""
        generation = held.generation + 1
        names = [f"{signal_id}-{role}" for signal_id in (held.signal_id, *signal_ids) for role in _PLACED]
        # An order that was found at the venue may have the id already.
        while any(self.find(f"{name}{generation}") for name in names):
            generation += 1
        held = self.held[held.symbol] = replace(held, generation=generation)
        return held

    def drop(self, client_order_id: str) -> None:
        """Drop an order that matters no more."""
        self._done[client_order_id] = self.orders.pop(client_order_id)
        while len(self._done) > self._lateness.orders:
            self.see(self._done.pop(next(iter(self._done))).fills)

    def drop_finished(self, symbol: str) -> None:
        """Drop the orders of a symbol that is flat, but those at work and the exits of an entry at work."""
        orders = self.of(symbol)
        alive = {order.request.signal_id for order in orders if not order.state.is_terminal}
        for order in orders:
            request = order.request
            if request.signal_id not in alive:
                self.drop(request.client_order_id)
