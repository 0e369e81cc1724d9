"""The first look at an account: a position that is there already, as the line takes it. Pure."""

from collections.abc import Iterable

from tradebot.model.money import ZERO, Cash, Qty
from tradebot.model.order import FillReport, Liquidity, OrderRole, OrderSide
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.venues.hyperliquid.account import VenuePosition
from tradebot.venues.hyperliquid.naming import FOREIGN

OPENING = "opening"


def opening_fill(position: VenuePosition, orders: Iterable[Order], ts: Nanos) -> FillReport:
    """Return ``position`` as one fill at its entry price, free of fees: those are in the money that is counted.

    It is of the signal whose exits are among the adopted ``orders``, else somebody's by hand.
    """
    side = OrderSide.BUY if position.qty > 0 else OrderSide.SELL
    names = [
        f"{order.request.signal_id}-{OrderRole.ENTRY}"
        for order in orders
        if order.request.symbol == position.symbol and order.request.role is not OrderRole.ENTRY
        if order.request.side is not side and not order.state.is_terminal
    ]
    return FillReport(
        ts_event=ts,
        trade_id=f"{OPENING}-{position.symbol}",
        client_order_id=names[0] if names else f"{FOREIGN}{OPENING}-{position.symbol}",
        symbol=position.symbol,
        side=side,
        qty=Qty(abs(position.qty)),
        price=position.entry_price,
        fee=Cash(ZERO),
        liquidity=Liquidity.TAKER,
    )
