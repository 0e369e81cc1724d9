"""A mended copy of a bar file: what can be used, in order; and a list of what was left out."""

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.time import Timeframe
from tradebot.store.candles import BAR_COLUMNS, bar_fault
from tradebot.store.columns import RowFault, check_header, is_parquet, parse_row, raw_lines

_NAMED_LINES = 20


@dataclass(frozen=True, slots=True)
class Repair:
    """The mended file, and what was done to get it, a line each; none when nothing had to be."""

    path: Path
    rows: int
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    ts: int
    numbers: list[Decimal]
    text: str


class _Actions:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._first: list[str] = []
        self._more: Counter[str] = Counter()

    def add(self, line: int, what: str, kind: str) -> None:
        if len(self._lines) < _NAMED_LINES:
            self._lines.append(f"{self._path}:{line}: left out: {what}")
        else:
            self._more[kind] += 1

    def say(self, what: str) -> None:
        self._first.append(f"{self._path}: {what}")

    def all(self) -> tuple[str, ...]:
        more = [f"{self._path}: left out {count} more: {kind}" for kind, count in sorted(self._more.items())]
        return (*self._first, *self._lines, *more)


def repair(path: Path, timeframe: Timeframe, target: Path | None = None) -> Repair:
    """Write what can be used of ``path`` to ``target``, rows sorted, bad and repeated ones left out.

    ``target`` (default: beside it, with ``.repaired`` in its name) is CSV, compressed when its name ends in .gz.
    The original is never touched; of rows with one time, the first stays. The whole file is held in memory.
    Raises ``DataError`` when nothing can be used, or when ``target`` cannot be written.
    """
    target = target or _beside(path)
    actions = _Actions(path)
    rows = _readable(path, timeframe, actions)
    disordered = sum(after.ts < before.ts for before, after in pairwise(rows))
    if disordered:
        actions.say(f"sorted: {disordered} lines were earlier than the one above")
    rows.sort(key=lambda row: row.ts)
    kept: list[_Row] = []
    for row in rows:
        what = bar_fault(row.ts, row.numbers, kept[-1].ts if kept else None, timeframe)
        if what is None:
            kept.append(row)
        else:
            actions.add(
                row.line, what.replace("the line above", f"line {kept[-1].line}"), "times too close or repeated"
            )
    if not kept:
        raise DataError("no line of it can be used", where=str(path), mend="fetch the data again")
    _write(target, kept)
    return Repair(target, len(kept), actions.all())


def _readable(path: Path, timeframe: Timeframe, actions: _Actions) -> list[_Row]:
    rows = []
    for line, text in _lines(path, actions):
        try:
            ts, numbers = parse_row(text, len(BAR_COLUMNS))
        except RowFault as fault:
            actions.add(line, str(fault), "lines that are no row of numbers")
            continue
        what = bar_fault(ts, numbers, None, timeframe)
        if what is None:
            rows.append(_Row(line, ts, numbers, text.strip()))
        else:
            actions.add(line, what, "bars that cannot be")
    return rows


def _lines(path: Path, actions: _Actions) -> Iterator[tuple[int, str]]:
    if is_parquet(path):
        from tradebot.store.parquet import parquet_lines

        yield from parquet_lines(path, BAR_COLUMNS)
        return
    lines = raw_lines(path)
    line, first = next(lines, (1, ""))
    if _is_row(first):
        actions.say("added the missing header")
        yield line, first
    else:
        check_header(path, first, BAR_COLUMNS)
    try:
        for line, text in lines:
            yield line, text
    except DataError as error:
        actions.add(line + 1, f"all from here on: {error.what}", "damaged ends")


def _is_row(text: str) -> bool:
    try:
        parse_row(text, len(BAR_COLUMNS))
    except RowFault:
        return False
    return True


def _beside(path: Path) -> Path:
    stem = path.name
    for suffix in (".gz", ".csv", ".parquet"):
        stem = stem.removesuffix(suffix)
    return path.with_name(f"{stem}.repaired.csv" + (".gz" if path.name.endswith(".gz") else ""))


def _write(target: Path, rows: list[_Row]) -> None:
    text = "\n".join([",".join(BAR_COLUMNS), *(row.text for row in rows), ""]).encode()
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
