"""Whether anything may be opened at all, asked once more."""

from collections.abc import Sequence
from typing import ClassVar

from tradebot.model.order import OrderRequest
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.gates.listing import untraded
from tradebot.pipeline.risk.gates.trading_state import barred
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "not_now"


class StandingGate(OrderGate):
    """Orders that open, while the bot runs and in symbols that may be entered. Whatever only reduces passes."""

    names: ClassVar = {GATE: "the bot is paused, halted or flattening, or the symbol is frozen or not traded"}
    faults = (GATE,)

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return what stands in the way of any entry in the symbol."""
        symbol = orders[0].symbol
        stopped = barred(symbol, book) or untraded(symbol, book)
        return None if stopped is None else Stopped(GATE, detail=f"{stopped.gate}: {stopped.detail}")
