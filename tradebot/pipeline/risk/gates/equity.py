"""Something to trade with."""

from typing import ClassVar

from tradebot.model.money import ZERO
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Stopped


class EquityGate(Gate):
    """Entries of an account that is worth something."""

    names: ClassVar = {"no_equity": "the equity is 0 or less"}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return that there is no equity."""
        del signal
        equity = book.equity()
        return Stopped("no_equity", ZERO, equity, "there is nothing to trade with") if equity <= 0 else None
