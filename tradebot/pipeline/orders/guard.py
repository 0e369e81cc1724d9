"""The guard of open positions: each keeps a stop of its size at the venue, or is being closed.

After a stop was lost it is placed anew once; lost again, the position is closed at market. Should the venue
refuse even that, ``protection`` shows it: a further order in the same turn would be refused like this one.
"""

from collections.abc import Sequence
from dataclasses import replace

from tradebot.model.market import Message
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.order import Fill, OrderRole, OrderState, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import closing_side, exits_anew, flatten, moved_stop
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, Protection

_PLACED_ANEW, _CLOSED = 1, 2
_LEAVING = (OrderRole.EXIT, OrderRole.TARGET)
_RESTING = (OrderState.OPEN, OrderState.PARTIALLY_FILLED)


class Guard:
    """Watches what fills and lost orders leave open."""

    __slots__ = ("_register",)

    def __init__(self, register: Register) -> None:
        self._register = register

    def protection(self, held: Held) -> Protection:
        """Return how much of ``held`` its stops at the venue cover."""
        stops = [o for o in self._kin(held, OrderRole.STOP) if o.is_waiting and o.state in _RESTING]
        covered = sum((order.qty - order.filled_qty for order in stops), ZERO)
        return Protection(
            symbol=held.symbol,
            qty=Qty(abs(held.qty)),
            stop_price=stops[-1].request.trigger if stops else None,
            covered_qty=Qty(min(abs(held.qty), covered)),
        )

    def settle(self, fill: Fill, order: Order | None) -> list[Message]:
        """Add ``fill`` of ``order`` to what is open, and return what must be done to the orders around it."""
        held = self._register.hold(fill)
        if held is not None:
            return self._secure(held, order, fill.ts_event)
        leftovers = [o for o in self._register.of(fill.symbol) if o.is_waiting and not self.is_of_next(o)]
        canceled = self._register.cancel(leftovers, fill.ts_event, "position_closed")
        self._register.drop_finished(fill.symbol)
        return canceled

    def secure(self, order: Order, ts: Nanos) -> list[Message]:
        """Return what must be done now that ``order``, an exit, ended before its time."""
        held = self._register.held.get(order.request.symbol)
        return [] if held is None else self._secure(held, order, ts)

    def move_stop(self, symbol: str, trigger: Price, ts: Nanos) -> list[Message]:
        """Return what puts the stop of a position at ``trigger``: the new one first, then the old one's end."""
        held = self._register.held.get(symbol)
        if held is None:
            return []
        olds = [order for order in self._kin(held, OrderRole.STOP) if order.is_waiting]
        if not olds:
            return []
        request = moved_stop(self._next_generation(held), olds[-1].request, trigger, ts)
        self._register.submit((request,))
        return [SubmitOrders(ts_event=ts, orders=(request,)), *self._register.cancel(olds, ts, "replaced")]

    def guards(self, order: Order) -> bool:
        """Return whether ``order`` is the stop of an open position."""
        held = self._register.held.get(order.request.symbol)
        is_stop = order.request.role is OrderRole.STOP
        return is_stop and held is not None and held.signal_id == order.request.signal_id

    def is_of_next(self, order: Order) -> bool:
        """Return whether ``order`` is an entry that has not begun to fill, or an exit of one."""
        parent_id = order.request.parent_id
        entry = order if parent_id is None else self._register.orders.get(parent_id, order)
        return entry.request.role is OrderRole.ENTRY and entry.is_waiting and not entry.fills

    def _secure(self, held: Held, order: Order | None, ts: Nanos) -> list[Message]:
        resized = self._resize_exits(held, ts) if order is not None and self._changes_size(held, order) else []
        return resized or self._protect(held, ts)

    def _changes_size(self, held: Held, order: Order) -> bool:
        """Return whether the exits of ``held`` may no longer be of its size after what happened to ``order``."""
        if order.request.role is OrderRole.ENTRY:
            # The exits that came with an entry are for all of it; those placed since, for what had filled by then.
            return held.generation > 1
        return order.request.role in _LEAVING and order.state.is_terminal

    def _resize_exits(self, held: Held, ts: Nanos) -> list[Message]:
        exits = self._kin(held, OrderRole.STOP, OrderRole.TARGET)
        # The rungs of a ladder are smaller than the position, and leave what they do not take to the stop.
        alone = [order for order in exits if order.is_waiting and order.request.oco_id is not None]
        olds = [order for order in alone if order.qty - order.filled_qty != abs(held.qty)]
        if not olds:
            return []
        # The new ones first: at no moment is the position without its stop.
        return [self._place_anew(held, olds, ts), *self._register.cancel(olds, ts, "replaced")]

    def _protect(self, held: Held, ts: Nanos) -> list[Message]:
        stops = self._kin(held, OrderRole.STOP)
        if not stops or any(order.is_waiting for order in stops) or self._is_being_closed(held):
            return []
        if held.repairs < _PLACED_ANEW and stops[-1].request.side is closing_side(held.qty):
            return [self._place_anew(replace(held, repairs=_PLACED_ANEW), stops[-1:], ts)]
        if held.repairs < _CLOSED:
            request = flatten(self._next_generation(replace(held, repairs=_CLOSED)), ts)
            self._register.submit((request,))
            return [SubmitOrders(ts_event=ts, orders=(request,))]
        return []

    def _is_being_closed(self, held: Held) -> bool:
        orders = self._register.of(held.symbol)
        exits = (o for o in orders if o.request.role is OrderRole.EXIT and o.is_waiting)
        return any(order.qty - order.filled_qty >= abs(held.qty) for order in exits)

    def _place_anew(self, held: Held, olds: Sequence[Order], ts: Nanos) -> SubmitOrders:
        requests = exits_anew(self._next_generation(held), olds, ts)
        self._register.submit(requests)
        return SubmitOrders(ts_event=ts, orders=requests)

    def _next_generation(self, held: Held) -> Held:
        held = self._register.held[held.symbol] = replace(held, generation=held.generation + 1)
        return held

    def _kin(self, held: Held, *roles: OrderRole) -> list[Order]:
        return [
            order
            for order in self._register.of(held.symbol)
            if order.request.signal_id == held.signal_id and order.request.role in roles
        ]
