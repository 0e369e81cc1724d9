"""Tables on disk as batches of columns: CSV, CSV.GZ or Parquet, a first column of epoch milliseconds, then numbers.

A batch is split and converted whole, which is several times as fast as line by line. Only when that fails is
it read again line by line, to name the line and what is wrong with it.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, NoReturn

from tradebot.model.errors import DataError

MEND = "correct the line, or run again with --repair, which leaves such lines out of a mended copy"
UNIT_MEND = "write milliseconds, or run again with --repair, which converts them"
# A line of numbers has some 60 bytes; a chunk is also the longest line that is looked at.
CHUNK_BYTES = 32_768
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_QUOTED_CHARS = 40

_ByteReader = BufferedReader | gzip.GzipFile


class Batch(NamedTuple):
    """Consecutive rows: times in epoch ms, and the other columns. ``line`` is that of the first row.

    Lines count from 1, the header included; those of a Parquet file are its rows.
    """

    line: int
    ts: list[int]
    columns: list[list[Decimal]]


class RowFault(ValueError):
    """What is wrong with one row."""


def read_batches(
    path: Path, header: Sequence[str], skip: int = 0, on_cut: Callable[[], None] | None = None
) -> Iterator[Batch]:
    """Give the rows of ``path`` after the first ``skip``, in constant memory. Raises ``DataError``.

    ``header`` names the columns a file must have. Rows are numbers here, not yet checked against each other.
    ``on_cut`` is called where the last line of a text has no end: it may have been cut.
    """
    if is_parquet(path):
        from tradebot.store.parquet import read_parquet

        yield from read_parquet(path, header, skip)
        return
    for line, text in text_chunks(path, header, skip, on_cut):
        try:
            batch = _split(line, text, len(header))
        except (ValueError, ArithmeticError):
            rows = enumerate(text.removesuffix("\n").split("\n"), line)
            yield from row_by_row(path, ((number, partial(parse_row, row, len(header))) for number, row in rows))
        else:
            yield batch


def count_rows(path: Path, header: Sequence[str]) -> int:
    """Return the number of rows of ``path`` without reading their numbers. Raises ``DataError``."""
    if is_parquet(path):
        from tradebot.store.parquet import count_parquet

        return count_parquet(path, header)
    return sum(text.count("\n") for _, text in text_chunks(path, header))


def is_parquet(path: Path) -> bool:
    """Return whether ``path`` holds Parquet, by its first bytes. Raises ``DataError`` when it cannot be read."""
    return _magic(path).startswith(_PARQUET_MAGIC)


def text_chunks(
    path: Path, header: Sequence[str], skip: int = 0, on_cut: Callable[[], None] | None = None
) -> Iterator[tuple[int, str]]:
    """Give the text after the header and ``skip`` lines as whole lines, each chunk with its first line's number.

    Raises ``DataError`` on a wrong header, a line without end, or a cut-off gzip file.
    """
    with _open(path) as file:
        tail = _after_header(path, file, header)
        line = 2
        for data in _line_blocks(path, file, 2, tail, on_cut):
            lines = data.count(b"\n")
            if skip >= lines:
                skip -= lines
            else:
                rest = data.split(b"\n", skip)[skip] if skip else data
                # Any byte is a character of latin-1; those that are not ASCII are refused with the row they stand in.
                yield line + skip, rest.decode("latin-1")
                skip = 0
            line += lines
    if skip:
        raise DataError(
            f"it has {skip} rows fewer than were read before", where=str(path), mend="restore the file as it was"
        )


def raw_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give every line with its number, the first too, whatever stands in it.

    Raises ``DataError`` on a line without end or a cut-off gzip file.
    """
    line = 1
    with _open(path) as file:
        for data in _line_blocks(path, file, line, b""):
            for text in data.removeprefix(_BOM).removesuffix(b"\n").split(b"\n"):
                yield line, text.decode("utf-8", "replace")
                line += 1


def parse_row(text: str, width: int) -> tuple[int, list[Decimal]]:
    """Return the time in epoch ms and the numbers of one line. Raises ``RowFault``."""
    fields = text.split(",")
    if not text.strip():
        raise RowFault("the line is empty")
    if len(fields) != width:
        raise RowFault(f"{len(fields)} columns instead of {width} in {quoted(text)}")
    if not _is_plain(text):
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
    return repr(text if len(text) <= _QUOTED_CHARS else text[:_QUOTED_CHARS] + "...")


def _is_plain(text: str) -> bool:
    # int and Decimal would read 1_000 and the digits of every script.
    return text.isascii() and "_" not in text


def _number(field: str) -> Decimal:
    try:
        return Decimal(field)
    except InvalidOperation:
        raise RowFault(f"{quoted(field)} is not a number") from None


def _split(line: int, text: str, width: int) -> Batch:
    # Line ends stay with the field before them, where int and Decimal strip them. When each of the last
    # column's fields has one and no other field has, every line has the right width.
    fields = text.replace("\n", "\n,").split(",")
    fields.pop()
    last = fields[width - 1 :: width]
    rows = text.count("\n")
    if len(fields) != rows * width or "".join(last).count("\n") != rows or not _is_plain(text):
        raise ValueError
    columns = [fields[i::width] for i in range(1, width - 1)]
    # The prices of neighbouring bars repeat: each is converted once. The last column seldom repeats.
    distinct = list(set[str]().union(*columns))
    numbers = dict(zip(distinct, map(Decimal, distinct), strict=True)).__getitem__
    parsed = [list(map(numbers, column)) for column in columns]
    parsed.append(list(map(Decimal, last)))
    return Batch(line, list(map(int, fields[::width])), parsed)


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path), mend="check the path") from error


def _open(path: Path) -> _ByteReader:
    if _magic(path).startswith(_GZIP_MAGIC):
        return gzip.open(path, "rb")
    return path.open("rb")


def _read(path: Path, file: _ByteReader, line: int) -> bytes:
    try:
        # Unlike read, read1 gives what comes before damage in a gzip file.
        return file.read1(CHUNK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip file is cut off or damaged here: {error}",
            where=f"{path}:{line}",
            mend="fetch the file again, or run again with --repair --force, which keeps what can be read",
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=f"{path}:{line}") from error


def _after_header(path: Path, file: _ByteReader, header: Sequence[str]) -> bytes:
    data = chunk = _read(path, file, 1)
    while chunk and b"\n" not in data and len(data) < CHUNK_BYTES:
        chunk = _read(path, file, 1)
        data += chunk
    first, _, rest = data.partition(b"\n")
    check_header(path, first.removeprefix(_BOM).decode("utf-8", "replace"), header)
    return rest


def _line_blocks(
    path: Path, file: _ByteReader, line: int, tail: bytes, on_cut: Callable[[], None] | None = None
) -> Iterator[bytes]:
    while True:
        end = tail.rfind(b"\n") + 1
        if end:
            yield tail[:end]
            line += tail.count(b"\n")
            tail = tail[end:]
        if len(tail) > CHUNK_BYTES:
            fail(path, line, f"the line is longer than {CHUNK_BYTES} bytes: {quoted(repr(tail[:_QUOTED_CHARS]))}")
        chunk = _read(path, file, line)
        if not chunk:
            break
        tail += chunk
    if tail:
        if on_cut is not None:
            on_cut()
        yield tail + b"\n"
