"""The least confidence of an entry."""

from typing import ClassVar

from tradebot.model.money import from_float
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, Stopped

SETTING = "min_confidence"


class ConfidenceGate(Gate):
    """Entries of at least ``[risk] min_confidence``; those without a confidence pass."""

    names: ClassVar = {"confidence": "the confidence is below `min_confidence`"}

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return by how much ``signal`` is not sure enough."""
        least = book.limits.get(SETTING)
        if least is None or signal.confidence is None:
            return None
        confidence = from_float(signal.confidence)
        if confidence >= least:
            return None
        return Stopped("confidence", least, confidence, "the confidence is below risk.min_confidence")
