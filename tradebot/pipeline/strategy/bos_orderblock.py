"""Trend continuation: the retest of the order block that a break of structure left behind."""

from typing import TYPE_CHECKING

from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns import emit
from tradebot.pipeline.patterns.events import PatternEvent, PatternKind
from tradebot.pipeline.strategy.base import Bar, Enter, Field, Position
from tradebot.pipeline.strategy.foreseen import Foreseen
from tradebot.pipeline.strategy.smart_money import SmartMoney, SmartMoneyParams

if TYPE_CHECKING:
    from tradebot.pipeline.strategy.smart_money import Flags


class BosOrderblock(SmartMoney):
    """Waits with a limit at the edge of a new order block in the trend's direction; its stop is beyond the block."""

    class Params(SmartMoneyParams):
        """The parameters of bos_orderblock."""

        max_block: float = Field(
            3.0, gt=0, le=50, description="largest block, in average true ranges: wider ones risk too much"
        )
        depth: float = Field(0.0, ge=0, le=1, description="where in the block to wait: 0 its near edge, 1 its far one")
        wait_bars: int = Field(48, ge=1, le=10_000, description="bars that the limit waits")

    params: Params

    def setup(self, event: PatternEvent, bar: Bar) -> Enter | None:
        """Wait at a block that is not too wide and has the higher timeframes behind it."""
        atr, top, bottom = self.scanner.atr, event.top, event.bottom
        if event.kind is not PatternKind.ORDER_BLOCK or atr is None or top is None or bottom is None:
            return None
        if top - bottom > self.params.max_block * atr or not self.bias(event.side):
            return None
        near, far = (top, bottom) if event.side > 0 else (bottom, top)
        limit = near + (far - near) * self.params.depth
        return self.enter_at_limit(event, bar, far, limit, self.params.wait_bars)

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the first place from ``at`` on at which there may be something to say."""
        return self.foresee(run, at, until, position, self._setups)

    def _setups(self, seen: Foreseen) -> "Flags":
        told, most = seen.told, self.params.max_block * seen.atr_at
        found: Flags = (
            (told.kinds == emit.ORDER_BLOCK) & seen.has_atr & (told.first - told.second <= most) & seen.has_bias
        )
        return found
