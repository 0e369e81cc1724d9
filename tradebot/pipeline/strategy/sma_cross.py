"""Two moving averages of the close: in on the side of the fast one, out on the opposite cross."""

from collections import deque
from collections.abc import Sequence
from decimal import Context, Decimal, Inexact
from typing import Self

from pydantic import Field, model_validator

from tradebot.model.market import Bar
from tradebot.model.money import ZERO
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.pipeline.columns import MOST, ColumnRun
from tradebot.pipeline.strategy import base
from tradebot.pipeline.strategy.ahead import lead_after, next_cross
from tradebot.pipeline.strategy.base import Enter, Exit

# Wide enough for any sum of prices; should one not fit, that is an error, not a rounded cross.
_exactly = Context(prec=200, traps=[Inexact]).fma


class SmaCross:
    """Long when the fast average crosses above the slow one, short when it crosses below.

    Up: fast > slow now and fast <= slow one bar before, decided exactly.
    """

    class Params(base.Params):
        """The two lengths."""

        fast: int = Field(10, ge=1, le=5_000, description="bars of the fast average; less than slow")
        slow: int = Field(30, ge=2, le=10_000, description="bars of the slow average")

        @model_validator(mode="after")
        def _fast_is_faster(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"fast ({self.fast}) must be less than slow ({self.slow})")
            return self

    def __init__(self, params: Params) -> None:
        self.fast = params.fast
        self.slow = params.slow
        self.weights = (Decimal(params.slow - params.fast), Decimal(params.fast), Decimal(-params.slow))
        self.closes: deque[Decimal] = deque(maxlen=params.slow)
        # slow * (sum of fast closes) - fast * (sum of slow closes): its sign is that of fast - slow.
        self.lead: Decimal | None = None

    def on_bar(self, bar: Bar, position: Position | None) -> Sequence[Enter | Exit]:
        """Return the exit and the entry of a cross."""
        closes, close, before = self.closes, bar.close, self.lead
        if before is None:
            closes.append(close)
            if len(closes) == self.slow:
                self.lead = self._lead()
            return ()
        latest, oldest_slow, oldest_fast = self.weights
        lead = _exactly(oldest_fast, closes[-self.fast], before)
        lead = _exactly(oldest_slow, closes[0], lead)
        self.lead = lead = _exactly(latest, close, lead)
        closes.append(close)
        if lead > ZERO >= before:
            return _turn(PositionSide.LONG, position)
        if lead < ZERO <= before:
            return _turn(PositionSide.SHORT, position)
        return ()

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the place of the next cross."""
        lead = None if self.lead is None else run.whole(self.lead)
        # Sums of more bits than 64 are left to ``on_bar``.
        if lead is None or 4 * self.fast * self.slow * run.highest >= MOST:
            return at
        return int(run.kernels[next_cross](run.closes, self.fast, self.slow, lead, at, until))

    def pass_over(self, run: ColumnRun, at: int, until: int, position: Position | None) -> None:
        """Take bars without a cross."""
        assert self.lead is not None  # noqa: S101 - without it the horizon is the bar itself  # nosec B101
        lead = run.kernels[lead_after](run.closes, self.fast, self.slow, run.whole(self.lead), at, until)
        self.lead = run.sum_of_closes(int(lead), until)
        self.closes.extend(run.closes_of(max(at, until - self.slow), until))

    def _lead(self) -> Decimal:
        latest, oldest_slow, _ = self.weights
        lead = ZERO
        for age, close in enumerate(reversed(self.closes)):
            lead = _exactly(latest if age < self.fast else -oldest_slow, close, lead)
        return lead


def _turn(side: PositionSide, position: Position | None) -> Sequence[Enter | Exit]:
    if position is None:
        return (Enter(side),)
    return () if position.side is side else (Exit(), Enter(side))
