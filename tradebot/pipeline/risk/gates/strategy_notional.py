"""How much one strategy may have open."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used, largest_sum


class StrategyNotionalGate(Limit):
    """Bounds what each strategy has open and at work, in cash."""

    setting = "max_strategy_notional"
    names: ClassVar = {
        setting: "what the strategy has open leaves less of `max_strategy_notional` than the smallest order"
    }

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return what the strategy has open and at work."""
        return book.own_exposure(signal.strategy)

    def used(self, book: Book) -> Used:
        """Return what the strategy has that has most."""
        return largest_sum((one.strategy, one.notional) for one in book.exposed())
