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
        return untraded(signal.symbol, book)


def untraded(symbol: str, book: Book) -> Stopped | None:
    """Return that the venue takes no orders of ``symbol``."""
    listing = book.listing(symbol)
    return None if listing is Listing.TRADED else Stopped(NOT_TRADED, detail=f"{symbol} is {listing} at the venue")
