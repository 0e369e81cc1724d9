"""The orders that decisions become: an entry with its exits, an exit at market, exits placed anew.

Ids are the signal's id and what the order is for; exits placed anew carry their generation: ``-stop2``.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec.structs import replace

from tradebot.model.instrument import Instrument
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.order import OrderRequest, OrderRole, OrderSide, OrderType
from tradebot.model.signal import Approved, Rung
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.state import Held, WantedExit

TRAIL = "trail"
STRATEGY = "strategy"
"""What moved a stop where its strategy did not say what."""


def bracket(approved: Approved, instrument: Instrument, *, venue_trails: bool = False) -> tuple[OrderRequest, ...]:
    """Return the entry, then its stop and its targets where the signal has them; prices on the tick.

    ``venue_trails``: the venue moves a stop that trails by itself.
    """
    signal, side = approved.signal, approved.signal.side.entry
    price, trigger = instrument.entry_prices(signal.entry_type, signal.entry_price, side)
    entry = OrderRequest(
        client_order_id=f"{signal.id}-entry",
        symbol=signal.symbol,
        strategy=signal.strategy,
        signal_id=signal.id,
        role=OrderRole.ENTRY,
        side=side,
        type=signal.entry_type,
        qty=approved.qty,
        ts_event=approved.ts_event,
        price=price,
        trigger=trigger,
        reason="entry",
        expires_ts=signal.expires_ts,
        void_price=signal.void_price,
    )
    orders = [entry]
    if signal.stop is not None:
        trigger = instrument.price_against(signal.stop, side.opposite)
        stop_type = OrderType.TRAILING_STOP if venue_trails and signal.trail is not None else OrderType.STOP_MARKET
        stop = _child(entry, OrderRole.STOP, stop_type, None, trigger)
        orders.append(stop if signal.trail is None else replace(stop, trail=signal.trail, reason=TRAIL))
    if signal.target is not None:
        target = instrument.price_passive(signal.target, side.opposite)
        orders.append(_child(entry, OrderRole.TARGET, OrderType.TAKE_PROFIT, target, target))
    return (*orders, *_rungs(entry, signal.ladder, instrument))


def _rungs(entry: OrderRequest, ladder: Sequence[Rung], instrument: Instrument) -> Sequence[OrderRequest]:
    """Give the targets of a ladder, each of its share in whole lots; the last takes what rounding left over.

    One too small for the venue gives its share to the next, the last one to that before it. They cancel nothing when
    they fill: the stop lives on for what they leave, and goes with the position.
    """
    rungs: list[OrderRequest] = []
    left, short = entry.qty, ZERO
    for number, rung in enumerate(ladder, start=1):
        is_rest = number == len(ladder) and sum(one.fraction for one in ladder) == 1
        share = left if is_rest else min(left, instrument.qty_down(entry.qty * rung.fraction))
        left, qty = Qty(left - share), Qty(share + short)
        price = instrument.price_passive(rung.price, entry.side.opposite)
        if instrument.below_minimum(qty, price):
            short = qty
            continue
        short = ZERO
        target = _child(entry, OrderRole.TARGET, OrderType.TAKE_PROFIT, price, price)
        rungs.append(replace(target, client_order_id=f"{entry.signal_id}-rung{number}", qty=qty, oco_id=None))
    if rungs and short:
        rungs[-1] = replace(rungs[-1], qty=Qty(rungs[-1].qty + short))
    return rungs


def moved_stop(
    held: Held, old: OrderRequest, trigger: Price, instrument: Instrument, ts: Nanos, moved_by: str
) -> OrderRequest:
    """Return a stop like ``old`` at ``trigger``, for all of ``held``, in its generation."""
    return replace(
        old,
        client_order_id=f"{held.signal_id}-{old.role}{held.generation}",
        qty=instrument.qty_up(abs(held.qty)),
        ts_event=ts,
        trigger=instrument.price_against(trigger, old.side),
        parent_id=None,
        reason=TRAIL,
        moved_by=moved_by,
    )


def exit_order(wanted: WantedExit, client_order_id: str, qty: Qty, ts: Nanos) -> OrderRequest:
    """Return the order that leaves ``qty`` of a position at market."""
    return OrderRequest(
        client_order_id=client_order_id,
        symbol=wanted.symbol,
        strategy=wanted.strategy,
        signal_id=wanted.signal_id,
        role=OrderRole.EXIT,
        side=wanted.side,
        type=OrderType.MARKET,
        qty=qty,
        ts_event=ts,
        reduce_only=True,
        reason=wanted.reason,
    )


def exits_anew(held: Held, olds: Iterable[Order], instrument: Instrument, ts: Nanos) -> tuple[OrderRequest, ...]:
    """Return orders like ``olds`` for all of ``held``, in its generation. Its entry needs to arm them no more.

    They are in the lots and on the tick of ``instrument``: a position that is no whole number of lots gets more than
    its size, for the venue cuts what only reduces.
    """
    return tuple(_anew(held, old.request, instrument, ts) for old in olds)


def _anew(held: Held, old: OrderRequest, instrument: Instrument, ts: Nanos) -> OrderRequest:
    price, trigger = old.price, old.trigger
    on_tick = instrument.price_against if old.role is OrderRole.STOP else instrument.price_passive
    return replace(
        old,
        client_order_id=f"{held.signal_id}-{old.role}{held.generation}",
        qty=instrument.qty_up(abs(held.qty)),
        ts_event=ts,
        price=None if price is None else on_tick(price, old.side),
        trigger=None if trigger is None else on_tick(trigger, old.side),
        parent_id=None,
    )


def closing_side(qty: Decimal) -> OrderSide:
    """Return the side of an order that shrinks a position of ``qty``."""
    return OrderSide.SELL if qty > 0 else OrderSide.BUY


def _child(
    entry: OrderRequest, role: OrderRole, order_type: OrderType, price: Price | None, trigger: Price
) -> OrderRequest:
    return OrderRequest(
        client_order_id=f"{entry.signal_id}-{role}",
        symbol=entry.symbol,
        strategy=entry.strategy,
        signal_id=entry.signal_id,
        role=role,
        side=entry.side.opposite,
        type=order_type,
        qty=entry.qty,
        ts_event=entry.ts_event,
        price=price,
        trigger=trigger,
        reduce_only=True,
        parent_id=entry.client_order_id,
        oco_id=entry.signal_id,
        reason=role.value,
    )
