"""Prices that no neighbour bears out: a wick far beyond all around it, an opening far from the close before.

Far is told by how much bars move there: the median range of the bars around. On 1.4 million bars of real markets the
limits name one in some 100,000, most of which are faults: see docs/explanation/data.md.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from math import log

from tradebot.model.money import plain
from tradebot.model.time import Timeframe, to_ms
from tradebot.store.batches import Batch
from tradebot.store.flaws import Flaw, FlawKind
from tradebot.store.scaled import Scaled

_BLOCK = 128
_CHUNK = 512 * _BLOCK
# Nothing nearer than this is an outlier, however quiet the market.
_LEAST_JUMP, _LEAST_WICK = 0.02, 0.03
_NEAR, _NEAR_BELOW = 1 + _LEAST_JUMP, 1 / (1 + _LEAST_JUMP)
_WICK_RANGES = 25
_JUMP_RANGES = 8
# Over a gap a market may go anywhere it likes in that time.
_GAP_RANGES = 25
# Nearly twice the price, or half of it: so far no single bar of a market that is traded went and came back.
_CERTAIN = 0.65
_LEAST_RANGE = 1e-4


class Spikes:
    """Takes the bars of a series in batches, and keeps few."""

    def __init__(self, timeframe: Timeframe) -> None:
        self._step = to_ms(timeframe)
        self._ts: list[int] = []
        self._columns: list[list[Decimal]] = [[], [], [], []]
        self._is_begun = False
        self._found: dict[int, str] = {}

    def take(self, batch: Batch) -> None:
        """Take the next bars."""
        self._ts += batch.ts
        for column, more in zip(self._columns, batch.columns[:4], strict=True):
            column += more
        while len(self._ts) >= _BLOCK + 2:
            self._look(_BLOCK + 2)
            self._forget(_BLOCK)

    def take_scaled(self, bars: Scaled) -> None:
        """Take a whole series at once; finds what ``take`` finds."""
        rows = bars.times.size
        whole = max(0, (rows - 2) // _BLOCK)
        windows = {block for place in _candidates(bars) for block in _blocks_of(place) if block <= whole}
        for block in sorted(windows):
            first = block * _BLOCK
            part = slice(first, first + _BLOCK + 2 if block < whole else rows)
            columns = [(prices[part] / 10.0**bars.places).tolist() for prices in bars.numbers[:4]]
            self._search(_Window(bars.times[part].tolist(), columns, self._step))

    def flaws(self) -> Iterator[Flaw]:
        """Give what was found, once all bars were taken."""
        self._look(len(self._ts))
        for ts in sorted(self._found):
            yield Flaw(FlawKind.OUTLIER, ts, ts + self._step, self._found[ts])

    def _forget(self, count: int) -> None:
        self._is_begun = True
        del self._ts[:count]
        for column in self._columns:
            del column[:count]

    def _look(self, count: int) -> None:
        """Look at the first ``count`` bars; the first and the last are only neighbours, but at the ends of a series."""
        _, high, low, _ = self._columns
        if count < 2 or float(max(high[:count])) < float(min(low[:count])) * _NEAR:
            return
        window = _Window(self._ts[:count], [list(map(float, column[:count])) for column in self._columns], self._step)
        self._search(window)

    def _search(self, window: "_Window") -> None:
        for place, what in window.faults():
            self._found.setdefault(window.ts[place], what)


def _candidates(bars: Scaled) -> Iterator[int]:
    """Give the places of bars that are wide, or open apart from the close before: few, of most series."""
    import numpy as np

    unit = 10.0**bars.places
    for at in range(0, bars.times.size, _CHUNK):
        open_, high, low, close = (prices[at : at + _CHUNK + 1] / unit for prices in bars.numbers[:4])
        jumps = open_[1:] / close[:-1]
        yield from (np.flatnonzero(high / low > _NEAR) + at).tolist()
        yield from (np.flatnonzero((jumps >= _NEAR) | (jumps <= _NEAR_BELOW)) + at + 1).tolist()


def _blocks_of(place: int) -> tuple[int, ...]:
    """Return the blocks that have the bar at ``place``, the two neighbours behind each included."""
    block, within = divmod(place, _BLOCK)
    return (block, block - 1) if within < 2 and block else (block,)


class _Window:
    """A few bars as floats, all above 0."""

    def __init__(self, ts: Sequence[int], columns: Sequence[Sequence[float]], step: int) -> None:
        self.ts, self._step = ts, step
        self._open, self._high, self._low, self._close = columns

    @cached_property
    def _range(self) -> float:
        """How far a bar goes from its low to its high, in the middle of them all."""
        ranges = sorted(high / low - 1 for high, low in zip(self._high, self._low, strict=True))
        usual = ranges[len(ranges) // 2]
        # In a market that often stands still, the median says nothing.
        return max(usual, sum(ranges) / len(ranges) / 2 if usual == 0 else 0.0, _LEAST_RANGE)

    def faults(self) -> Iterator[tuple[int, str]]:
        """Give the places of bars that stand out, and why."""
        pairs = zip(self._open[1:], self._close, strict=False)
        for place, (opened, closed) in enumerate(pairs, 1):
            if not _NEAR_BELOW < opened / closed < _NEAR and (culprit := self._jump(place)) is not None:
                yield culprit
        for place, (high, low) in enumerate(zip(self._high, self._low, strict=True)):
            if high / low > _NEAR and (what := self._wick(place)) is not None:
                yield place, what

    def _wick(self, place: int) -> str | None:
        around = [near for near in (place - 1, place + 1) if 0 <= near < len(self.ts)]
        body = self._open[place], self._close[place]
        top = max(*body, *(self._high[near] for near in around))
        bottom = min(*body, *(self._low[near] for near in around))
        above, below = log(self._high[place] / top), log(bottom / self._low[place])
        if max(above, below) <= max(_LEAST_WICK, min(_CERTAIN, _WICK_RANGES * self._range)):
            return None
        name, price, by = ("high", self._high, above) if above > below else ("low", self._low, below)
        return f"{name} {_text(price[place])} stands {_percent(by)} beyond all around it"

    def _jump(self, place: int) -> tuple[int, str] | None:
        before = self._close[place - 1]
        jump = abs(log(self._open[place] / before))
        is_next = self.ts[place] - self.ts[place - 1] == self._step
        if jump <= max(_LEAST_JUMP, min(_CERTAIN, (_JUMP_RANGES if is_next else _GAP_RANGES) * self._range)):
            return None
        what = f"open {_text(self._open[place])} is {_percent(jump)} from {_text(before)}, the close before"
        # Which of the two is out of line: the close, where it came far from its own past and the next bar went back.
        is_close = place >= 2 and abs(log(before / self._close[place - 2])) > jump / 2
        if not is_close:
            return place, what
        return place - 1, f"close {_text(before)} is {_percent(jump)} from {_text(self._open[place])}, the next open"


def _text(price: float) -> str:
    return plain(Decimal(repr(price)))


def _percent(distance: float) -> str:
    return f"{distance * 100:.1f} %" if distance < 1 else f"a factor of {2.718281828459045**distance:.3g}"
