"""Stop-hunt reversal: a sweep of liquidity that closes back inside is entered against the sweep."""

from typing import TYPE_CHECKING, cast

from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns import emit
from tradebot.pipeline.patterns.events import PatternEvent, PatternKind
from tradebot.pipeline.strategy.base import Bar, Enter, Field, Position
from tradebot.pipeline.strategy.foreseen import Foreseen
from tradebot.pipeline.strategy.smart_money import SmartMoney, SmartMoneyParams

if TYPE_CHECKING:
    from tradebot.pipeline.columns import FloatArray
    from tradebot.pipeline.strategy.smart_money import Flags


class LiquiditySweep(SmartMoney):
    """Buys when a low was swept and the bar closed strong again, with its stop beyond the sweep; mirrored."""

    class Params(SmartMoneyParams):
        """The parameters of liquidity_sweep."""

        min_swings: int = Field(1, ge=1, le=20, description="swings that the swept level was made of, at least")
        min_close: float = Field(
            0.5, ge=0, le=1, description="where the bar must close: 0 at its worst end, 1 its best"
        )

    params: Params

    def setup(self, event: PatternEvent, bar: Bar) -> Enter | None:
        """Enter at market after a sweep whose bar closed in the better part of its range."""
        if event.kind is not PatternKind.SWEEP or (event.count or 0) < self.params.min_swings:
            return None
        high, low, close = float(bar.high), float(bar.low), float(bar.close)
        if high <= low:
            return None
        edge, strength = (low, (close - low)) if event.side > 0 else (high, (high - close))
        if strength < self.params.min_close * (high - low):
            return None
        return self.enter_at_market(event, bar, edge)

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the first place from ``at`` on at which there may be something to say."""
        return self.foresee(run, at, until, position, self._setups)

    def _setups(self, seen: Foreseen) -> "Flags":
        import numpy as np

        told, columns = seen.told, seen.candles
        high, low, close = (cast("FloatArray", one)[told.places] for one in (columns.high, columns.low, columns.close))
        strength = np.where(told.sides > 0, close - low, high - close)
        is_strong = (high > low) & (strength >= self.params.min_close * (high - low))
        found: Flags = (told.kinds == emit.SWEEP) & (told.counts >= self.params.min_swings) & seen.has_atr & is_strong
        return found
