"""Bars of a file of any program, as they stand in it: what could be read, and what could not, each with its line."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from tradebot.data.layout import Hints, Layout, find_layout
from tradebot.data.numbers import Column, extended, parse_column, parse_number
from tradebot.data.tables import Block, open_table, refuse
from tradebot.data.typed import Cells, Millis
from tradebot.store.batches import RowFault
from tradebot.store.candles import BAR_COLUMNS


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that is no bar: why, and its time where that could be read."""

    line: int
    what: str
    ts: int | None


@dataclass(slots=True)
class Rows:
    """Bars as they stand in a file: times of opening in ms, open, high, low, close and volume."""

    where: str
    format: str
    taken: tuple[str, ...] = ()
    """What each column was taken for."""
    notes: list[str] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    ts: "array[int]" = field(default_factory=lambda: array("q"))
    columns: list[Column] = field(default_factory=lambda: [array("d") for _ in BAR_COLUMNS[1:]])
    unread: list[Unread] = field(default_factory=list)


def read_rows(path: Path, hints: Hints) -> Rows:
    """Return the bars of ``path``. Raises ``DataError`` for a file that cannot be understood."""
    with open_table(path, hints.separator) as table:
        first = next(table.blocks, None)
        if first is None:
            what = table.ragged[0][1] if table.ragged else "there is no bar in it"
            refuse(table.where, what, "fetch the data again")
        layout = find_layout(table, first, hints)
        rows = Rows(table.where, table.format, layout.words)
        reading = _Reading(layout, rows)
        reading.take(first)
        for block in table.blocks:
            reading.take(block)
        rows.notes = table.notes
        rows.unread += [Unread(line, what, None) for line, what in table.ragged]
        rows.unread.sort(key=lambda each: each.line)
    return rows


class _Reading:
    def __init__(self, layout: Layout, rows: Rows) -> None:
        self._layout, self._rows = layout, rows

    def take(self, block: Block) -> None:
        """Add a block: whole where it is sound, else row by row."""
        try:
            ts = self._times(block)
            columns = [self._numbers(block, place) for place in (*self._layout.prices, self._layout.volume)]
        except ValueError:
            self._one_by_one(block)
        else:
            self._add(block.lines, ts, columns)

    def _add(self, lines: Sequence[int], ts: Sequence[int], columns: Sequence[Column]) -> None:
        rows = self._rows
        rows.lines.extend(lines)
        rows.ts.extend(ts)
        rows.columns = [extended(before, more) for before, more in zip(rows.columns, columns, strict=True)]

    def _times(self, block: Block) -> list[int]:
        cells = block.columns[self._layout.time[0]]
        if isinstance(cells, Millis):
            return cells
        return self._layout.stamps.parse(list(self._stamp_texts(block)))

    def _stamp_texts(self, block: Block) -> Iterator[str]:
        first, *more = (block.columns[place] for place in self._layout.time)
        if not more:
            return map(str, first)
        return (f"{day} {clock}" for day, clock in zip(first, more[0], strict=True))

    def _numbers(self, block: Block, place: int | None) -> Column:
        if place is None:
            return array("d", bytes(8 * len(block.lines)))
        cells: Cells = block.columns[place]
        if isinstance(cells, array):
            if not isfinite(sum(cells)):
                raise ValueError("not finite")
            return cells
        return parse_column(list(map(self._layout.number, map(str, cells))))

    def _one_by_one(self, block: Block) -> None:
        places = (*self._layout.prices, self._layout.volume)
        for row, line in enumerate(block.lines):
            ts: int | None = None
            try:
                ts = self._time_of(block, row)
                columns = [self._number_of(block, place, row) for place in places]
            except RowFault as fault:
                self._rows.unread.append(Unread(line, str(fault), ts))
                continue
            self._add([line], [ts], columns)

    def _time_of(self, block: Block, row: int) -> int:
        cells = [block.columns[place][row] for place in self._layout.time]
        return cells[0] if isinstance(cells[0], int) else self._layout.stamps.parse_one(" ".join(map(str, cells)))

    def _number_of(self, block: Block, place: int | None, row: int) -> Column:
        read: Callable[[str], str] = self._layout.number
        cell = "0" if place is None else str(block.columns[place][row])
        parse_number(read(cell))
        return parse_column([read(cell)])
