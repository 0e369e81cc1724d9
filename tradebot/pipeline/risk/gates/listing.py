"""Whether the venue trades the symbol."""

from typing import ClassVar

from tradebot.model.instrument import Listing
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Stopped

NOT_TRADED = "not_traded"


class ListingGate(Gate):
    """Entries in what the venue takes orders for."""

    names: ClassVar = {NOT_TRADED: "the venue takes no orders of the symbol: halted, delisted, or not known there"}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return that the symbol is not traded."""
        listing = book.listing(signal.symbol)
        if listing is Listing.TRADED:
            return None
        return Stopped(NOT_TRADED, detail=f"{signal.symbol} is {listing} at the venue")
