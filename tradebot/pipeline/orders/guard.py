"""The guard of open positions: each keeps a stop of its size at the venue, or is being closed.

What protects is what rests there. The exits of an entry sleep until it has filled wholly; what fills before gets a
stop of its own, and that one goes when they wake. An entry at market does not stay at work: its trades come at once.
A new stop is placed first, and the old one is cancelled when the new one rests: at no moment is the position without
its stop, and a refused one changes nothing.

After a stop was lost it is placed anew once; lost again, the position is closed at market. Should the venue refuse
even that, ticks go on: a further order in the same turn would be refused like this one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from tradebot.model.market import Message
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.order import Fill, OrderRole, OrderState, OrderType, RefusalClass, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import closing_side, exits_anew, moved_stop
from tradebot.pipeline.orders.exits import UNPROTECTED, Exits
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held, Protection

CLOSING_REASONS = frozenset({"sibling_filled", "position_closed", "reduce_only"})
"""Why a venue cancels an exit by itself, because the fill that ends the position comes next."""
_PLACED_ANEW, _CLOSED = 1, 2
_LEAVING = (OrderRole.EXIT, OrderRole.TARGET)
_PROTECTING = (OrderRole.STOP, OrderRole.TARGET)
_OPENING = (OrderRole.ENTRY, OrderRole.STOP)
_REFUSED = (OrderState.CANCELED, OrderState.REJECTED)


class Guard:
    """Watches what fills and lost orders leave open."""

    __slots__ = ("_exits", "_register")

    def __init__(self, register: Register, exits: Exits) -> None:
        self._register = register
        self._exits = exits

    def protection(self, held: Held) -> Protection:
        """Return how much of ``held`` its stops at the venue cover."""
        stops = [o for o in self._stops(held) if o.is_resting and not o.is_canceling]
        covered = sum((order.left for order in stops), ZERO)
        return Protection(
            symbol=held.symbol,
            qty=Qty(abs(held.qty)),
            stop_price=stops[-1].request.trigger if stops else None,
            covered_qty=Qty(min(abs(held.qty), covered)),
        )

    def pending(self, held: Held) -> str:
        """Return the newest order that was sent to protect or to close ``held`` and has no outcome; else nothing."""
        stops = [o for o in self._stops(held) if o.is_unknown and not o.is_canceling and not self._sleeps(o)]
        orders = [*stops, *self._closing(held)]
        return orders[-1].request.client_order_id if orders else ""

    def has_no_stop(self, held: Held) -> bool:
        """Return whether ``held`` was never to have a stop: its entry came without, or somebody else opened it."""
        return not held.signal_id or {o.request.role for o in self._kin(held, *_OPENING)} == {OrderRole.ENTRY}

    def settle(self, fill: Fill, order: Order | None) -> list[Message]:
        """Add ``fill`` of ``order`` to what is open, and return what must be done to the orders around it."""
        held = self._register.hold(fill)
        self._exits.settle(fill, held)
        if held is None:
            leftovers = [o for o in self._register.of(fill.symbol) if o.is_waiting and not self.is_of_next(o)]
            canceled = self._register.cancel(leftovers, fill.ts_event, "position_closed")
            self._register.drop_finished(fill.symbol)
            return canceled
        if order is not None:
            return self._secure(held, order, fill.ts_event)
        # A trade by others that leaves less of the position leaves its exits too large.
        resized = self._resize_exits(held, fill.ts_event) if fill.side is closing_side(held.qty) else []
        return resized or self._protect(held, fill.ts_event)

    def secure(self, order: Order, ts: Nanos) -> list[Message]:
        """Return what must be done now that ``order`` ended before its time."""
        held = self._register.held.get(order.request.symbol)
        return [] if held is None else self._secure(held, order, ts)

    def rested(self, order: Order, was_asleep: bool, ts: Nanos) -> list[Message]:
        """Return what goes now that ``order`` rests at the venue: what it replaces, and what stood in for it."""
        if order.is_canceling:
            # There was nothing to cancel at the venue while it slept.
            return self._register.cancel([order], ts, "canceled") if was_asleep else []
        request, orders = order.request, self._register.orders
        if request.parent_id is None:
            gone = [orders[name] for name in order.replaces if name in orders]
            return self._register.cancel((one for one in gone if one.is_waiting), ts, "replaced")
        held = self._register.held.get(request.symbol)
        if held is None or held.signal_id != request.signal_id or order.left < abs(held.qty) or request.oco_id is None:
            return []
        surplus = [
            one
            for one in self._kin(held, request.role)
            if one.request.parent_id is None and one.is_waiting and one.request.trigger == request.trigger
        ]
        return self._register.cancel(surplus, ts, "replaced")

    def move_stop(self, symbol: str, trigger: Price, ts: Nanos) -> list[Message]:
        """Return what puts the stop of a position at ``trigger``: the new one, for the old one goes when it rests."""
        held = self._register.held.get(symbol)
        olds = [] if held is None else self._awake(held, OrderRole.STOP)
        if held is None or not olds or self._register.bars(symbol):
            return []
        instrument = self._register.instruments.of(symbol)
        request = moved_stop(self._register.next_generation(held), olds[-1].request, trigger, instrument, ts)
        self._register.submit((request,), {request.client_order_id: _ids(olds)})
        return [SubmitOrders(ts_event=ts, orders=(request,))]

    def repair(self, held: Held, ts: Nanos) -> list[Message]:
        """Return a stop for ``held`` placed anew, or nothing when that was done before or cannot help."""
        stops = self._stops(held)
        if not stops:
            return []
        # The price of one that was refused is in doubt.
        base = next((stop for stop in reversed(stops) if stop.state is not OrderState.REJECTED), stops[-1])
        if any(_refuses(stop, self._size(held), base.request.trigger) for stop in stops):
            return []
        if _is_lost(stops[-1]):
            if held.repairs >= _PLACED_ANEW:
                return []
            held = replace(held, repairs=_PLACED_ANEW)
        return [self._place_anew(held, [base], ts)]

    def permit(self, *symbols: str) -> None:
        """Learn that stops may be taken that were not, so that nothing is closed for that; all without ``symbols``."""
        for symbol, held in self._register.held.items():
            if held.repairs == _PLACED_ANEW and (not symbols or symbol in symbols):
                self._register.held[symbol] = replace(held, repairs=0)

    def close(self, held: Held, ts: Nanos, reason: str = UNPROTECTED) -> list[Message]:
        """Return the order that closes ``held`` at market, unless one is at work; ``is_spent`` from now on."""
        spent = self._register.held[held.symbol] = replace(held, repairs=_CLOSED)
        return self._exits.want_all(spent, ts, reason)

    @staticmethod
    def is_spent(held: Held) -> bool:
        """Return whether ``held`` was to be closed already, because its stop could not be kept."""
        return held.repairs >= _CLOSED

    def pass_trigger(self, stop: Order, ts: Nanos) -> list[Message]:
        """Return what closes a position whose ``stop`` was refused because the price is beyond it already."""
        held = self._register.held.get(stop.request.symbol)
        if held is None or held.signal_id != stop.request.signal_id or self._closing(held):
            return []
        return self.close(held, ts, stop.request.reason)

    def restore_targets(self, entry: Order, ts: Nanos) -> list[Message]:
        """Return the target placed anew that never woke, because ``entry`` ended partly filled."""
        held = self._register.held.get(entry.request.symbol)
        if held is None or held.signal_id != entry.request.signal_id or self._closing(held):
            return []
        targets = [target for target in self._kin(held, OrderRole.TARGET) if target.request.oco_id is not None]
        if not targets or not all(map(_never_woke, targets)):
            return []
        return [self._place_anew(held, targets[-1:], ts)]

    def stop_in_force(self, order: Order) -> Price | None:
        """Return where the newest stop of the position of ``order`` stands, if it has one."""
        held = self._register.held.get(order.request.symbol)
        stops = self._awake(held, OrderRole.STOP) if held is not None and self.guards(order) else []
        return stops[-1].request.trigger if stops else None

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

    def _secure(self, held: Held, order: Order, ts: Nanos) -> list[Message]:
        if held.generation == 1 and _is_matching(order):
            return []
        resized = self._resize_exits(held, ts) if self._changes_size(held, order) else []
        return resized or self._protect(held, ts)

    def _changes_size(self, held: Held, order: Order) -> bool:
        """Return whether the exits of ``held`` may no longer be of its size after what happened to ``order``."""
        if order.request.role is OrderRole.ENTRY:
            # The exits that came with an entry are for all of it; those placed since, for what had filled by then.
            return held.generation > 1
        return order.request.role in _LEAVING and order.state.is_terminal and bool(order.fills)

    def _resize_exits(self, held: Held, ts: Nanos) -> list[Message]:
        if self._register.bars(held.symbol):
            return []
        olds: list[Order] = []
        qty = self._size(held)
        for role in _PROTECTING:
            # The rungs of a ladder are smaller than the position, and leave what they do not take to the stop.
            alone = [order for order in self._awake(held, role) if order.request.oco_id is not None]
            wanted = alone[-1].request.trigger if alone else None
            if alone and not any(order.left == qty and order.request.trigger == wanted for order in alone):
                olds.append(alone[-1])
        return [self._place_anew(held, olds, ts)] if olds else []

    def _protect(self, held: Held, ts: Nanos) -> list[Message]:
        if self._register.bars(held.symbol) or not self._kin(held, OrderRole.STOP):
            return []
        coming = sum((order.left for order in self._awake(held, OrderRole.STOP)), ZERO)
        if coming >= abs(held.qty) or self._closing(held):
            return []
        placed = self.repair(held, ts)
        return placed or ([] if self.is_spent(held) else self.close(held, ts))

    def _size(self, held: Held) -> Qty:
        """Return the size of an exit for all of ``held``."""
        return self._register.instruments.of(held.symbol).qty_up(abs(held.qty))

    def _closing(self, held: Held) -> list[Order]:
        """Return the exits at work that close all of ``held``."""
        orders = self._register.of(held.symbol)
        exits = (o for o in orders if o.request.role is OrderRole.EXIT and o.is_waiting)
        return [order for order in exits if order.left >= abs(held.qty)]

    def _place_anew(self, held: Held, olds: Sequence[Order], ts: Nanos) -> SubmitOrders:
        instrument = self._register.instruments.of(held.symbol)
        requests = exits_anew(self._register.next_generation(held), olds, instrument, ts)
        replaces = {
            request.client_order_id: _ids(one for one in self._awake(held, request.role) if one.request.oco_id)
            for request in requests
        }
        self._register.submit(requests, replaces)
        return SubmitOrders(ts_event=ts, orders=requests)

    def _awake(self, held: Held, role: OrderRole) -> list[Order]:
        """Return the exits that rest at the venue, or will without anything else happening first."""
        side = closing_side(held.qty)
        orders = self._kin(held, role)
        return [o for o in orders if o.is_waiting and o.request.side is side and not self._sleeps(o)]

    def _sleeps(self, order: Order) -> bool:
        """Return whether ``order`` waits at the venue for an entry that has not filled wholly."""
        if order.request.parent_id is None or order.is_resting:
            return False
        entry = self._register.orders.get(order.request.parent_id)
        return entry is not None and entry.state is not OrderState.FILLED

    def _stops(self, held: Held) -> list[Order]:
        """Return all stops of ``held``, but those of the other side: it was turned round since."""
        side = closing_side(held.qty)
        return [order for order in self._kin(held, OrderRole.STOP) if order.request.side is side]

    def _kin(self, held: Held, *roles: OrderRole) -> list[Order]:
        return [
            order
            for order in self._register.of(held.symbol)
            if order.request.signal_id == held.signal_id and order.request.role in roles
        ]


def _is_matching(order: Order) -> bool:
    """Return whether ``order`` is an entry at market of which the last trade, or the end, comes in a moment."""
    request = order.request
    is_market = request.role is OrderRole.ENTRY and request.type is OrderType.MARKET
    return is_market and not order.state.is_terminal


def _is_lost(stop: Order) -> bool:
    """Return whether ``stop`` protects no more, or was sent and never answered.

    One that only sleeps, or is too small by now, is neither: what is placed beside it mends nothing that broke.
    """
    return stop.state.is_terminal or (stop.request.parent_id is None and not stop.is_resting)


def _refuses(stop: Order, qty: Decimal, trigger: Price | None) -> bool:
    """Return whether ``stop`` was refused for good, and one for ``qty`` at ``trigger`` would be just like it."""
    is_final = stop.state is OrderState.REJECTED and stop.refusal.is_lasting and stop.refusal is not RefusalClass.KEY
    return is_final and stop.request.trigger == trigger and stop.request.qty == qty


def _never_woke(target: Order) -> bool:
    is_gone = target.state in _REFUSED and not target.is_canceling and target.reason not in CLOSING_REASONS
    is_asleep = not target.fills and target.venue_order_id in ("", target.request.client_order_id)
    return is_gone and is_asleep and target.request.parent_id is not None


def _ids(orders: Iterable[Order]) -> tuple[str, ...]:
    return tuple(order.request.client_order_id for order in orders)
