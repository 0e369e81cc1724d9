"""What the venue refuses before an order rests: a reason in words, or nothing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import Price, Qty, plain
from tradebot.model.order import OrderRequest, OrderType


def refusal(request: OrderRequest, instrument: Instrument, mark: Price | None, held: Qty, has_parent: bool) -> str:
    """Return why ``request`` is refused by the rules of ``instrument``, or an empty text.

    ``mark`` is the last price, ``held`` the signed position, ``has_parent``: its entry is at the venue too.
    """
    if request.reduce_only and not has_parent and held * request.side.sign >= 0:
        return "reduce_only: there is no position to reduce"
    return _refused_prices(request, instrument) or _refused_size(request, instrument, mark, has_parent)


def bracket_refusals(orders: Sequence[OrderRequest], refused: dict[str, str]) -> dict[str, str]:
    """Return ``refused`` and what falls with it: a bracket rests as a whole or not at all."""
    ids = {request.client_order_id for request in orders}
    fallen: dict[str, str] = {}
    for request in orders:
        if request.client_order_id in refused:
            root = request.parent_id if request.parent_id in ids else request.client_order_id
            fallen.setdefault(str(root), request.client_order_id)
    reasons = dict(refused)
    for request in orders:
        culprit = fallen.get(request.client_order_id) or fallen.get(request.parent_id or "")
        if culprit is not None and request.client_order_id not in reasons:
            reasons[request.client_order_id] = f"bracket: {culprit} is refused: {refused[culprit]}"
    return reasons


def _refused_prices(request: OrderRequest, instrument: Instrument) -> str:
    for name, price in _needed(request):
        if price is None:
            return f"{name}: a {request.type} order needs one"
    for name, price in (("price", request.price), ("trigger", request.trigger), ("trail", request.trail)):
        if price is not None and not (price.is_finite() and price > 0):
            return f"{name}: {price} is not above 0"
    for name, price in (("price", request.price), ("trigger", request.trigger)):
        if price is None:
            continue
        tick = instrument.tick_at(price)
        if price % tick:
            return f"{name}: {plain(price)} is not a multiple of the tick {plain(tick)}"
    return ""


def _needed(request: OrderRequest) -> Sequence[tuple[str, Price | None]]:
    """Return the prices without which an order of its type means nothing."""
    price, trigger = ("price", request.price), ("trigger", request.trigger)
    match request.type:
        case OrderType.MARKET:
            return ()
        case OrderType.LIMIT:
            return (price,)
        case OrderType.STOP_MARKET | OrderType.TAKE_PROFIT:
            return (trigger,)
        case OrderType.STOP_LIMIT:
            return (price, trigger)
        case OrderType.TRAILING_STOP:
            return (trigger, ("trail", request.trail))
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _refused_size(request: OrderRequest, instrument: Instrument, mark: Price | None, has_parent: bool) -> str:
    qty, lot = request.qty, instrument.lot
    if not qty.is_finite() or qty < lot:
        return f"qty: {qty} is below the lot {plain(lot)}"
    if qty % lot:
        return f"qty: {plain(qty)} is not a multiple of the lot {plain(lot)}"
    price: Decimal | None = request.price or request.trigger or mark
    if request.reduce_only or has_parent or price is None or qty * price >= instrument.min_notional:
        return ""
    return f"min_notional: {plain(qty * price)} is below {plain(instrument.min_notional)}"
