"""The channel of the previous bars: in on a close beyond it, out on a close beyond the shorter one."""

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

from pydantic import Field

from tradebot.model.market import Bar
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns.arrays import ints
from tradebot.pipeline.strategy import base
from tradebot.pipeline.strategy.ahead import next_break
from tradebot.pipeline.strategy.base import Enter, Exit

# A window's candidates for its extreme: (bar number, value), the extreme of the whole window first.
Window = deque[tuple[int, Decimal]]


class DonchianBreakout:
    """Long above the highest high of the previous ``entry`` bars, short below the lowest low.

    A long leaves on a close below the lowest low of the previous ``exit`` bars, a short above the highest
    high. A bar that leaves one side and breaks out to the other reverses.
    """

    class Params(base.Params):
        """The two lengths."""

        entry: int = Field(20, ge=1, le=10_000, description="bars of the channel whose break enters")
        exit: int = Field(10, ge=1, le=10_000, description="bars of the channel whose break exits")

    def __init__(self, params: Params) -> None:
        self.entry = params.entry
        self.exit = params.exit
        self.seen = 0
        self.entry_highs: Window = deque()
        self.entry_lows: Window = deque()
        self.exit_highs: Window = deque()
        self.exit_lows: Window = deque()

    def on_bar(self, bar: Bar, position: Position | None) -> Sequence[Enter | Exit]:
        """Return the exit and the entry of a break."""
        wishes = self._decide(bar.close, position)
        self._take(bar)
        return wishes

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the place of the next close beyond the channel that counts now."""
        is_long = position is not None and position.side is PositionSide.LONG
        is_short = position is not None and not is_long
        length = self.entry if position is None else self.exit
        tops, bottoms = ints(zeros=length), ints(zeros=length)
        columns = run.highs, run.lows, run.closes
        return int(run.kernels[next_break](*columns, tops, bottoms, length, not is_long, not is_short, at, until))

    def pass_over(self, run: ColumnRun, at: int, until: int, position: Position | None) -> None:
        """Take bars without a break. What is older than both channels hides behind what is not."""
        first = max(at, until - max(self.entry, self.exit))
        self.seen += first - at
        for bar in run.bars(first, until):
            self._take(bar)

    def _take(self, bar: Bar) -> None:
        _push(self.entry_highs, self.entry_lows, self.seen, bar, self.entry)
        _push(self.exit_highs, self.exit_lows, self.seen, bar, self.exit)
        self.seen += 1

    def _decide(self, close: Decimal, position: Position | None) -> Sequence[Enter | Exit]:
        exits: Sequence[Exit] = ()
        if position is not None:
            if not self._is_left(close, position.side):
                return ()
            exits = (Exit(),)
        if self.seen >= self.entry:
            if close > self.entry_highs[0][1]:
                return (*exits, Enter(PositionSide.LONG))
            if close < self.entry_lows[0][1]:
                return (*exits, Enter(PositionSide.SHORT))
        return exits

    def _is_left(self, close: Decimal, side: PositionSide) -> bool:
        if self.seen < self.exit:
            return False
        return close < self.exit_lows[0][1] if side is PositionSide.LONG else close > self.exit_highs[0][1]


def _push(highs: Window, lows: Window, number: int, bar: Bar, length: int) -> None:
    """Let a bar into both windows, and out of them what is hidden behind it or too old."""
    high, low = bar.high, bar.low
    while highs and highs[-1][1] <= high:
        highs.pop()
    highs.append((number, high))
    while lows and lows[-1][1] >= low:
        lows.pop()
    lows.append((number, low))
    oldest = number - length
    if highs[0][0] <= oldest:
        highs.popleft()
    if lows[0][0] <= oldest:
        lows.popleft()
