"""Several series of columns as one market, in the order of turns: by closing time, then symbol."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from tradebot.model.market import Bar
from tradebot.model.money import Cash, Qty
from tradebot.model.time import Nanos
from tradebot.pipeline import scans
from tradebot.pipeline.columns import ColumnRun, UnitPoints, WorthScale, scale
from tradebot.pipeline.patterns.arrays import ints
from tradebot.pipeline.runs import Part

if TYPE_CHECKING:
    from tradebot.pipeline.columns import IntArray


class JointHolding(NamedTuple):
    """What an account is worth by the prices of several symbols: ``qtys`` that were bought for ``cost`` in all."""

    cash: Cash
    qtys: Mapping[str, Qty]
    cost: Cash


class ColumnMarket:
    """The turns of ``runs``, one of each symbol. A turn is a bar; those of one closing time come together."""

    def __init__(self, runs: Sequence[ColumnRun]) -> None:
        import numpy as np

        self.runs = sorted(runs, key=lambda run: run.symbol)
        self.timeframe = min(run.timeframe for run in runs)
        self.number = {run.symbol: number for number, run in enumerate(self.runs)}
        sizes = [len(run) for run in self.runs]
        times = np.concatenate([run.closed for run in self.runs])
        order = times.argsort(kind="stable")
        self._times: IntArray = times[order]
        self._owners: IntArray = np.repeat(np.arange(len(sizes)), sizes)[order]
        self._closes: IntArray = np.concatenate([run.closes for run in self.runs])[order]
        rows = np.concatenate([np.arange(size) for size in sizes])
        self._rows: IntArray = rows[order]
        self.turns: list[IntArray] = [np.flatnonzero(self._owners == number) for number in range(len(sizes))]
        """Of each run the turns of its bars."""
        is_new = np.ones(len(times), np.bool_)
        is_new[1:] = self._times[1:] != self._times[:-1]
        self._numbers: IntArray = is_new.cumsum() - 1
        self._distinct: IntArray = self._times[is_new]
        self._worths = self.runs[0].kernels[scans.market_worths]
        self._turning = self.runs[0].kernels[scans.turning]
        self._scaled: tuple[JointHolding | None, WorthScale | None] = None, None

    def __len__(self) -> int:
        return len(self._times)

    def owner(self, turn: int) -> tuple[int, int]:
        """Return the number of the run that has a turn, and the place in it."""
        return int(self._owners[turn]), int(self._rows[turn])

    def bar(self, turn: int) -> Bar:
        """Return the bar of a turn."""
        number, place = self.owner(turn)
        return self.runs[number].bar(place)

    def time(self, turn: int) -> Nanos:
        """Return when the bar of a turn closed."""
        return Nanos(int(self._times[turn]))

    def find(self, ts: int, at: int, until: int) -> int:
        """Return the first turn from ``at`` on that closed at ``ts`` or later."""
        return at + int(self._times[at:until].searchsorted(ts))

    def place(self, number: int, turn: int) -> int:
        """Return the first place of a run that comes at ``turn`` or later."""
        return int(self.turns[number].searchsorted(turn))

    def parts(self, at: int, until: int) -> list[Part]:
        """Return the bars of each run that has some, in the order in which they begin."""
        found = [(self.place(number, at), self.place(number, until)) for number in range(len(self.runs))]
        parts = [Part(run, *ends) for run, ends in zip(self.runs, found, strict=True) if ends[0] < ends[1]]
        return sorted(parts, key=lambda part: int(self.turns[self.number[part.run.symbol]][part.at]))

    def moments(self, at: int, until: int) -> Sequence[Nanos]:
        """Return the closing times from that of the turn ``at`` on up to that of the turn before ``until``."""
        return cast("Sequence[Nanos]", array("q", self._moments(at, until).tobytes()))

    def _moments(self, at: int, until: int) -> "IntArray":
        return self._distinct[self._numbers[at] : self._numbers[until - 1] + 1]

    def is_complete(self, symbols: Iterable[str], at: int, until: int) -> bool:
        """Return whether each of ``symbols`` has a bar at each closing time of these turns."""
        moments = int(self._numbers[until - 1] - self._numbers[at]) + 1
        numbers = [self.number[symbol] for symbol in symbols]
        # A series has no two bars of one time.
        return all(self.place(number, until) - self.place(number, at) == moments for number in numbers)

    def points(self, at: int, until: int, held: JointHolding) -> UnitPoints | None:
        """Return the equity at the end of each closing time; ``None`` where 64 bits do not hold it exactly."""
        scaled = self._scale(held)
        if scaled is None:
            return None
        qtys, values = ints(zeros=len(self.runs)), ints(zeros=len(self.runs))
        for symbol, qty in held.qtys.items():
            number = self.number[symbol]
            run, before = self.runs[number], self.place(number, at) - 1
            # The quantity in the unit of money, by a close in the unit of its run.
            qtys[number] = int(qty.scaleb(scaled.fine - run.places))
            values[number] = qtys[number] * int(run.closes[before])
        units = self._moments(at, until).copy()
        turns = self._owners, self._closes, self._numbers, at, until
        self._worths(*turns, qtys, values, scaled.whole, scaled.rest, scaled.step, units)
        return UnitPoints(units, self._turning)

    def _scale(self, held: JointHolding) -> WorthScale | None:
        if self._scaled[0] != held:
            runs = [self.runs[self.number[symbol]] for symbol in held.qtys]
            sized = [(qty, run.places, run.highest) for qty, run in zip(held.qtys.values(), runs, strict=True)]
            self._scaled = held, scale(held.cash, held.cost, sized)
        return self._scaled[1]
