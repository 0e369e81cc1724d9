"""What a file holds as columns of cells, whatever its format: text of any separator, JSON, Parquet, Feather, zip, gzip.

Here nothing is understood yet: a cell of text stays text, and which column is what, ``layout`` says.
"""

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, NoReturn, cast

from tradebot.data.names import role_of
from tradebot.data.typed import Cells, typed_blocks
from tradebot.model.errors import DataError
from tradebot.store.batches import quoted

BLOCK_ROWS = 8_192
_MOST_TITLES = 10
"""How many lines may stand above the header."""
_LONGEST_LINE = 65_536
_HEAD_BYTES = 4096
_MOST_JSON = 2 * 1024**3
_SEPARATORS = (";", "\t", "|", ",")
_SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas", " ": "spaces"}


@dataclass(slots=True)
class Block:
    """Consecutive rows. ``lines`` are their numbers in the file, from 1; rows of a typed file count from 1 too."""

    lines: Sequence[int]
    columns: Sequence[Cells]


@dataclass(slots=True)
class Table:
    """The rows of one file: ``names`` of its columns, ``None`` without a header, and what was noticed in passing."""

    where: str
    format: str
    names: Sequence[str] | None
    blocks: Iterator[Block]
    notes: list[str] = field(default_factory=list)
    ragged: list[tuple[int, str]] = field(default_factory=list)
    """Lines that are no row of the table, each with what is wrong."""


@contextmanager
def open_table(path: Path, separator: str | None = None) -> Iterator[Table]:
    """Give the table in ``path``. Raises ``DataError``: what cannot be read, and what to do.

    ``separator`` stands between the columns of a text, if not what its lines suggest.
    """
    with _opened(path) as (file, where):
        head = cast("io.BufferedReader", file).peek(1)[:_HEAD_BYTES]
        if not head:
            refuse(where, "the file is empty", "fetch it again")
        if head.startswith((b"PAR1", b"ARROW1")):
            table = _arrow(file, where, "Parquet" if head.startswith(b"PAR1") else "Feather")
        elif head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
            table = _json(file, where)
        else:
            with _decoded(file, head, where) as text:
                yield _text(_lines(text, where), where, separator)
            return
        yield table


def refuse(where: str, what: str, mend: str) -> NoReturn:
    """Raise ``DataError``."""
    raise DataError(what, where=where, mend=mend)


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        refuse(where, f"the compressed file is cut off or damaged: {error}", "fetch the file again")
    except UnicodeError as error:
        refuse(where, f"not a text: {error}", "write it as UTF-8")
    except csv.Error as error:
        refuse(where, f"not a table: {error}", "write it as CSV: a line a bar")
    except OSError as error:
        refuse(where, f"cannot be read: {error.strerror or error}", "check the path")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    where = str(path)
    with _told(where), path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        if magic.startswith(b"\x1f\x8b"):
            with gzip.open(file, "rb") as inner:
                yield cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", inner))), where
        elif magic == b"PK\x03\x04" or magic == b"PK\x05\x06":
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
                if len(names) != 1:
                    refuse(where, f"the archive holds {len(names)} files", "unpack it and name the one with the bars")
                with _entry(archive, names[0], where) as entry:
                    yield cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", entry))), f"{where}/{names[0]}"
        elif magic == b"FEA1":
            refuse(where, "a Feather file of the first version", "write it anew as Feather or Parquet")
        elif magic.startswith((b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!")):
            refuse(where, "packed in a way that is not read here", "unpack it, or pack it as gzip or zip")
        else:
            yield file, where


def _entry(archive: zipfile.ZipFile, name: str, where: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except (RuntimeError, NotImplementedError) as error:
        refuse(where, f"the archive cannot be unpacked: {error}", "unpack it and name the file with the bars")


def _decoded(file: IO[bytes], head: bytes, where: str) -> io.TextIOWrapper:
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    if encoding != "utf-16" and b"\0" in head:
        refuse(where, "not a table: it holds bytes that no text has", "name a file of CSV, JSON, Parquet or Feather")
    return io.TextIOWrapper(file, encoding, errors="replace")


def _lines(text: Iterable[str], where: str) -> Iterator[str]:
    for number, line in enumerate(text, 1):
        if len(line) > _LONGEST_LINE:
            refuse(f"{where}:{number}", f"the line is longer than {_LONGEST_LINE} characters", "write a line a bar")
        yield line


def _text(lines: Iterator[str], where: str, separator: str | None) -> Table:
    first = list(islice(((number, line) for number, line in enumerate(lines, 1) if line.strip()), _MOST_TITLES + 20))
    if not first:
        refuse(where, "the file is empty", "fetch it again")
    if first[0][1].lstrip().startswith(("{", "[")):
        refuse(where, "not one JSON value", "write one array of bars")
    separator = separator or _separator([line for _, line in first])
    rows = [(number, _split(line, separator)) for number, line in first]
    top = next((place for place, (_, row) in enumerate(rows[: _MOST_TITLES + 1]) if _is_names(row)), None)
    names = None if top is None else rows[top][1]
    table = Table(where, f"text, separated by {_SEPARATOR_NAMES.get(separator, repr(separator))}", names, iter(()))
    if top:
        table.notes.append(f"left out {top} line{'s' if top > 1 else ''} above the header")
    width = len(names) if names is not None else _usual_width([row for _, row in rows])
    begin = 0 if top is None else top + 1
    rest = _rows(lines, separator, first[-1][0])
    table.blocks = _blocks(table, [*rows[begin:]], rest, width)
    return table


def _rows(lines: Iterator[str], separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    if separator == " ":
        yield from ((number, line.split()) for number, line in enumerate(lines, before + 1) if line.strip())
        return
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for row in reader:
        if row:
            yield before + reader.line_num, row


def _blocks(
    table: Table, first: list[tuple[int, list[str]]], rest: Iterator[tuple[int, list[str]]], width: int
) -> Iterator[Block]:
    header = [name.strip() for name in table.names or ()]
    pending = first
    while pending:
        good = [row for row in pending if len(row[1]) == width]
        if len(good) != len(pending):
            good = [(line, _fitted(row, width)) for line, row in pending if _fitted(row, width)]
            for line, row in pending:
                if not _fitted(row, width) and any(cell.strip() for cell in row):
                    table.ragged.append((line, f"{len(row)} columns instead of {width} in {quoted(' '.join(row))}"))
        if header and any(row[0].strip() == header[0] for _, row in good):
            repeated = [line for line, row in good if [cell.strip() for cell in row] == header]
            if repeated:
                table.notes.append(f"left out the header that stands again on line {repeated[0]}")
                good = [(line, row) for line, row in good if line not in repeated]
        if good:
            lines, rows = zip(*good, strict=True)
            yield Block(lines, list(zip(*rows, strict=True)))
        pending = list(islice(rest, BLOCK_ROWS))


def _fitted(row: list[str], width: int) -> list[str]:
    """Return the row without the empty cells that a separator at the end of the line makes; empty for another row."""
    while len(row) > width and not row[-1].strip():
        row = row[:-1]
    return row if len(row) == width else []


def _separator(lines: Sequence[str]) -> str:
    best = max(_SEPARATORS, key=lambda each: (_agreeing(lines, each), -_SEPARATORS.index(each)))
    return best if _agreeing(lines, best) else " "


def _agreeing(lines: Sequence[str], separator: str) -> int:
    """Return how many lines have as many of ``separator`` as most of them, at least three."""
    counts = [line.count(separator) for line in lines]
    usual = max(set(counts), key=counts.count)
    return counts.count(usual) if usual >= 3 else 0


def _split(line: str, separator: str) -> list[str]:
    line = line.rstrip("\r\n")
    if separator == " ":
        return line.split()
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    widths = [len(row) for row in rows]
    return max(set(widths), key=widths.count)


def _is_names(row: Sequence[str]) -> bool:
    """Return whether a row names columns: words, among them those of prices."""
    return len(row) >= 4 and sum(role_of(cell) is not None for cell in row) >= 3


def _json(file: IO[bytes], where: str) -> Table:
    content = file.read(_MOST_JSON + 1)
    if len(content) > _MOST_JSON:
        refuse(where, "JSON of more than 2 GiB", "split it, or write it as CSV or Parquet")
    try:
        # Numbers stay texts: the float of a long one would not be what was written.
        value = json.loads(content.decode("utf-8-sig"), parse_float=str, parse_int=str)
    except RecursionError:
        refuse(where, "not JSON of bars: nested too deeply", "write one array of bars")
    except json.JSONDecodeError as error:
        lines = content.decode("utf-8-sig", "replace").splitlines()
        value = _json_lines(lines)
        if value is None:
            refuse(f"{where}:{error.lineno}", f"not JSON: {error.msg}", "fetch the file again")
    return _json_table(value, where)


def _json_lines(lines: Sequence[str]) -> list[object] | None:
    try:
        rows = [json.loads(line, parse_float=str, parse_int=str) for line in lines if line.strip()]
    except (json.JSONDecodeError, RecursionError):
        return None
    return rows if len(rows) > 1 else None


def _json_table(value: object, where: str) -> Table:
    found = _rows_in(value)
    if found is None:
        refuse(where, "no array of bars in this JSON", "write [[time, open, high, low, close, volume], ...]")
    names, rows = found
    width = len(names) if names is not None else len(rows[0])
    table = Table(where, "JSON", names, iter(()))
    numbered = iter(enumerate(rows, 1))
    texts = ((number, [_cell_text(cell) for cell in row]) for number, row in numbered)
    table.blocks = _blocks(table, list(islice(texts, BLOCK_ROWS)), texts, width)
    return table


def _rows_in(value: object, depth: int = 0) -> tuple[Sequence[str] | None, Sequence[Sequence[object]]] | None:
    if isinstance(value, list) and value:
        if all(isinstance(row, list) for row in value):
            return None, value
        if all(isinstance(row, dict) for row in value):
            names = list(value[0])
            return names, [[row.get(name) for name in names] for row in value]
    if isinstance(value, dict):
        columns = {name: column for name, column in value.items() if isinstance(column, list)}
        if len({len(column) for column in columns.values()}) == 1 and len(columns) >= 5:
            return list(columns), list(zip(*columns.values(), strict=True))
        if depth < 4:
            inner = [found for each in value.values() if (found := _rows_in(each, depth + 1)) is not None]
            return inner[0] if len(inner) == 1 else None
    return None


def _cell_text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _arrow(file: IO[bytes], where: str, format_name: str) -> Table:
    names, blocks = typed_blocks(file, where, format_name)

    def counted() -> Iterator[Block]:
        row = 1
        for columns in blocks:
            count = len(columns[0])
            yield Block(range(row, row + count), columns)
            row += count

    return Table(where, format_name, names, counted())
