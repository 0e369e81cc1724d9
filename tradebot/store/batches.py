"""Rows of a table, whatever file holds them: batches of columns, one row of text, and the error that names a line."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple, NoReturn

from tradebot.model.errors import DataError

MEND = "correct the line, or run again with --repair, which leaves such lines out of a mended copy"
UNIT_MEND = "write milliseconds, or run again with --repair, which converts them"
QUOTED_CHARS = 40


class Batch(NamedTuple):
    """Consecutive rows: times in epoch ms, and the other columns. ``line`` is that of the first row.

    Lines count from 1, the header included; those of a Parquet file are its rows.
    """

    line: int
    ts: list[int]
    columns: list[list[Decimal]]


class RowFault(ValueError):
    """What is wrong with one row."""


def parse_row(text: str, width: int) -> tuple[int, list[Decimal]]:
    """Return the time in epoch ms and the numbers of one line. Raises ``RowFault``."""
    fields = text.split(",")
    if not text.strip():
        raise RowFault("the line is empty")
    if len(fields) != width:
        raise RowFault(f"{len(fields)} columns instead of {width} in {quoted(text)}")
    if not is_plain(text):
        raise RowFault(f"{quoted(text)} is not made of plain numbers")
    try:
        ts = int(fields[0])
    except ValueError:
        raise RowFault(f"ts_ms {quoted(fields[0])} is not a whole number of milliseconds") from None
    return ts, [_number(field) for field in fields[1:]]


def row_by_row(path: Path, rows: Iterable[tuple[int, Callable[[], tuple[int, list[Decimal]]]]]) -> Iterator[Batch]:
    """Give the rows before the first whose reading raises ``RowFault`` as one batch; raise ``DataError`` for that one.

    The rows before come first, so that of several bad lines it is the first that is named.
    """
    read: list[tuple[int, list[Decimal]]] = []
    first, what = 0, ""
    for number, reading in rows:
        first = first or number
        try:
            read.append(reading())
        except RowFault as fault:
            what = str(fault)
            break
    if read:
        columns = [list(column) for column in zip(*(numbers for _, numbers in read), strict=True)]
        yield Batch(first, [ts for ts, _ in read], columns)
    if what:
        fail(path, first + len(read), what)


def check_header(path: Path, first: str, header: Sequence[str]) -> None:
    """Raise ``DataError`` unless ``first``, the first line of ``path``, names the columns of ``header``."""
    names = ",".join(header)
    if first.strip() != names:
        what = f"the header is {quoted(first)}" if first.strip() else "the file is empty or has no header"
        raise DataError(what, where=f"{path}:1", mend=f"the first line must be {names}")


def fail(path: Path, line: int, what: str, mend: str = MEND) -> NoReturn:
    """Raise the ``DataError`` that names ``line`` of ``path``."""
    raise DataError(what, where=f"{path}:{line}", mend=mend)


def quoted(text: str) -> str:
    """Return ``text`` in quotes, cut when it is long."""
    text = text.strip()
    return repr(text if len(text) <= QUOTED_CHARS else text[:QUOTED_CHARS] + "...")


def is_plain(text: str) -> bool:
    """Return whether ``text`` can hold plain numbers only."""
    # int and Decimal would read 1_000 and the digits of every script.
    return text.isascii() and "_" not in text


def _number(field: str) -> Decimal:
    try:
        return Decimal(field)
    except InvalidOperation:
        raise RowFault(f"{quoted(field)} is not a number") from None
