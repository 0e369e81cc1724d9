"""Whether the market is known as it is now: the mark and the middle of the book, of this very moment."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

from tradebot.model.market import SymbolPrices
from tradebot.model.order import OrderRequest
from tradebot.model.time import NANOS_PER_MS
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "stale_price"
SETTING = "max_price_age_s"
_MS = 1000


class FreshGate(OrderGate):
    """Entries while their market tells. A market of bars alone, as of a backtest, has nothing to tell between them."""

    names: ClassVar = {
        GATE: "a live market has not told mark or book of it within `max_price_age_s`, or a side of its book is empty"
    }
    settings = (SETTING,)

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return how old the prices are."""
        limit = book.limits.get(SETTING)
        if limit is None or book.seen is None:
            return None
        first = orders[0]
        told = book.seen.get(first.symbol)
        if told is None:
            return Stopped(GATE, limit, detail=f"the market has told no price of {first.symbol}")
        age_ms = told.age_ms + max(0, first.ts_event - book.seen_ts) // NANOS_PER_MS
        if age_ms > limit * _MS:
            return Stopped(GATE, limit, Decimal(age_ms) / _MS, f"the mark of {first.symbol} is so many seconds old")
        return None if told.mid else Stopped(GATE, detail=f"a side of the book of {first.symbol} is empty")


def fresh(prices: Sequence[SymbolPrices], limits: Mapping[str, Decimal]) -> list[SymbolPrices]:
    """Return those of ``prices`` that are not too old to go by."""
    limit = limits.get(SETTING)
    return [one for one in prices if limit is None or one.age_ms <= limit * _MS]
