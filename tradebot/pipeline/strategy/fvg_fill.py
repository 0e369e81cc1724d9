"""Retracement into a fair value gap, in the direction of the higher timeframes."""

from typing import TYPE_CHECKING

from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns import emit
from tradebot.pipeline.patterns.events import PatternEvent, PatternKind
from tradebot.pipeline.strategy.base import Bar, Enter, Field, Position
from tradebot.pipeline.strategy.foreseen import Foreseen
from tradebot.pipeline.strategy.smart_money import SmartMoney, SmartMoneyParams

if TYPE_CHECKING:
    from tradebot.pipeline.strategy.smart_money import Flags


class FvgFill(SmartMoney):
    """Waits with a limit inside a new gap that the higher timeframes agree with; its stop is beyond the gap."""

    class Params(SmartMoneyParams):
        """The parameters of fvg_fill."""

        min_gap: float = Field(0.3, ge=0, le=20, description="least size of a gap, in average true ranges")
        depth: float = Field(0.5, ge=0, le=1, description="where in the gap to wait: 0 its near edge, 1 its far one")
        wait_bars: int = Field(24, ge=1, le=10_000, description="bars that the limit waits")

    params: Params

    def setup(self, event: PatternEvent, bar: Bar) -> Enter | None:
        """Wait in a gap that is large enough and has the higher timeframes behind it."""
        atr, top, bottom = self.scanner.atr, event.top, event.bottom
        if event.kind is not PatternKind.FVG or atr is None or top is None or bottom is None:
            return None
        if top - bottom < self.params.min_gap * atr or not self.bias(event.side):
            return None
        near, far = (top, bottom) if event.side > 0 else (bottom, top)
        limit = near + (far - near) * self.params.depth
        return self.enter_at_limit(event, bar, far, limit, self.params.wait_bars)

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the first place from ``at`` on at which there may be something to say."""
        return self.foresee(run, at, until, position, self._setups)

    def _setups(self, seen: Foreseen) -> "Flags":
        told, least = seen.told, self.params.min_gap * seen.atr_at
        found: Flags = (told.kinds == emit.FVG) & seen.has_atr & (told.first - told.second >= least) & seen.has_bias
        return found
