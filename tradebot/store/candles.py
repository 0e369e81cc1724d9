"""Bar files: checked whole before a run, then streamed in constant memory.

A file is refused, with its line, unless its times are sound (see ``series``), prices are above 0 and
consistent, and volumes are not negative. Gaps are counted, and coarse bars are held against finer ones of the
same symbol; neither is refused.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from operator import le
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.market import Bar, check_bar
from tradebot.model.time import NANOS_PER_MS, Nanos, Timeframe, from_ms, timeframe_name, to_ms
from tradebot.pipeline.columns import Kernels, SeriesColumns
from tradebot.report.table import duration
from tradebot.store.agreement import Agreement, Heard
from tradebot.store.batches import MEND, UNIT_MEND, Batch, fail
from tradebot.store.columns import count_rows, is_parquet, read_batches
from tradebot.store.digits import is_steady
from tradebot.store.flaws import Flaw, FlawKind, by_time, flaw_words
from tradebot.store.inspection import Inspection
from tradebot.store.scaled import ReadScaled, read_scaled, text_bytes
from tradebot.store.series import Missing, Times, step_name, unit_fault, usual_step

BAR_COLUMNS = ("ts_ms", "open", "high", "low", "close", "volume")
# Products of larger numbers could not be booked at 1e-8 with the 28 digits of the decimal context.
_TOO_LARGE = Decimal("1e18")


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
    first_gap: Missing | None
    largest_gap: Missing | None
    notes: tuple[str, ...]
    """What else somebody should know, such as bars that contradict those of another file."""
    flaws: tuple[Flaw, ...] = ()
    """What an inspection found, where there was one, and the bars that contradict those of another file."""


class BarFile:
    """The bars of one symbol and timeframe in one file. Each iteration starts at the first bar.

    Iterating raises ``DataError`` at the first batch that holds a bad row: check the file before anything is
    traded that a later row could not undo. Without a timeframe (``None``) only ``batches`` can be read.
    """

    def __init__(self, path: Path, symbol: str, timeframe: Timeframe | None) -> None:
        self.path = path
        self.symbol = symbol
        self._timeframe = timeframe
        self._times = Times(timeframe)
        self._heard_by: tuple[Heard, ...] = ()
        self._agreement: Agreement | None = None
        self._is_cut = False
        self._is_inspected = False
        self._inspection: Inspection | None = None

    @property
    def timeframe(self) -> Timeframe:
        """How long the bars are."""
        assert self._timeframe is not None  # noqa: S101 - who gives none reads columns only  # nosec B101
        return self._timeframe

    def __iter__(self) -> Iterator[Bar]:
        return self.skip(0)

    def skip(self, count: int) -> Iterator[Bar]:
        """Give the bars after the first ``count``, which are not parsed."""
        symbol, timeframe = repeat(self.symbol), repeat(self.timeframe)
        for batch in self.batches(count):
            closes = [ms * NANOS_PER_MS + self.timeframe for ms in batch.ts]
            yield from map(Bar, symbol, timeframe, closes, *batch.columns)

    def batches(self, skip: int = 0) -> Iterator[Batch]:
        """Give the checked rows after the first ``skip`` as columns: times of opening, OHLC and volume."""
        times = self._times = Times(self._timeframe, is_whole=not skip)
        self._inspection = Inspection(self.timeframe) if self._is_inspected and not skip else None
        hearers = self._heard_by if self._inspection is None else (*self._heard_by, self._inspection.take)
        for batch in read_batches(self.path, BAR_COLUMNS, skip, self._note_cut):
            if not (is_sound(batch.columns) and times.take(batch.ts)):
                self._explain(batch, times)
            for hear in hearers:
                hear(batch)
            yield batch
        if times.last is None and not skip:
            raise DataError("there is no bar after the header", where=f"{self.path}:1", mend="fetch the data again")
        what = times.spacing_fault()
        if what is not None:
            mend = self._declare(times.common_step)
            raise DataError(what, where=f"{self.path}:{_second_row(self.path)}", mend=mend)

    def columns(self, kernels: Kernels, read: ReadScaled = read_scaled) -> SeriesColumns | None:
        """Return all bars as columns, by ``kernels``; ``None`` where they must be read one by one, and may be bad."""
        if self._heard_by:
            return None
        times = self._times = Times(self._timeframe)
        try:
            found = read(self.path, BAR_COLUMNS, kernels, self._note_cut)
        except DataError:
            return None
        if found is None or not times.take_array(found.times, kernels[is_steady]) or times.spacing_fault():
            return None
        if self._is_inspected:
            self._inspection = Inspection(self.timeframe)
            self._inspection.take_scaled(found)
        closes = found.times * NANOS_PER_MS
        closes += self.timeframe
        return SeriesColumns(self.symbol, self.timeframe, closes, found.numbers, found.places, found.own)

    def weight(self) -> int:
        """Return about how many bytes its rows have as text. Raises ``DataError`` when it cannot be read."""
        return text_bytes(self.path)

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
        for _ in self.batches():
            pass
        return self.summary()

    def summary(self) -> FileSummary:
        """Return what the newest iteration has found so far."""
        times = self._times
        flaws = self._flaws()
        return FileSummary(
            path=self.path,
            symbol=self.symbol,
            timeframe=self.timeframe,
            rows=times.rows,
            ts_first=from_ms(times.first or 0),
            ts_last=Nanos(from_ms(times.last or 0) + self.timeframe),
            gaps=times.gaps,
            missing=times.missing,
            first_gap=times.first_gap,
            largest_gap=times.largest_gap,
            notes=tuple(self._notes(flaws)),
            flaws=flaws,
        )

    def last_ts(self) -> int:
        """Return the time of the newest row that was read, in ms; -1 before the first."""
        return -1 if self._times.last is None else self._times.last

    def inspect(self) -> None:
        """Look, while the file is read whole, for what is wrong with bars that can be read."""
        self._is_inspected = True

    def be_held_against(self, finer: "BarFile") -> None:
        """Compare these bars, while both are read, with those of ``finer``, which has others of the same symbol."""
        self._agreement = Agreement(finer.timeframe, self.timeframe)
        finer._heard_by = (*finer._heard_by, self._agreement.take_fine)
        self._heard_by = (*self._heard_by, self._agreement.take_coarse)

    def _note_cut(self) -> None:
        self._is_cut = True

    def _flaws(self) -> tuple[Flaw, ...]:
        found = [] if self._inspection is None else self._inspection.flaws(self._times)
        differing = () if self._agreement is None else self._agreement.flaws()
        return tuple(sorted([*found, *differing], key=by_time))

    def _notes(self, flaws: Sequence[Flaw]) -> Iterator[str]:
        late = self._times.late_by()
        if late:
            yield f"bars open {duration(late // 1000)} after whole {timeframe_name(self.timeframe)}"
        if self._is_cut:
            yield "the last line has no line end: it may have been cut"
        contradiction = None if self._agreement is None else self._agreement.contradiction()
        if contradiction is not None:
            yield contradiction
        # Gaps are counted apart, and differences told above.
        yield from flaw_words(flaw for flaw in flaws if flaw.kind not in (FlawKind.GAP, FlawKind.MISMATCH))
        closures = self._times.gaps - sum(flaw.kind is FlawKind.GAP for flaw in flaws)
        if self._inspection is not None and closures:
            yield f"{closures:,} of the gaps are nights, weekends or holidays"

    def _explain(self, batch: Batch, times: Times) -> None:
        last = times.last
        for line, (ts, *numbers) in enumerate(zip(batch.ts, *batch.columns, strict=True), batch.line):
            what = times.fault(ts, last) or numbers_fault(numbers)
            if what is not None:
                fail(self.path, line, what, self._mend(ts, batch.ts))
            last = ts

    def _mend(self, ts: int, batch: Sequence[int]) -> str:
        if unit_fault(ts) is not None:
            return UNIT_MEND
        usual = usual_step(batch)
        if self._timeframe is None or not _is_round(usual):
            return MEND
        step = to_ms(self._timeframe)
        return self._declare(usual) if usual != step and (usual % step == 0 or step % usual == 0) else MEND

    def _declare(self, step_ms: int) -> str:
        return f"say how long they are: {self.symbol}:{step_name(step_ms)}={self.path.name}"


def bar_fault(ts: int, numbers: Sequence[Decimal], last: int | None, timeframe: Timeframe) -> str | None:
    """Return what is wrong with a row that opens at ``ts`` ms after one at ``last`` ms, or ``None``.

    In which unit its time is, only the first row of a file can tell.
    """
    return Times(timeframe, is_whole=False).fault(ts, last) or numbers_fault(numbers)


def numbers_fault(numbers: Sequence[Decimal]) -> str | None:
    """Return what is wrong with the prices and the volume of a row, or ``None``."""
    open_, high, low, close, volume = numbers
    what = check_bar(open_, high, low, close, volume)
    if what is None and max(high, volume) >= _TOO_LARGE:
        what = f"{max(high, volume):.6g} is too large for a price or volume"
    return what


def check_files(files: Iterable[BarFile]) -> tuple[FileSummary, ...]:
    """Check every file whole, before anything is traded on. Raises ``DataError`` at the first bad line.

    Files of one symbol are held against each other, for which they are read side by side.
    """
    checked = [BarFile(file.path, file.symbol, file.timeframe) for file in files]
    for together in hold_against_each_other(checked):
        reading = {file: file.batches() for file in together}
        while reading:
            behind = min(reading, key=BarFile.last_ts)
            if next(reading[behind], None) is None:
                del reading[behind]
    return tuple(file.summary() for file in checked)


def hold_against_each_other(files: Iterable[BarFile]) -> Iterable[Sequence[BarFile]]:
    """Inspect files while they are read, and coarse bars against the next finer ones; return those of each symbol."""
    by_symbol: dict[str, list[BarFile]] = {}
    for file in files:
        file.inspect()
        by_symbol.setdefault(file.symbol, []).append(file)
    for together in by_symbol.values():
        together.sort(key=lambda file: file.timeframe)
        for place, coarse in enumerate(together):
            finer = [file for file in together[:place] if coarse.timeframe % file.timeframe == 0]
            if finer and finer[-1].timeframe < coarse.timeframe:
                coarse.be_held_against(finer[-1])
    return by_symbol.values()


def is_sound(columns: Sequence[Sequence[Decimal]] | Sequence[Sequence[float]]) -> bool:
    """Return whether all of these prices and volumes can be; ``numbers_fault`` says of a row what cannot."""
    open_, high, low, close, volume = columns
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
        )
    except ArithmeticError:  # comparing a NaN
        return False


def _is_round(step_ms: int) -> bool:
    return step_ms > 0 and step_ms % 1000 == 0


def _second_row(path: Path) -> int:
    return 2 if is_parquet(path) else 3
