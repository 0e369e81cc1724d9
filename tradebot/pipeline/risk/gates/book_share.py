"""How much of what the book offers at its best price one entry may be."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, rounded
from tradebot.model.order import OrderSide, PositionSide
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Bound, Limit, Used

SETTING = "max_book_pct"
_PERCENT = Decimal("0.01")


class BookShareGate(Limit):
    """Bounds each entry by a part of what the other side of a live book offers at its best price.

    A market of bars alone, as of a backtest, has no book, and this bounds nothing there.
    """

    setting = SETTING
    names: ClassVar = {setting: "`max_book_pct` of what is offered at the best price is less than the smallest order"}
    is_money = False

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return the limit, of what is offered at the price of the entry; what nobody told is none."""
        if book.seen is None:
            return None
        price = signal.close if signal.entry_price is None else max(signal.close, signal.entry_price)
        offered = _offered(signal.symbol, signal.side.entry, book)
        return Bound(SETTING, book.limits[SETTING], ZERO, offered * price * _PERCENT)

    def used(self, book: Book) -> Used:
        """Return the largest entry at work, in percent of what is offered now."""
        used = Used(ZERO)
        for entry in book.entries.values():
            side = OrderSide.BUY if entry.side is PositionSide.LONG else OrderSide.SELL
            offered = _offered(entry.symbol, side, book) * _PERCENT
            if offered:
                used = max(used, Used(rounded(entry.qty / offered, 8), entry.symbol))
        return used


def _offered(symbol: str, side: OrderSide, book: Book) -> Decimal:
    told = None if book.seen is None else book.seen.get(symbol)
    if told is None:
        return ZERO
    return (told.ask_qty if side is OrderSide.BUY else told.bid_qty) or ZERO
