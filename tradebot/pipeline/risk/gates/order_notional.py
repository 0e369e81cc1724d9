"""How much one entry may be worth."""

from typing import ClassVar

from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_entry


class OrderNotionalGate(Limit):
    """Bounds each entry, in cash."""

    setting = "max_order_notional"
    names: ClassVar = {setting: "`max_order_notional` leaves less than the smallest order"}
    is_needed_live = True

    def used(self, book: Book) -> Used:
        """Return the largest entry at work."""
        return largest_entry(book)
