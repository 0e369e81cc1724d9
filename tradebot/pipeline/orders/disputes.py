"""Fills that contradict the book: neither booked nor dropped, but held until looking at the venue settles them."""

from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from tradebot.model.command import Alert, AlertName
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Price, plain
from tradebot.model.order import FillDisputed, FillReport, FillSettled, OrderRequest, OrderType
from tradebot.pipeline.orders.lifecycle import Order

_MEND = "compare the fills of the account with tradebot trades; when both agree: tradebot resume"
# Further beyond its limit no order of ours trades, whatever the venue rounds.
_WORST = Decimal("0.01")


def contradiction(report: FillReport, order: Order) -> str | None:
    """Return how ``report`` cannot be a fill of ``order`` as we placed it; ``None`` when it can."""
    request = order.request
    name = request.client_order_id
    if report.symbol != request.symbol:
        return f"{name} of {request.symbol} is said to have filled in {report.symbol}"
    if report.side is not request.side:
        return f"{name} is a {request.side.value}, and is said to have filled as a {report.side.value}"
    filled = sum(order.fills.values(), ZERO) + report.qty
    if filled > request.qty:
        return f"{name} is said to have filled {plain(filled)} of {plain(request.qty)}"
    limit = _limit(request)
    if limit is not None and (report.price - limit) * request.side.sign > limit * _WORST:
        return f"{name} with the limit {plain(limit)} is said to have filled at {plain(report.price)}"
    return None


def _limit(request: OrderRequest) -> Price | None:
    """Return the price that ``request`` may not trade beyond; what waits for a trigger is not doubted for its price."""
    match request.type:
        case OrderType.LIMIT:
            return request.price
        case OrderType.MARKET | OrderType.STOP_MARKET | OrderType.STOP_LIMIT:
            return None
        case OrderType.TAKE_PROFIT | OrderType.TRAILING_STOP:
            return None
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def as_stranger(report: FillReport) -> FillReport:
    """Return ``report`` under the name of nobody: the order it names did not ask for it."""
    return replace(report, client_order_id=f"disputed-{report.trade_id}")


def held_back(report: FillReport, what: str) -> list[Message]:
    """Return what is told of ``report``, which contradicts the book and waits."""
    disputed = FillDisputed(ts_event=report.ts_event, trade_id=report.trade_id, symbol=report.symbol, what=what)
    alert = Alert(
        ts_event=report.ts_event,
        name=AlertName.CONTRADICTION,
        symbol=report.symbol,
        about=report.trade_id,
        what=f"{what} (trade {report.trade_id}); it is not booked until the venue was asked",
        mend=_MEND,
    )
    return [disputed, alert]


def let_go(report: FillReport, settled: FillSettled) -> Alert:
    """Return what looking proved of ``report``."""
    proved = "the venue stands by it: booked" if settled.is_believed else "the venue knows nothing of it: dropped"
    what = f"trade {report.trade_id}, {report.side.value} {plain(report.qty)} {report.symbol}: {proved}"
    return Alert(
        ts_event=settled.ts_event,
        name=AlertName.CONTRADICTION,
        symbol=report.symbol,
        about=f"{report.trade_id} settled",
        what=what,
        mend=_MEND,
    )
