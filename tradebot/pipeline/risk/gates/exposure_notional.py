"""How much all positions may be worth."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used


class ExposureNotionalGate(Limit):
    """Bounds what is open and at work together, in cash."""

    setting = "max_exposure_notional"
    names: ClassVar = {setting: "what is open leaves less of `max_exposure_notional` than the smallest order"}
    is_needed_live = True

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and at work."""
        del signal
        return book.exposure()

    def used(self, book: Book) -> Used:
        """Return what is open and at work."""
        return Used(book.exposure())
