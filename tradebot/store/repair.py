"""A mended copy of a file of bars or funding: what can be used, in order; and a list of what was done and left out."""

import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.time import NANOS_PER_MS, Timeframe, Unit, unit_of
from tradebot.store.batches import RowFault, check_header, parse_row
from tradebot.store.candles import BAR_COLUMNS, bar_fault
from tradebot.store.columns import is_parquet, raw_lines
from tradebot.store.funding import FUNDING_COLUMNS, funding_fault
from tradebot.store.parquet import parquet_lines

MAX_LOST_PCT = 5
"""How much of a file may be left out before somebody must say that this is meant, in percent of its rows."""
_NAMED_LINES = 20
_Fault = Callable[[int, Sequence[Decimal], int | None], str | None]
"""What is wrong with a row, of its time, its numbers and the time of the row before."""


@dataclass(frozen=True, slots=True)
class Repair:
    """The mended file, and what was done to get it, a line each; none when nothing had to be."""

    path: Path
    rows: int
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MendedRow:
    """A row that could be read: its time in ms, its numbers, and how it is written."""

    line: int
    ts: int
    numbers: list[Decimal]
    text: str = ""


class _Actions:
    """What was done. ``lost`` counts the rows that held something and are left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[tuple[int, str]] = []
        self._first: list[str] = []
        self._more: Counter[str] = Counter()
        self.lost = 0
        self.first_loss = ""
        self.damage: str | None = None

    def leave_out(self, line: int, what: str, kind: str, *, is_loss: bool = True) -> None:
        self.lost += is_loss
        if is_loss and not self.first_loss:
            self.first_loss = f"the first is line {line}: {what}"
        if len(self._lines) < _NAMED_LINES:
            self._lines.append((line, f"{self._path}:{line}: left out: {what}"))
        else:
            self._more[kind] += 1

    def say(self, what: str) -> None:
        self._first.append(f"{self._path}: {what}")

    def all(self) -> tuple[str, ...]:
        more = [f"{self._path}: left out {count} more: {kind}" for kind, count in sorted(self._more.items())]
        return (*self._first, *(text for _, text in sorted(self._lines)), *more)


def repair(path: Path, timeframe: Timeframe, target: Path | None = None, *, is_forced: bool = False) -> Repair:
    """Write what can be used of ``path`` to ``target``, rows sorted, bad and repeated ones left out.

    Times in seconds, microseconds or nanoseconds become milliseconds. ``target`` (default: beside it, with
    ``.repaired`` in its name) is CSV, compressed when its name ends in .gz. The original is never touched; of rows
    with one time, the first stays. The whole file is held in memory. Raises ``DataError`` when nothing can be
    used, when ``target`` cannot be written, and, unless ``is_forced``, when more than ``MAX_LOST_PCT`` of the rows
    would be left out or nobody can tell how many. Nothing is written then.
    """

    def fault(ts: int, numbers: Sequence[Decimal], last: int | None) -> str | None:
        return bar_fault(ts, numbers, last, timeframe)

    return _Mending(path, BAR_COLUMNS, fault).run(target, is_forced)


def repair_funding(path: Path, target: Path | None = None, *, is_forced: bool = False) -> Repair:
    """Do for a file of funding rates what ``repair`` does for one of bars."""
    return _Mending(path, FUNDING_COLUMNS, funding_fault).run(target, is_forced)


def usable_rows(
    where: Path,
    timeframe: Timeframe,
    rows: list[MendedRow],
    unread: Sequence[tuple[int, str]],
    *,
    is_forced: bool = False,
) -> tuple[list[MendedRow], tuple[str, ...]]:
    """Return what can be used of bars that another reader found, by the rules of ``repair``, and what was done.

    ``unread`` are the lines that were no bars, each with the reason. Raises ``DataError`` as ``repair`` does.
    """

    def fault(ts: int, numbers: Sequence[Decimal], last: int | None) -> str | None:
        return bar_fault(ts, numbers, last, timeframe)

    return _Mending(where, BAR_COLUMNS, fault).sift(rows, unread, is_forced)


class _Mending:
    def __init__(self, path: Path, header: Sequence[str], fault: _Fault) -> None:
        self._path = path
        self._header = header
        self._fault = fault
        self._actions = _Actions(path)

    def run(self, target: Path | None, is_forced: bool) -> Repair:
        kept = self._kept(self._possible(self._in_ms(self._parsed())), is_forced)
        target = target or _beside(self._path)
        _write(target, self._header, kept)
        return Repair(target, len(kept), self._actions.all())

    def sift(
        self, rows: list[MendedRow], unread: Sequence[tuple[int, str]], is_forced: bool
    ) -> tuple[list[MendedRow], tuple[str, ...]]:
        for line, what in unread:
            self._actions.leave_out(line, what, "lines that are no row of numbers")
        return self._kept(self._possible(rows), is_forced), self._actions.all()

    def _kept(self, rows: list[MendedRow], is_forced: bool) -> list[MendedRow]:
        actions = self._actions
        disordered = sum(after.ts < before.ts for before, after in pairwise(rows))
        if disordered:
            actions.say(f"sorted: {disordered} lines were earlier than the one above")
        rows.sort(key=lambda row: row.ts)
        kept = self._usable(rows)
        if not kept:
            raise DataError("no line of it can be used", where=str(self._path), mend="fetch the data again")
        if not is_forced:
            self._check_loss(len(kept))
        return kept

    def _parsed(self) -> list[MendedRow]:
        parsed: list[MendedRow] = []
        for line, text in self._lines():
            try:
                ts, numbers = parse_row(text, len(self._header))
            except RowFault as fault:
                # An empty line, and the header of a file that was put behind another, held no row.
                is_loss = bool(text.strip()) and text.strip() != ",".join(self._header)
                self._actions.leave_out(line, str(fault), "lines that are no row of numbers", is_loss=is_loss)
                continue
            parsed.append(MendedRow(line, ts, numbers, text.strip()))
        return parsed

    def _possible(self, given: Iterable[MendedRow]) -> list[MendedRow]:
        rows = []
        for row in given:
            what = self._fault(row.ts, row.numbers, None)
            if what is None:
                rows.append(row)
            else:
                self._actions.leave_out(row.line, what, "rows that cannot be")
        return rows

    def _in_ms(self, rows: list[MendedRow]) -> Iterator[MendedRow]:
        # A file that begins in 1970 is of an invented market, whose milliseconds look like the seconds of ours.
        if not rows or unit_of(rows[0].ts) is None:
            yield from rows
            return
        converted: Counter[Unit] = Counter()
        for row in rows:
            unit = unit_of(row.ts)
            if unit is None or unit.nanos == NANOS_PER_MS or row.ts * unit.nanos % NANOS_PER_MS:
                yield row
                continue
            converted[unit] += 1
            ts = row.ts * unit.nanos // NANOS_PER_MS
            yield MendedRow(row.line, ts, row.numbers, ",".join([str(ts), *row.text.split(",")[1:]]))
        for unit, count in sorted(converted.items()):
            self._actions.say(f"converted: {count} times from {unit.name} to milliseconds ({_how(unit)})")

    def _usable(self, rows: list[MendedRow]) -> list[MendedRow]:
        kept: list[MendedRow] = []
        for row in rows:
            last = kept[-1] if kept else None
            what = self._fault(row.ts, row.numbers, None if last is None else last.ts)
            if what is None:
                kept.append(row)
                continue
            if last is not None:
                what = what.replace("the line above", f"line {last.line}")
            is_repeat = last is not None and (row.ts, row.numbers) == (last.ts, last.numbers)
            self._actions.leave_out(row.line, what, "times too close or repeated", is_loss=not is_repeat)
        return kept

    def _check_loss(self, kept: int) -> None:
        lost, where = self._actions.lost, str(self._path)
        if self._actions.damage is not None:
            raise DataError(
                f"a repair would lose an unknown part of it: {self._actions.damage}",
                where=where,
                mend="fetch the file again, or add --force to keep what can be read",
            )
        if lost * 100 > MAX_LOST_PCT * (lost + kept):
            raise DataError(
                f"a repair would leave out {lost} of {lost + kept} rows, more than {MAX_LOST_PCT} %;"
                f" {self._actions.first_loss}",
                where=where,
                mend="look at the file and at the timeframe that was named, or add --force",
            )

    def _lines(self) -> Iterator[tuple[int, str]]:
        if is_parquet(self._path):
            yield from parquet_lines(self._path, self._header)
            return
        lines = raw_lines(self._path)
        line, first = next(lines, (1, ""))
        if self._is_row(first):
            self._actions.say("added the missing header")
            yield line, first
        else:
            check_header(self._path, first, self._header)
        try:
            for line, text in lines:
                yield line, text
        except DataError as error:
            # Of a file that was cut off, nothing that it holds is lost.
            if not isinstance(error.__cause__, EOFError):
                self._actions.damage = error.what
            self._actions.leave_out(line + 1, f"all from here on: {error.what}", "damaged ends", is_loss=False)

    def _is_row(self, text: str) -> bool:
        try:
            parse_row(text, len(self._header))
        except RowFault:
            return False
        return True


def _how(unit: Unit) -> str:
    if unit.nanos > NANOS_PER_MS:
        return f"multiplied by {unit.nanos // NANOS_PER_MS:,}"
    return f"divided by {NANOS_PER_MS // unit.nanos:,}"


def _beside(path: Path) -> Path:
    stem = path.name
    for suffix in (".gz", ".csv", ".parquet"):
        stem = stem.removesuffix(suffix)
    return path.with_name(f"{stem}.repaired.csv" + (".gz" if path.name.endswith(".gz") else ""))


def _write(target: Path, header: Sequence[str], rows: list[MendedRow]) -> None:
    text = "\n".join([",".join(header), *(row.text for row in rows), ""]).encode()
    # mtime=0: the same rows give the same bytes, hence the same digest.
    content = gzip.compress(text, mtime=0) if target.name.endswith(".gz") else text
    draft = target.with_name(target.name + ".part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DataError(f"the mended copy cannot be written: {error.strerror}", where=str(target)) from error
