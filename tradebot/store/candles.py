"""Bar files: checked whole before a run, then streamed in constant memory.

A file is refused, with its line, unless times ascend by at least one timeframe, prices are above 0 and
consistent, and volumes are not negative. Gaps are counted, not refused.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, repeat
from operator import le, sub
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.making import maker
from tradebot.model.market import Bar, check_bar
from tradebot.model.time import NANOS_PER_MS, Nanos, Timeframe, floor_to, from_ms, timeframe_name
from tradebot.store.columns import Batch, count_rows, ends_with_newline, fail, is_parquet, read_batches

BAR_COLUMNS = ("ts_ms", "open", "high", "low", "close", "volume")
FUNDING_COLUMNS = ("ts_ms", "rate")
# Nanoseconds of later times do not fit into the 64 bits of the journal's columns (the year 2262).
MAX_TS_MS = 9_000_000_000_000
# Products of larger numbers could not be booked at 1e-8 with the 28 digits of the decimal context.
_TOO_LARGE = Decimal("1e18")
_new_bar = maker(Bar)


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What the check of a bar file found. ``gaps`` are the holes, ``missing`` the bars that would fill them."""

    path: Path
    symbol: str
    timeframe: Timeframe
    rows: int
    ts_first: Nanos
    """When the first bar opened."""
    ts_last: Nanos
    """When the last bar closed."""
    gaps: int
    missing: int
    notes: tuple[str, ...]


class BarFile:
    """The bars of one symbol and timeframe in one file. Each iteration starts at the first bar.

    Iterating raises ``DataError`` at the first batch that holds a bad row: check the file before anything is
    traded that a later row could not undo.
    """

    def __init__(self, path: Path, symbol: str, timeframe: Timeframe) -> None:
        self.path = path
        self.symbol = symbol
        self.timeframe = timeframe

    def __iter__(self) -> Iterator[Bar]:
        return self.skip(0)

    def skip(self, count: int) -> Iterator[Bar]:
        """Give the bars after the first ``count``, which are not parsed."""
        symbol, timeframe = repeat(self.symbol), repeat(self.timeframe)
        for batch in self.batches(count):
            closes = [ms * NANOS_PER_MS + self.timeframe for ms in batch.ts]
            yield from map(_new_bar, symbol, timeframe, closes, *batch.columns)

    def batches(self, skip: int = 0) -> Iterator[Batch]:
        """Give the checked rows after the first ``skip`` as columns: times of opening, OHLC and volume."""
        last: int | None = None
        for batch in read_batches(self.path, BAR_COLUMNS, skip):
            if not _is_sound(batch, last, self.timeframe // NANOS_PER_MS):
                self._explain(batch, last)
            last = batch.ts[-1]
            yield batch
        if last is None and not skip:
            raise DataError("there is no bar after the header", where=f"{self.path}:1", mend="fetch the data again")

    def count(self) -> int:
        """Return the number of bars, without parsing them."""
        return count_rows(self.path, BAR_COLUMNS)

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hex."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=str(self.path)) from error

    def check(self) -> FileSummary:
        """Read the whole file and return what it holds. Raises ``DataError`` at the first bad line."""
        step = self.timeframe // NANOS_PER_MS
        rows = gaps = missing = 0
        first = last = 0
        for batch in self.batches():
            ts = batch.ts
            if not rows:
                first = last = ts[0]
            holes = [hole for hole in map(sub, ts, chain((last,), ts)) if hole >= 2 * step]
            gaps += len(holes)
            missing += sum(hole // step - 1 for hole in holes)
            rows += len(ts)
            last = ts[-1]
        ts_last = Nanos(from_ms(last) + self.timeframe)
        notes = self._notes(from_ms(first))
        return FileSummary(self.path, self.symbol, self.timeframe, rows, from_ms(first), ts_last, gaps, missing, notes)

    def _notes(self, first: Nanos) -> tuple[str, ...]:
        notes = []
        if first != floor_to(first, self.timeframe):
            notes.append(f"bars do not open on whole {timeframe_name(self.timeframe)}")
        if not is_parquet(self.path) and not ends_with_newline(self.path):
            notes.append("the last line has no line end: it may have been cut")
        return tuple(notes)

    def _explain(self, batch: Batch, last: int | None) -> None:
        for line, (ts, *numbers) in enumerate(zip(batch.ts, *batch.columns, strict=True), batch.line):
            what = bar_fault(ts, numbers, last, self.timeframe)
            if what is not None:
                fail(self.path, line, what)
            last = ts


def bar_fault(ts: int, numbers: Sequence[Decimal], last: int | None, timeframe: Timeframe) -> str | None:
    """Return what is wrong with a row that opens at ``ts`` ms after one at ``last`` ms, or ``None``."""
    if not 0 <= ts < MAX_TS_MS:
        return f"ts_ms {ts} is not a time in milliseconds since 1970"
    if last is not None and ts < last:
        return f"ts_ms {ts} is before {last}, that of the line above"
    if ts == last:
        return f"ts_ms {ts} stands on the line above too"
    if last is not None and ts - last < timeframe // NANOS_PER_MS:
        return f"ts_ms {ts} is less than {timeframe_name(timeframe)} after {last}, that of the line above"
    open_, high, low, close, volume = numbers
    what = check_bar(open_, high, low, close, volume)
    if what is None and max(high, volume) >= _TOO_LARGE:
        what = f"{max(high, volume):.6g} is too large for a price or volume"
    return what


def check_files(files: Iterable[BarFile]) -> tuple[FileSummary, ...]:
    """Check every file whole, before anything is traded on. Raises ``DataError`` at the first bad line."""
    return tuple(file.check() for file in files)


def read_funding(path: Path) -> Iterator[tuple[Nanos, Decimal]]:
    """Give the times and rates of ``path``, times ascending, a rate being a fraction of the notional.

    Raises ``DataError`` with the line.
    """
    last = -1
    for batch in read_batches(path, FUNDING_COLUMNS):
        for line, (ts, rate) in enumerate(zip(batch.ts, batch.columns[0], strict=True), batch.line):
            if not last < ts < MAX_TS_MS:
                fail(path, line, f"ts_ms {ts} does not ascend, or is not in milliseconds since 1970")
            if not (rate.is_finite() and -1 < rate < 1):
                fail(path, line, f"rate {rate} is not between -1 and 1")
            last = ts
            yield from_ms(ts), rate


def _is_sound(batch: Batch, last: int | None, step: int) -> bool:
    ts = batch.ts
    open_, high, low, close, volume = batch.columns
    try:
        return (
            all(map(le, low, open_))
            and all(map(le, open_, high))
            and all(map(le, low, close))
            and all(map(le, close, high))
            and min(low) > 0
            and min(volume) >= 0
            and max(high) < _TOO_LARGE
            and max(volume) < _TOO_LARGE
            and min(map(sub, ts[1:], ts), default=step) >= step
            and (last is None or ts[0] - last >= step)
            and ts[0] >= 0
            and ts[-1] < MAX_TS_MS
        )
    except ArithmeticError:  # comparing a NaN
        return False
