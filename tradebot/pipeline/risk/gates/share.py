"""The part of the portfolio's limits that a strategy with a share may use."""

from typing import ClassVar

from tradebot.model.money import ONE
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Bound, Gate, GateConfig


class ShareGate(Gate):
    """Bounds what a strategy has open and at work by its share of a limit. The sizes follow its share too."""

    name = ""
    setting = ""

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._rule = config.rule

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return the share of the limit, and what the strategy has of it."""
        limit, share = book.limits.get(self.setting), self._rule.share(signal.strategy)
        if limit is None or share == ONE:
            return None
        unit = book.equity() if self.setting == "max_leverage" else ONE
        return Bound(self.name, limit * share, book.own_exposure(signal.strategy), unit)


class ShareExposureGate(ShareGate):
    """A share of the largest exposure."""

    name, setting = "share_exposure_notional", "max_exposure_notional"
    names: ClassVar = {name: "the strategy's `share` of `max_exposure_notional` leaves less than the smallest order"}


class ShareLeverageGate(ShareGate):
    """A share of the highest leverage."""

    name, setting = "share_leverage", "max_leverage"
    names: ClassVar = {name: "the strategy's `share` of `max_leverage` leaves less than the smallest order"}
