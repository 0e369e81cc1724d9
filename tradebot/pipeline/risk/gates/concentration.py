"""How much of the equity may be in one symbol."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, rounded
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_sum

_PERCENT = Decimal("0.01")


class ConcentrationGate(Limit):
    """Bounds what is open and at work in each symbol, in percent of the equity."""

    setting = "max_concentration_pct"
    names: ClassVar = {
        setting: "what is open in the symbol leaves less of `max_concentration_pct` than the smallest order"
    }
    is_money = False

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and at work in the symbol."""
        return book.exposed().by_symbol.get(signal.symbol, ZERO)

    def unit(self, book: Book) -> Decimal:
        """Return a percent of the equity."""
        return book.equity() * _PERCENT

    def used(self, book: Book) -> Used:
        """Return the symbol with most; 0 without equity."""
        most, unit = largest_sum((one.symbol, one.notional) for one in book.exposed()), self.unit(book)
        return Used(rounded(most.value / unit, 8), most.scope) if unit > 0 else Used(ZERO)
