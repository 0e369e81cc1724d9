"""The guard of open positions: each keeps a stop of its size at the venue, or is being closed.

What protects is what rests there. The exits of an entry sleep until it has filled wholly; what fills before gets a
stop of its own, and that one goes when they wake. An entry at market does not stay at work: its trades come at once.
A new stop is placed first, and the old one is cancelled when the new one rests: at no moment is the position without
its stop, and a refused one changes nothing.

After a stop was lost it is placed anew once; lost again, the position is closed at market. Should the venue refuse
even that, ticks go on: a further order in the same turn would be refused like this one.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from tradebot.model.market import Message
from tradebot.model.money import Price, Qty
from tradebot.model.order import (
    OrderRole,
    OrderState,
    OrderType,
    RefusalClass,
    StopFault,
    StopFaulted,
    SubmitOrders,
)
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.brackets import TRAIL, exits_anew, moved_stop
from tradebot.pipeline.orders.cover import awake, closing, guards, kin, lacks_stop, stops
from tradebot.pipeline.orders.exits import LAST_NUMBER, UNPROTECTED, Exits
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.register import Register
from tradebot.pipeline.orders.state import Held

CLOSING_REASONS = frozenset({"sibling_filled", "position_closed", "reduce_only"})
"""Why a venue cancels an exit by itself, because the fill that ends the position comes next."""
BY_HAND = "by_hand"
"""What moved a stop that wakes nearer at the venue than we had it."""
_PLACED_ANEW, _CLOSED = 1, 2
_STEP = Decimal("0.1")
"""The part of its distance by which a stop that we trail is moved at least: each step costs two actions."""
_LEAVING = (OrderRole.EXIT, OrderRole.TARGET)
_PROTECTING = (OrderRole.STOP, OrderRole.TARGET)
_REFUSED = (OrderState.CANCELED, OrderState.REJECTED)


class Guard:
    """Places, moves and resizes the exits of open positions."""

    __slots__ = ("_exits", "_register")

    def __init__(self, register: Register, exits: Exits) -> None:
        self._register = register
        self._exits = exits

    def secure(self, held: Held, order: Order, ts: Nanos) -> list[Message]:
        """Return what ``held`` needs now that ``order`` traded, or ended before its time."""
        if held.generation == 1 and _is_matching(order):
            return []
        return self.protect(held, ts, is_resized=_changes_size(held, order))

    def protect(self, held: Held, ts: Nanos, *, is_resized: bool) -> list[Message]:
        """Return exits for all of ``held`` where its size changed, else a stop where none covers it, else its close."""
        register = self._register
        if register.bars(held.symbol):
            return []
        if is_resized and (resized := self._resize_exits(held, ts)):
            return resized
        if not lacks_stop(register, held) or closing(register, held):
            return []
        placed = self.repair(held, ts)
        return placed or ([] if self.is_spent(held) else self.close(held, ts))

    def move_stop(self, symbol: str, trigger: Price, ts: Nanos, moved_by: str) -> list[Message]:
        """Return what puts the stop of a position at ``trigger``: the new one, for the old one goes when it rests.

        Nothing where one stands, or is to stand, as near or nearer: a stop never moves back.
        """
        held = self._register.held.get(symbol)
        olds = [] if held is None else awake(self._register, held, OrderRole.STOP)
        if held is None or not olds or self._register.bars(symbol):
            return []
        last, instrument = olds[-1].request, self._register.instruments.of(symbol)
        if not _is_nearer(trigger, olds):
            return []
        request = moved_stop(self._register.next_generation(held), last, trigger, instrument, ts, moved_by)
        self._register.submit((request,), {request.client_order_id: _ids(olds)})
        return [SubmitOrders(ts_event=ts, orders=(request,))]

    def trail(self, symbol: str, close: Price, ts: Nanos) -> list[Message]:
        """Return what lets the stop of a position follow ``close`` at its distance, where it is to.

        Where the venue moves it, only the book learns how far it has come at least. A step is not taken before the
        last one has been answered, nor while the position is being closed.
        """
        held = self._register.held.get(symbol)
        stop = None if held is None else next(reversed(awake(self._register, held, OrderRole.STOP)), None)
        if held is None or stop is None or stop.request.trail is None or stop.request.trigger is None:
            return []
        request, trail = stop.request, stop.request.trail
        trigger = self._register.instruments.of(symbol).price_against(close + trail * request.side.sign, request.side)
        gained = (stop.request.trigger - trigger) * request.side.sign
        if request.type is OrderType.TRAILING_STOP:
            if gained > 0:
                self._register.keep(replace(stop, request=replace(request, trigger=trigger, moved_by=TRAIL)))
            return []
        if gained < trail * _STEP or not stop.is_resting or closing(self._register, held):
            return []
        return self.move_stop(symbol, trigger, ts, TRAIL)

    def repair(self, held: Held, ts: Nanos) -> list[Message]:
        """Return a stop for ``held`` placed anew, or nothing when that was done before or cannot help."""
        known = stops(self._register, held)
        if not known:
            return []
        base = _trusted(known)
        if any(_refuses(stop, self._size(held), base.request.trigger) for stop in known):
            return []
        if _is_lost(known[-1]):
            if held.repairs >= _PLACED_ANEW:
                return []
            held = replace(held, repairs=_PLACED_ANEW)
        return [self._place_anew(held, [base], ts)]

    def stand_by(self, held: Held, ts: Nanos) -> list[Message]:
        """Return a stop for ``held`` beside its close, unless one is on its way or would be refused like the last.

        Both only reduce: whichever comes second finds nothing to do.
        """
        known = stops(self._register, held)
        if not lacks_stop(self._register, held) or held.generation >= LAST_NUMBER or not known:
            return []
        base = _trusted(known)
        if any(_refuses(stop, self._size(held), base.request.trigger) for stop in known):
            return []
        return [self._place_anew(held, [base], ts)]

    def is_at_fault(self, faulted: StopFaulted) -> bool:
        """Return whether ``faulted`` says something new of a stop that protects what is open."""
        stop = self._register.orders.get(faulted.client_order_id)
        if stop is None or stop.state.is_terminal or stop.fault is faulted.fault or not guards(self._register, stop):
            return False
        held = self._register.held[stop.request.symbol]
        if faulted.fault is not StopFault.LIQUIDATION or faulted.trigger is None:
            return True
        return _is_nearer(faulted.trigger, awake(self._register, held, OrderRole.STOP))

    def mend(self, faulted: StopFaulted) -> list[Message]:
        """Return what mends a position whose stop ``is_at_fault``: that one counts for nothing from here on.

        One that was passed and did not fill is followed by the close of the position, one at a price that is nearer
        than ours is kept as it is.
        """
        register, ts, trigger = self._register, faulted.ts_event, faulted.trigger
        stop = register.orders[faulted.client_order_id]
        held = register.held[stop.request.symbol]
        if faulted.fault is StopFault.PRICE and trigger is not None and _is_nearer(trigger, [stop]):
            register.keep(replace(stop, request=replace(stop.request, trigger=trigger, moved_by=BY_HAND)))
            return []
        register.keep(replace(stop, fault=faulted.fault))
        match faulted.fault:
            case StopFault.SIDE | StopFault.SIZE | StopFault.PRICE:
                return self.protect(held, ts, is_resized=False)
            case StopFault.LIQUIDATION:
                return [] if trigger is None else self.move_stop(held.symbol, trigger, ts, faulted.fault)
            case StopFault.UNFILLED:
                return [] if closing(register, held) else self.close(held, ts, stop.request.reason)
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)

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
        if held is None or held.signal_id != stop.request.signal_id or closing(self._register, held):
            return []
        return self.close(held, ts, stop.request.reason)

    def restore_targets(self, entry: Order, ts: Nanos) -> list[Message]:
        """Return the target placed anew that never woke, because ``entry`` ended partly filled."""
        held = self._register.held.get(entry.request.symbol)
        if held is None or held.signal_id != entry.request.signal_id or closing(self._register, held):
            return []
        targets = [
            target for target in kin(self._register, held, OrderRole.TARGET) if target.request.oco_id is not None
        ]
        if not targets or not all(map(_never_woke, targets)):
            return []
        return [self._place_anew(held, targets[-1:], ts)]

    def _resize_exits(self, held: Held, ts: Nanos) -> list[Message]:
        olds: list[Order] = []
        qty = self._size(held)
        for role in _PROTECTING:
            # The rungs of a ladder are smaller than the position, and leave what they do not take to the stop.
            alone = [order for order in awake(self._register, held, role) if order.request.oco_id is not None]
            wanted = alone[-1].request.trigger if alone else None
            if alone and not any(order.left == qty and order.request.trigger == wanted for order in alone):
                olds.append(alone[-1])
        return [self._place_anew(held, olds, ts)] if olds else []

    def _size(self, held: Held) -> Qty:
        """Return the size of an exit for all of ``held``."""
        return self._register.instruments.of(held.symbol).qty_up(abs(held.qty))

    def _place_anew(self, held: Held, olds: Sequence[Order], ts: Nanos) -> SubmitOrders:
        instrument = self._register.instruments.of(held.symbol)
        requests = exits_anew(self._register.next_generation(held), olds, instrument, ts)
        replaces = {
            request.client_order_id: _ids(
                one for one in awake(self._register, held, request.role) if one.request.oco_id
            )
            for request in requests
        }
        self._register.submit(requests, replaces)
        return SubmitOrders(ts_event=ts, orders=requests)


def _changes_size(held: Held, order: Order) -> bool:
    """Return whether the exits of ``held`` may no longer be of its size after what happened to ``order``."""
    if order.request.role is OrderRole.ENTRY:
        # The exits that came with an entry are for all of it; those placed since, for what had filled by then.
        return held.generation > 1
    return order.request.role in _LEAVING and order.state.is_terminal and bool(order.fills)


def _is_matching(order: Order) -> bool:
    """Return whether ``order`` is an entry at market of which the last trade, or the end, comes in a moment."""
    request = order.request
    is_market = request.role is OrderRole.ENTRY and request.type is OrderType.MARKET
    return is_market and not order.state.is_terminal


def _is_lost(stop: Order) -> bool:
    """Return whether ``stop`` protects no more, not as it rests, or was sent and never answered.

    One that only sleeps, or is too small by now, is neither: what is placed beside it mends nothing that broke.
    """
    return stop.state.is_terminal or stop.fault is not None or (stop.request.parent_id is None and not stop.is_resting)


def _trusted(known: Sequence[Order]) -> Order:
    """Return the newest stop that was not refused: the price of one that was is in doubt."""
    return next((stop for stop in reversed(known) if stop.state is not OrderState.REJECTED), known[-1])


def _refuses(stop: Order, qty: Decimal, trigger: Price | None) -> bool:
    """Return whether ``stop`` was refused for good, and one for ``qty`` at ``trigger`` would be just like it."""
    is_final = stop.state is OrderState.REJECTED and stop.refusal.is_lasting and stop.refusal is not RefusalClass.KEY
    return is_final and stop.request.trigger == trigger and stop.request.qty == qty


def _never_woke(target: Order) -> bool:
    is_gone = target.state in _REFUSED and not target.is_canceling and target.reason not in CLOSING_REASONS
    is_asleep = not target.fills and target.venue_order_id in ("", target.request.client_order_id)
    return is_gone and is_asleep and target.request.parent_id is not None


def _is_nearer(trigger: Price, stops: Iterable[Order]) -> bool:
    """Return whether ``trigger`` is on the profit side of each of ``stops``."""
    requests = (stop.request for stop in stops)
    return all(one.trigger is None or (one.trigger - trigger) * one.side.sign > 0 for one in requests)


def _ids(orders: Iterable[Order]) -> tuple[str, ...]:
    return tuple(order.request.client_order_id for order in orders)
