"""Runs of bars, what may be asked of many of them at once, and what a stage says of those that mean nothing to it."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from tradebot.model.market import Bar
from tradebot.model.money import Cash, Price, book
from tradebot.model.time import DAY, Nanos, Timeframe, floor_to
from tradebot.pipeline.points import BookedPoints, Points, Worth


class Run(Protocol):
    """Bars of one symbol and timeframe as they come one after the other, by their places.

    ``until`` is always behind the last place that is asked about; where there is no such place as is asked for, it is
    the answer.
    """

    symbol: str
    timeframe: Timeframe
    ahead: int
    """How many bars are looked at together where a strategy is asked at each of them: a signal makes the rest vain."""

    def __len__(self) -> int: ...

    def bar(self, place: int) -> Bar:
        """Return one bar."""
        ...

    def bars(self, at: int, until: int) -> Iterable[Bar]:
        """Give the bars from ``at`` on."""
        ...

    def time(self, place: int) -> Nanos:
        """Return when a bar closed."""
        ...

    def times(self, at: int, until: int) -> Sequence[Nanos]:
        """Return when the bars from ``at`` on closed."""
        ...

    def close(self, place: int) -> Price:
        """Return the close of a bar."""
        ...

    def find(self, ts: int, at: int, until: int) -> int:
        """Return the first place from ``at`` on that closed at ``ts`` or later."""
        ...

    def days(self, at: int, until: int) -> Iterator[int]:
        """Give the last place of each UTC day, and the last of all."""
        ...

    def gap(self, at: int, until: int) -> int:
        """Return the first place behind ``at`` that did not open where the one before closed."""
        ...

    def touch(self, at: int, until: int, low: Decimal | None, high: Decimal | None) -> int:
        """Return the first place from ``at`` on that was down at ``low`` or up at ``high``."""
        ...

    def close_beyond(self, at: int, until: int, price: Price, sign: int) -> int:
        """Return the first place from ``at`` on that closed below ``price`` where ``sign`` is 1, above it where -1."""
        ...

    def extremes(self, at: int, until: int) -> tuple[Price, Price]:
        """Return the lowest low and the highest high from ``at`` on."""
        ...

    def span(self, at: int, until: int, worth: Worth) -> tuple[Cash, Cash]:
        """Return the least and the most equity from ``at`` on."""
        ...

    def stray(self, at: int, until: int, worth: Worth, low: Cash, high: Cash) -> int:
        """Return the first place from ``at`` on with an equity at or below ``low``, or above ``high``."""
        ...

    def points(self, at: int, until: int, worth: Worth) -> Points:
        """Return the equity from ``at`` on."""
        ...


class Part(NamedTuple):
    """The bars of a run from ``at`` on, and before ``until``; there is one at least."""

    run: Run
    at: int
    until: int


def last_of_days(run: Run, at: int, until: int) -> Iterator[int]:
    """Give the last place of each UTC day, and the last of all: ``days`` of any run."""
    while at < until:
        # A bar that closes at midnight belongs to the day before.
        at = run.find(floor_to(run.time(at) - 1, DAY) + DAY + 1, at, until)
        yield at - 1


class BarRun:
    """A run of bars that are there as such."""

    # To look at a bar costs about as much as to ask a strategy.
    ahead = 64

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.symbol = bars[0].symbol
        self.timeframe = bars[0].timeframe
        self._bars = bars
        self._times = times = [bar.ts_event for bar in bars]
        self._is_steady = times == [*range(times[0], times[0] + len(times) * self.timeframe, self.timeframe)]
        self._highs = [bar.high for bar in bars]
        self._lows = [bar.low for bar in bars]
        self._closes = [bar.close for bar in bars]

    def __len__(self) -> int:
        return len(self._bars)

    def bar(self, place: int) -> Bar:
        """Return one bar."""
        return self._bars[place]

    def bars(self, at: int, until: int) -> Sequence[Bar]:
        """Return the bars from ``at`` on."""
        return self._bars[at:until]

    def time(self, place: int) -> Nanos:
        """Return when a bar closed."""
        return self._times[place]

    def times(self, at: int, until: int) -> Sequence[Nanos]:
        """Return when the bars from ``at`` on closed."""
        return self._times[at:until]

    def close(self, place: int) -> Price:
        """Return the close of a bar."""
        return self._closes[place]

    def find(self, ts: int, at: int, until: int) -> int:
        """Return the first place from ``at`` on that closed at ``ts`` or later."""
        return bisect_left(self._times, ts, at, until)

    def days(self, at: int, until: int) -> Iterator[int]:
        """Give the last place of each UTC day, and the last of all."""
        return last_of_days(self, at, until)

    def gap(self, at: int, until: int) -> int:
        """Return the first place behind ``at`` that did not open where the one before closed."""
        if self._is_steady:
            return until
        times, step = self._times, self.timeframe
        return next((place for place in range(at + 1, until) if times[place] - times[place - 1] != step), until)

    def touch(self, at: int, until: int, low: Decimal | None, high: Decimal | None) -> int:
        """Return the first place from ``at`` on that was down at ``low`` or up at ``high``."""
        highs, lows = self._highs, self._lows
        if high is not None and until > at and max(highs[at:until]) >= high:
            until = next(place for place in range(at, until) if highs[place] >= high)
        if low is not None and until > at and min(lows[at:until]) <= low:
            until = next(place for place in range(at, until) if lows[place] <= low)
        return until

    def close_beyond(self, at: int, until: int, price: Price, sign: int) -> int:
        """Return the first place from ``at`` on that closed below ``price`` where ``sign`` is 1, above it where -1."""
        closes = self._closes
        return next((place for place in range(at, until) if (closes[place] - price) * sign < 0), until)

    def extremes(self, at: int, until: int) -> tuple[Price, Price]:
        """Return the lowest low and the highest high from ``at`` on."""
        return min(self._lows[at:until]), max(self._highs[at:until])

    def span(self, at: int, until: int, worth: Worth) -> tuple[Cash, Cash]:
        """Return the least and the most equity from ``at`` on."""
        closes = self._closes[at:until]
        return worth.between(min(closes), max(closes))

    def stray(self, at: int, until: int, worth: Worth, low: Cash, high: Cash) -> int:
        """Return the first place from ``at`` on with an equity at or below ``low``, or above ``high``."""
        closes = enumerate(self._closes[at:until], at)
        return next((place for place, close in closes if not low < worth.at(close) <= high), until)

    def points(self, at: int, until: int, worth: Worth) -> BookedPoints:
        """Return the equity from ``at`` on."""
        cash, qty, cost = worth
        return BookedPoints([book(cash + (qty * close - cost)) for close in self._closes[at:until]])


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
