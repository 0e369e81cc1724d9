"""How much may be open on one side."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.order import PositionSide
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Bound, Limit, Used


class SideNotionalGate(Limit):
    """Bounds what is open and at work on ``side``, in cash."""

    side: ClassVar[PositionSide]

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return the limit for an entry on this side."""
        return super().bound(signal, book) if signal.side is self.side else None

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what is open and at work on this side."""
        del signal
        return self.used(book).value

    def used(self, book: Book) -> Used:
        """Return what is open and at work on this side."""
        return Used(book.exposed().by_side[self.side], self.side.value)


class LongNotionalGate(SideNotionalGate):
    """All that is long."""

    setting = "max_long_notional"
    names: ClassVar = {setting: "what is long leaves less of `max_long_notional` than the smallest order"}
    side = PositionSide.LONG


class ShortNotionalGate(SideNotionalGate):
    """All that is short."""

    setting = "max_short_notional"
    names: ClassVar = {setting: "what is short leaves less of `max_short_notional` than the smallest order"}
    side = PositionSide.SHORT
