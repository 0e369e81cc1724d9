"""How much of a symbol one entry may be, in its own unit: a size that no price can talk round."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, Price, Qty, rounded
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Room
from tradebot.pipeline.risk.limits import LimitUse

SETTING = "max_order_qty"


def limit_of(symbol: str) -> str:
    """Return the key of ``Limits`` that bounds ``symbol``."""
    return f"{SETTING}.{symbol}"


class OrderQtyGate(Gate):
    """Entries of at most so much of their symbol; one that is not named may be of any size."""

    names: ClassVar = {SETTING: "`max_order_qty` of the symbol leaves less than the smallest order"}

    def room(self, signal: Signal, qty: Qty, price: Price, book: Book) -> Room | None:
        """Return the quantity that is set for the symbol."""
        limit = book.limits.get(limit_of(signal.symbol))
        if limit is None or qty <= limit:
            return None
        return Room(SETTING, limit, qty, book.instrument(signal.symbol).qty_down(limit))

    def use(self, book: Book) -> LimitUse | None:
        """Return what the entry at work takes that takes most of its limit."""
        start = limit_of("")
        limits = {key.removeprefix(start): limit for key, limit in book.limits.items() if key.startswith(start)}
        if not limits:
            return None
        used = dict.fromkeys(limits, ZERO)
        for entry in book.entries.values():
            if entry.symbol in limits:
                used[entry.symbol] = max(used[entry.symbol], Decimal(entry.qty))
        symbol = max(limits, key=lambda one: used[one] / limits[one])
        value, limit = used[symbol], limits[symbol]
        return LimitUse(limit=SETTING, value=value, max=limit, pct_used=rounded(value / limit * 100, 4), scope=symbol)
