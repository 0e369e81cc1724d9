"""How much one position may be worth."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO
from tradebot.pipeline.risk.gates.base import Book, Limit


class PositionNotionalGate(Limit):
    """Bounds each position, in cash: a symbol has one entry at a time, so a new position is that entry."""

    setting = "max_position_notional"
    names: ClassVar = {setting: "`max_position_notional` leaves less than the smallest order"}

    def used(self, book: Book) -> Decimal:
        """Return the largest position at its mark."""
        return max((abs(trip.qty) * book.marks[trip.symbol] for trip in book.trips.values()), default=ZERO)
