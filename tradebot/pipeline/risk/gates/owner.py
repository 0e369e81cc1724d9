"""One owner, one position and one entry for each symbol."""

from typing import ClassVar

from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Stopped


class OwnerGate(Gate):
    """A symbol that nobody else trades and in which nothing is open."""

    names: ClassVar = {
        "symbol_taken": "another strategy has a position or an entry at work there",
        "already_open": "the strategy has a position or an entry at work there",
    }

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return who has the symbol, or what is open in it."""
        trip = book.trips.get(signal.symbol)
        working = next((entry for entry in book.entries.values() if entry.symbol == signal.symbol), None)
        for owner in (trip, working):
            if owner is not None and owner.strategy != signal.strategy:
                return Stopped("symbol_taken", detail=f"{signal.symbol} belongs to {owner.strategy}")
        if working is not None:
            return Stopped("already_open", detail=f"the entry of {working.signal_id} is at work")
        if trip is not None and not trip.is_closing:
            return Stopped("already_open", value=trip.qty, detail=f"a {trip.side} position is open")
        return None
