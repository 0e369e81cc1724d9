"""Whether coarse bars are what finer ones of the same symbol add up to."""

from collections.abc import Callable
from decimal import Decimal
from itertools import groupby
from typing import TypeAlias

from tradebot.model.money import plain
from tradebot.model.time import Timeframe, floor_to, from_ms, timeframe_name, to_ms
from tradebot.report.table import moment
from tradebot.store.batches import Batch
from tradebot.store.flaws import Flaw, FlawKind

Heard: TypeAlias = Callable[[Batch], None]
"""What is told of each batch that was read."""
_Prices: TypeAlias = tuple[Decimal, Decimal, Decimal, Decimal]
_NAMES = ("open", "high", "low", "close")
# Bars that miss their counterpart are forgotten once both series have passed them; looking costs, so seldom.
_MANY = 4096


class Agreement:
    """Compares open, high, low and close of coarse bars with those of whole sets of fine ones.

    Both series come in batches, oldest first, in any interleaving. A set with a gap in it says nothing.
    """

    def __init__(self, fine: Timeframe, coarse: Timeframe) -> None:
        self._fine, self._coarse = fine, coarse
        self._made: dict[int, tuple[int, _Prices]] = {}
        self._given: dict[int, _Prices] = {}
        self._newest_made = self._newest_given = -1
        self._differing: dict[int, tuple[_Prices, _Prices]] = {}

    def take_fine(self, batch: Batch) -> None:
        """Take fine bars."""
        for ts, group in groupby(zip(batch.ts, *batch.columns[:4], strict=True), self._bucket):
            _, opens, highs, lows, closes = zip(*group, strict=True)
            prices = opens[0], max(highs), min(lows), closes[-1]
            before, begun = self._made.get(ts, (0, prices))
            self._made[ts] = before + len(opens), _joined(begun, prices)
            self._newest_made = ts
            self._compare(ts)
        self._forget()

    def take_coarse(self, batch: Batch) -> None:
        """Take coarse bars."""
        for ts, *prices in zip(batch.ts, *batch.columns[:4], strict=True):
            self._given[ts] = prices[0], prices[1], prices[2], prices[3]
            self._newest_given = ts
            self._compare(ts)
        self._forget()

    def contradiction(self) -> str | None:
        """Return in how many bars the series differ, and the first of them; ``None`` when they agree."""
        if not self._differing:
            return None
        ts = min(self._differing)
        count = len(self._differing)
        bars = "one bar differs" if count == 1 else f"{count} bars differ"
        fine = timeframe_name(self._fine)
        return f"{bars} from the {fine} bars of that time, first at {moment(ts)}: {_words(*self._differing[ts])}"

    def flaws(self) -> list[Flaw]:
        """Return each coarse bar that differs, oldest first."""
        step, fine = to_ms(self._coarse), timeframe_name(self._fine)
        return [
            Flaw(FlawKind.MISMATCH, ts, ts + step, f"{_words(*self._differing[ts])} of the {fine} bars")
            for ts in sorted(self._differing)
        ]

    def _bucket(self, row: tuple[int, Decimal, Decimal, Decimal, Decimal]) -> int:
        return to_ms(floor_to(from_ms(row[0]), self._coarse))

    def _compare(self, ts: int) -> None:
        given, (parts, made) = self._given.get(ts), self._made.get(ts, (0, None))
        if given is None or made is None or parts < self._coarse // self._fine:
            return
        del self._given[ts], self._made[ts]
        if given != made:
            self._differing[ts] = made, given

    def _forget(self) -> None:
        if len(self._made) + len(self._given) < _MANY:
            return
        passed = min(self._newest_made, self._newest_given)
        self._made = {ts: made for ts, made in self._made.items() if ts >= passed}
        self._given = {ts: given for ts, given in self._given.items() if ts >= passed}


def _words(made: _Prices, given: _Prices) -> str:
    return ", ".join(
        f"{name} {plain(here)} for {plain(there)}"
        for name, here, there in zip(_NAMES, given, made, strict=True)
        if here != there
    )


def _joined(one: _Prices, other: _Prices) -> _Prices:
    return one[0], max(one[1], other[1]), min(one[2], other[2]), other[3]
