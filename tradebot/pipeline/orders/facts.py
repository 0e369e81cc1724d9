"""What the orders stage tells the others: fills as booked, and orders that are done."""

from tradebot.model.money import Price
from tradebot.model.order import Fill, FillReport, OrderDone
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.foreign import Owner
from tradebot.pipeline.orders.lifecycle import Order

KEY_MEND = (
    "the key cannot sign, so no command of the bot helps: approve another (tradebot agent create, agent approve), "
    "tradebot secrets rotate NAME, or put it into key_file and tradebot restart; then tradebot resume; "
    "to be out at once: cancel and close on the venue's own page"
)
"""What helps while the venue does not let our key trade."""


def done(order: Order, ts: Nanos, *, is_wanted: bool = False, stop_price: Price | None = None) -> OrderDone:
    """Return that ``order`` ended; ``OrderDone`` says what the rest means."""
    request = order.request
    return OrderDone(
        ts_event=ts,
        client_order_id=request.client_order_id,
        signal_id=request.signal_id,
        strategy=request.strategy,
        symbol=request.symbol,
        role=request.role,
        state=order.state,
        filled_qty=order.filled_qty,
        reason=order.reason,
        is_wanted=is_wanted,
        stop_price=stop_price,
        refusal=order.refusal,
    )


def booked(report: FillReport, owner: Owner) -> Fill:
    """Return the fill of ``report`` as it is booked under ``owner``."""
    return Fill(
        ts_event=report.ts_event,
        trade_id=report.trade_id,
        client_order_id=owner.client_order_id,
        signal_id=owner.signal_id,
        strategy=owner.strategy,
        symbol=report.symbol,
        role=owner.role,
        side=report.side,
        qty=report.qty,
        price=report.price,
        fee=report.fee,
        liquidity=report.liquidity,
        reason=owner.reason,
    )
