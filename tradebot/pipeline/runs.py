"""Runs of bars, and what a stage says of those on which nothing happens to it."""

from collections.abc import Sequence
from typing import Protocol

from tradebot.model.market import Bar


class Run:
    """Bars of one symbol and timeframe as they come one after the other, and their columns.

    ``is_steady``: each but the first opens where the one before closed.
    """

    __slots__ = ("bars", "closes", "highs", "is_steady", "lows", "symbol", "timeframe", "times")

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self.symbol = bars[0].symbol
        self.timeframe = bars[0].timeframe
        self.times = times = [bar.ts_event for bar in bars]
        self.is_steady = times == [*range(times[0], times[0] + len(times) * self.timeframe, self.timeframe)]
        self.highs = [bar.high for bar in bars]
        self.lows = [bar.low for bar in bars]
        self.closes = [bar.close for bar in bars]


class Quiet(Protocol):
    """A stage that knows beforehand on which bars nothing follows from it.

    ``quiet`` changes nothing; what it says holds until the stage handles a message. To pass bars over leaves the stage
    as it is after handling each of them.
    """

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which of the bars from ``at`` on, and before ``until``, nothing follows but ``pass_over``."""
        ...

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Take the bars from ``at`` on, and before ``until``, of which ``quiet`` said that nothing follows."""
        ...
