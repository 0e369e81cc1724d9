"""How far equity is below its peak."""

from typing import ClassVar

from tradebot.model.money import Cash
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes
from tradebot.pipeline.risk.breakers.falls import NO_FLOOR, FallBreaker


class DrawdownBreaker(FallBreaker):
    """The peak is the highest equity at a closing time, since the start or since an operator armed it again."""

    name: ClassVar[str] = "drawdown_pct"
    measures: ClassVar[str] = "how far equity is below its peak, percent of the peak"
    back: ClassVar[str] = "at a new peak"

    def on_equity(self, ts: Nanos, equity: Cash) -> Changes:
        """Look at the equity at the closing time ``ts``."""
        self._equity = equity
        peak = self._reference
        # At most bars neither is so, and two comparisons are all that is done.
        if peak is None or equity > peak:
            return NO_CHANGE if self.is_latched else self._rise(ts, equity)
        return self._fall(ts) if equity <= self._floor else NO_CHANGE

    def silence(self, highest: Cash) -> tuple[Cash, Cash]:
        """Return the next tier, measured from ``highest`` should that be a new peak, and the peak."""
        peak = self._reference
        if peak is None:
            return self._floor, NO_FLOOR
        # Once a tier is reached, a new peak is said.
        if self.tier or highest <= peak:
            return self._floor, peak
        return Cash(max(self._floor, highest * self._kept[0])), highest

    def _rise(self, ts: Nanos, equity: Cash) -> Changes:
        if not self.tier:
            self._measure_from(equity)
            return NO_CHANGE
        return (self.rearm(ts, "a new peak"),)
