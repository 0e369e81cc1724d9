"""The trading state, a flattening and freezes: whether anything may be added at all."""

from typing import ClassVar

from tradebot.model.command import TradingState
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Stopped


class TradingStateGate(Gate):
    """Entries while the bot runs, and in symbols that are not frozen."""

    names: ClassVar = {
        "paused": "an operator paused entries",
        "reduce_only": "nothing may add to a position",
        "halted": "trading is halted",
        "flattening": "every position is being closed",
        "frozen": "the symbol, or all, may not be entered; the reasons are told",
    }

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return what stands in the way of any entry in the symbol."""
        return barred(signal.symbol, book)


def barred(symbol: str, book: Book) -> Stopped | None:
    """Return what stands in the way of any entry in ``symbol``."""
    if book.trading_state is not TradingState.RUNNING:
        return Stopped(book.trading_state.value, detail=book.state_reason)
    if book.is_flattening:
        return Stopped("flattening", detail="every position is being closed")
    if book.frozen and (reasons := (*book.frozen.get("", ()), *book.frozen.get(symbol, ()))):
        return Stopped("frozen", detail=", ".join(reasons))
    return None
