"""Tables on disk as batches of columns: CSV, CSV.GZ or Parquet, a first column of epoch milliseconds, then numbers.

A batch is split and converted whole, which is several times as fast as line by line. Only when that fails is
it read again line by line, to name the line and what is wrong with it.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from io import BufferedReader
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.store.batches import QUOTED_CHARS, Batch, check_header, fail, is_plain, parse_row, quoted, row_by_row
from tradebot.store.parquet import count_parquet, read_parquet

# A line of numbers has some 60 bytes; a chunk is also the longest line that is looked at.
CHUNK_BYTES = 32_768
_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_BOM = b"\xef\xbb\xbf"

_ByteReader = BufferedReader | gzip.GzipFile


def read_batches(
    path: Path, header: Sequence[str], skip: int = 0, on_cut: Callable[[], None] | None = None
) -> Iterator[Batch]:
    """Give the rows of ``path`` after the first ``skip``, in constant memory. Raises ``DataError``.

    ``header`` names the columns a file must have. Rows are numbers here, not yet checked against each other.
    ``on_cut`` is called where the last line of a text has no end: it may have been cut.
    """
    if is_parquet(path):
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
        return count_parquet(path, header)
    return sum(text.count("\n") for _, text in text_chunks(path, header))


def is_gzip(path: Path) -> bool:
    """Return whether ``path`` is compressed, by its first bytes. Raises ``DataError`` when it cannot be read."""
    return _magic(path).startswith(_GZIP_MAGIC)


def is_parquet(path: Path) -> bool:
    """Return whether ``path`` holds Parquet, by its first bytes. Raises ``DataError`` when it cannot be read."""
    return _magic(path).startswith(_PARQUET_MAGIC)


def text_chunks(
    path: Path, header: Sequence[str], skip: int = 0, on_cut: Callable[[], None] | None = None
) -> Iterator[tuple[int, str]]:
    """Give the text after the header and ``skip`` lines as whole lines, each chunk with its first line's number.

    Raises ``DataError`` on a wrong header, a line without end, or a cut-off gzip file.
    """
    line = 2
    for data in byte_blocks(path, header, on_cut):
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


def byte_blocks(
    path: Path, header: Sequence[str], on_cut: Callable[[], None] | None = None, size: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Give what follows the header as whole lines, some ``size`` bytes at a time. Raises as ``text_chunks``."""
    with _open(path) as file:
        tail = _after_header(path, file, header)
        yield from _line_blocks(path, file, 2, tail, on_cut, size)


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


def _split(line: int, text: str, width: int) -> Batch:
    # Line ends stay with the field before them, where int and Decimal strip them. When each of the last
    # column's fields has one and no other field has, every line has the right width.
    fields = text.replace("\n", "\n,").split(",")
    fields.pop()
    last = fields[width - 1 :: width]
    rows = text.count("\n")
    if len(fields) != rows * width or "".join(last).count("\n") != rows or not is_plain(text):
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
    if is_gzip(path):
        return gzip.open(path, "rb")
    return path.open("rb")


def _read(path: Path, file: _ByteReader, line: int, size: int = CHUNK_BYTES) -> bytes:
    try:
        # Unlike read, read1 gives what comes before damage in a gzip file.
        return file.read1(size)
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
    path: Path,
    file: _ByteReader,
    line: int,
    tail: bytes,
    on_cut: Callable[[], None] | None = None,
    size: int = CHUNK_BYTES,
) -> Iterator[bytes]:
    while True:
        end = tail.rfind(b"\n") + 1
        if end:
            yield tail[:end]
            line += tail.count(b"\n")
            tail = tail[end:]
        if len(tail) > size:
            fail(path, line, f"the line is longer than {size} bytes: {quoted(repr(tail[:QUOTED_CHARS]))}")
        chunk = _read(path, file, line, size)
        if not chunk:
            break
        tail += chunk
    if tail:
        if on_cut is not None:
            on_cut()
        yield tail + b"\n"
