"""How much one entry may be worth in the first days of real money."""

from typing import ClassVar

from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_entry


class LiveCapGate(Limit):
    """Bounds each live entry besides the largest order, in cash."""

    setting = "live_cap_notional"
    names: ClassVar = {setting: "`live_cap_notional` leaves less than the smallest order"}
    is_live_only = True

    def used(self, book: Book) -> Used:
        """Return the largest entry at work."""
        return largest_entry(book)
