"""How much one position may be worth."""

from typing import ClassVar

from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_sum


class PositionNotionalGate(Limit):
    """Bounds each position, in cash: a symbol has one entry at a time, so a new position is that entry."""

    setting = "max_position_notional"
    names: ClassVar = {setting: "`max_position_notional` leaves less than the smallest order"}
    is_needed_live = True

    def used(self, book: Book) -> Used:
        """Return the largest position at its mark."""
        return largest_sum((trip.symbol, abs(trip.qty) * book.marks[trip.symbol]) for trip in book.trips.values())
