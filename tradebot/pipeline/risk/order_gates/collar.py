"""How far from the market an order may be priced."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import ClassVar, assert_never

from tradebot.model.money import ZERO, Price, rounded
from tradebot.model.order import OrderRequest, OrderType
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "price_collar"
SETTING = "price_collar_pct"


class CollarGate(OrderGate):
    """Entries whose price is of the market as it is now, not of one that has moved on, or of a slip of a digit.

    Only the costly side counts: an entry may wait as far away as it likes. One at market must have been decided at a
    price near the mark. Of a live market that is the venue's mark and the middle of the book, each by itself.
    """

    names: ClassVar = {
        GATE: "its price is worse than the mark or the mid, or it was decided on another, by over `price_collar_pct`"
    }
    settings = (SETTING,)

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return how far off the price is, in percent of the mark."""
        limit = book.limits.get(SETTING)
        if limit is None:
            return None
        first = orders[0]
        mark = book.marks.get(first.symbol)
        if mark is None:
            return Stopped(GATE, limit, detail=f"no price of {first.symbol} is known")
        for name, price in _prices(first.symbol, mark, book):
            off = rounded(_off(first, price, book) / price * 100, 4)
            if off > limit:
                return Stopped(GATE, limit, off, f"percent away from the {name} of {price}")
        return None


def _prices(symbol: str, mark: Price, book: Book) -> Iterator[tuple[str, Price]]:
    told = None if book.seen is None else book.seen.get(symbol)
    if told is None:
        yield "mark", mark
        return
    yield "mark", told.mark
    if told.mid is not None:
        yield "mid", told.mid


def _off(order: OrderRequest, mark: Decimal, book: Book) -> Decimal:
    match order.type:
        case OrderType.MARKET:
            return abs(book.entries[order.signal_id].price - mark)
        case OrderType.LIMIT | OrderType.STOP_LIMIT | OrderType.TAKE_PROFIT:
            return ZERO if order.price is None else (order.price - mark) * order.side.sign
        case OrderType.STOP_MARKET | OrderType.TRAILING_STOP:
            # It trades when the market is at its trigger, wherever that is.
            return ZERO
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)
