"""The stop of an entry: it is there where it is needed, and on the losing side."""

from typing import ClassVar

from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Stopped
from tradebot.pipeline.risk.limits import SizeKind


class StopGate(Gate):
    """Entries whose stop can do what it is for."""

    names: ClassVar = {
        "no_stop": "the size is reckoned from a stop, or one is required, and the entry has none",
        "bad_stop": "the stop is not on the losing side of the entry",
    }

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._is_needed = config.require_stop or config.rule.kind is SizeKind.RISK_FRACTION

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return what is wrong with the stop."""
        del book
        if signal.stop is None:
            if self._is_needed:
                return Stopped("no_stop", detail="the size or a rule needs a stop and the signal has none")
            return None
        price = signal.entry_price if signal.entry_price is not None else signal.close
        if (price - signal.stop) * signal.side.sign <= 0:
            return Stopped("bad_stop", price, signal.stop, "the stop is not on the losing side of the entry")
        return None
