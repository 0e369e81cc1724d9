"""How many times its equity the account may be exposed."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, rounded
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used


class LeverageGate(Limit):
    """Bounds what is open and at work together, in multiples of equity."""

    setting = "max_leverage"
    names: ClassVar = {setting: "what is open leaves less of `max_leverage` than the smallest order"}
    is_money = False

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and at work."""
        del signal
        return book.exposure()

    def unit(self, book: Book) -> Decimal:
        """Return the equity."""
        return book.equity()

    def used(self, book: Book) -> Used:
        """Return the leverage now; 0 without equity."""
        equity = book.equity()
        return Used(rounded(book.exposure() / equity, 8) if equity > 0 else ZERO)
