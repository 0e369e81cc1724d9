"""The one check of the times of a series, whatever file or array holds it: unit, order, grid, spacing, gaps."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import gcd
from operator import sub
from typing import TYPE_CHECKING, NamedTuple

from tradebot.model.time import (
    NANOS_PER_MS,
    NANOS_PER_S,
    Timeframe,
    floor_to,
    from_ms,
    timeframe_name,
    to_ms,
    unit_of,
)
from tradebot.report.table import moment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Nanoseconds of later times do not fit into the 64 bits of the journal's columns (the year 2262).
MAX_TS_MS = 9_000_000_000_000
# Exchanges that close at night open at quarters of an hour, and their bars count from there.
_SESSION_MS = 15 * 60 * 1000
# Fewer rows than this may all have lost a neighbour by chance.
_TELLING_ROWS = 10
_BLOCK_ROWS = 4_096


class Missing(NamedTuple):
    """A gap: ``bars`` of them are not there, the first of which would open at ``ts`` ms."""

    ts: int
    bars: int


class Times:
    """The times of one series, oldest first, taken in batches.

    Bars open on whole ``timeframe``, or on that of a session: all of them late by the same quarters of an hour.
    Without a timeframe only unit and order are looked at. A series that is not read from its start (``is_whole``
    false) is not asked for its unit.
    """

    __slots__ = (
        "_is_whole",
        "_step",
        "_timeframe",
        "common_step",
        "first",
        "found",
        "last",
        "rows",
    )

    def __init__(self, timeframe: Timeframe | None, *, is_whole: bool = True) -> None:
        self._timeframe = timeframe
        self._step = 1 if timeframe is None else to_ms(timeframe)
        self._is_whole = is_whole
        self.first: int | None = None
        self.last: int | None = None
        self.common_step = 0
        """The largest distance of which all distances of neighbours are multiples, in ms; 0 without any."""
        self.rows = 0
        self.found: list[Missing] = []
        """The gaps, oldest first."""

    @property
    def gaps(self) -> int:
        """How many gaps there are."""
        return len(self.found)

    @property
    def missing(self) -> int:
        """How many bars would fill them."""
        return sum(map(_bars_of, self.found))

    @property
    def first_gap(self) -> Missing | None:
        """The first of them."""
        return self.found[0] if self.found else None

    @property
    def largest_gap(self) -> Missing | None:
        """The first of those that are longest."""
        return max(self.found, key=_bars_of, default=None)

    def take(self, ts: Sequence[int]) -> bool:
        """Count a batch and return whether it is sound; one that is not is left out of the counts."""
        last, step = self.last, self._step
        steps = list(map(sub, ts[1:], ts))
        if last is not None:
            steps.append(ts[0] - last)
        distinct = set(steps)
        if ts[0] < 0 or ts[-1] >= MAX_TS_MS or any(each <= 0 or each % step for each in distinct):
            return False
        if last is None:
            if not self._may_be_first(ts[0]):
                return False
            self.first = ts[0]
        self.common_step = gcd(self.common_step, *distinct)
        distinct.discard(step)
        if distinct and self._timeframe is not None:
            self._count_gaps(ts)
        self.rows += len(ts)
        self.last = ts[-1]
        return True

    def take_array(self, ts: "NDArray[np.int64]", is_steady: Callable[..., int]) -> bool:
        """Count all rows of a series and return whether they are sound; ``is_steady`` is the kernel of that name.

        Where all of a block follow each other without a gap, its first and its last tell the rest.
        """
        for at in range(0, ts.size, _BLOCK_ROWS):
            block = ts[at : at + _BLOCK_ROWS]
            if not is_steady(block, 0, block.size, self._step):
                is_sound = self.take(block.tolist())
            else:
                is_sound = self.take([int(block[0])]) and self._go_on(int(block[-1]))
            if not is_sound:
                return False
        return True

    def _go_on(self, last: int) -> bool:
        """Count the rows up to ``last``, each one step after the one before."""
        if self.last is not None and last > self.last:
            self.rows += (last - self.last) // self._step
            self.common_step = gcd(self.common_step, self._step)
            self.last = last
        return last < MAX_TS_MS

    def fault(self, ts: int, last: int | None) -> str | None:
        """Return what is wrong with a time of ``ts`` ms in the row after that of ``last``, or ``None``."""
        what = order_fault(ts, last)
        if what is not None or self._timeframe is None:
            return what or (self._first_unit_fault(ts) if last is None else None)
        if last is None:
            return self._first_unit_fault(ts) or self._first_grid_fault(ts)
        name, apart = step_name(self._step), step_name(ts - last)
        if ts - last < self._step:
            return f"ts_ms {ts} is less than {name} after {last}, that of the line above"
        if (ts - last) % self._step:
            return f"ts_ms {ts} ({moment(ts)}) is off the grid of {name}: {apart} after the line above"
        return None

    def spacing_fault(self) -> str | None:
        """Return how the rows, all taken, contradict their timeframe: all stand whole multiples of it apart."""
        if self._timeframe is None or self.rows < _TELLING_ROWS or self.common_step == self._step:
            return None
        return f"no two bars are {step_name(self._step)} apart: they come every {step_name(self.common_step)}"

    def late_by(self) -> int:
        """Return by how many ms bars open after whole timeframes."""
        return 0 if self.first is None else self._late(self.first)

    def _count_gaps(self, ts: Sequence[int]) -> None:
        step = self._step
        before = ts if self.last is None else [self.last, *ts]
        self.found += [
            Missing(prior + step, (at - prior) // step - 1) for prior, at in pairwise(before) if at - prior != step
        ]

    def _may_be_first(self, ts: int) -> bool:
        return self._first_unit_fault(ts) is None and (self._timeframe is None or self._first_grid_fault(ts) is None)

    def _first_unit_fault(self, ts: int) -> str | None:
        return unit_fault(ts) if self._is_whole else None

    def _first_grid_fault(self, ts: int) -> str | None:
        late, name = self._late(ts), step_name(self._step)
        what = f"ts_ms {ts} ({moment(ts)}) is off the grid: bars of {name} open on whole {name}"
        return what if late % _SESSION_MS else None

    def _late(self, ts: int) -> int:
        return 0 if self._timeframe is None else ts - to_ms(floor_to(from_ms(ts), self._timeframe))


def order_fault(ts: int, last: int | None) -> str | None:
    """Return what is wrong with the order or the range of a time in ms, or ``None``."""
    if not 0 <= ts < MAX_TS_MS:
        return unit_fault(ts) or f"ts_ms {ts} is not a time in milliseconds since 1970"
    if last is not None and ts < last:
        wrong = unit_fault(ts) if unit_fault(last) is None else None
        return wrong or f"ts_ms {ts} is before {last}, that of the line above"
    return f"ts_ms {ts} stands on the line above too" if ts == last else None


def unit_fault(ts: int) -> str | None:
    """Return in which other unit ``ts`` is a time of these decades, or ``None`` when it is milliseconds, or no time.

    >>> unit_fault(1735689600)
    'ts_ms 1735689600 looks like seconds, not milliseconds'
    """
    unit = unit_of(ts)
    return (
        None if unit is None or unit.nanos == NANOS_PER_MS else f"ts_ms {ts} looks like {unit.name}, not milliseconds"
    )


def usual_step(ts: Sequence[int]) -> int:
    """Return the most frequent distance of neighbours in ms; 0 without any."""
    counted = Counter(map(sub, ts[1:], ts)).most_common(1)
    return counted[0][0] if counted else 0


def step_name(step_ms: int) -> str:
    """Return a distance in ms in words: as a timeframe where it is a whole number of seconds.

    >>> step_name(900_000), step_name(61_000), step_name(1_500)
    ('15m', '61s', '1500 ms')
    """
    nanos = step_ms * NANOS_PER_MS
    return f"{step_ms} ms" if nanos % NANOS_PER_S or nanos <= 0 else timeframe_name(Timeframe(nanos))


def _bars_of(gap: Missing) -> int:
    return gap.bars
