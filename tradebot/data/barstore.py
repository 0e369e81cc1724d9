"""The store of bars: one Parquet file a series, with where its bars came from written into it.

``bars/venue=V/symbol=S/timeframe=T/bars.parquet``, which other programs read as one partitioned table. A file is
replaced whole or not at all; one process at a time writes a series, and whoever reads meanwhile has the old one.
"""

import fcntl
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tradebot.data.bars import BarColumns, no_bars
from tradebot.data.numbers import Column
from tradebot.model.errors import ConfigError, DataError
from tradebot.model.time import to_ms
from tradebot.settings.dataspec import STORE_FILE, StoredSeries, parse_stored, stored_path
from tradebot.store.candles import BAR_COLUMNS
from tradebot.store.series import Missing, Times

_METADATA = b"tradebot"
_ROW_GROUP = 131_072
_MOST_DIGITS = 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where some bars of a series came from: ``at`` in ms, by which action, of what, and with which SHA-256.

    ``since`` is when the first of them opens, ``until`` when the last closes.
    """

    at: int
    action: str
    source: str
    sha256: str
    rows: int
    """How many bars the source had."""
    added: int
    """How many of them were new."""
    since: int
    until: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSeries:
    """What the store has of a series, without reading its prices; ``until`` is when the last bar opens."""

    series: StoredSeries
    path: Path
    size: int
    rows: int
    since: int
    until: int
    gaps: int
    missing: int
    first_gap: Missing | None
    largest_gap: Missing | None
    origins: tuple[Origin, ...]


class BarStore:
    """The series below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, series: StoredSeries) -> Path:
        """Return the file of a series, there or not."""
        return stored_path(self.root, series)

    def series(self) -> list[StoredSeries]:
        """Return all that is there, by name."""
        found = []
        for path in sorted(self.root.glob(f"bars/venue=*/symbol=*/timeframe=*/{STORE_FILE}")):
            parts = [unquote(part.partition("=")[2]) for part in path.parts[-4:-1]]
            try:
                found.append(parse_stored(":".join(parts)))
            except ValueError:
                continue  # not of our making
        return sorted(found, key=lambda each: (each.venue, each.symbol, each.timeframe))

    def has(self, series: StoredSeries) -> bool:
        """Return whether the series is there."""
        return self.path(series).exists()

    def held(self, series: StoredSeries) -> HeldSeries:
        """Return what there is of a series. Raises ``DataError`` when it is not there or damaged."""
        path = self.path(series)
        with _parquet(path, series) as file:
            told = _metadata(file.schema_arrow, path)
            rows = file.metadata.num_rows
        gaps = told["gaps"]
        return HeldSeries(
            series=series,
            path=path,
            size=path.stat().st_size,
            rows=rows,
            since=told["since"],
            until=told["until"],
            gaps=gaps["gaps"],
            missing=gaps["missing"],
            first_gap=_missing(gaps["first"]),
            largest_gap=_missing(gaps["largest"]),
            origins=tuple(Origin(**{**each, "notes": tuple(each["notes"])}) for each in told["origins"]),
        )

    def read(self, series: StoredSeries) -> BarColumns:
        """Return all bars of a series. Raises ``DataError``."""
        path = self.path(series)
        with _parquet(path, series) as file:
            table = file.read(list(BAR_COLUMNS))
        ts = array("q")
        columns: list[Column] = [_column(table.column(name), ts if name == "ts_ms" else None) for name in BAR_COLUMNS]
        return BarColumns(ts, columns[1:])

    def read_or_none(self, series: StoredSeries) -> BarColumns:
        """Return all bars of a series, none where it is not there."""
        return self.read(series) if self.has(series) else no_bars()

    @contextmanager
    def writing(self, series: StoredSeries) -> Iterator[None]:
        """Keep others from writing the series meanwhile; waits for one that does."""
        folder = self.path(series).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror}", where=str(folder), mend="check the disk") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # What a kill left behind: it never became the file.
            for draft in folder.glob("*.part"):
                draft.unlink()
            yield
        finally:
            os.close(handle)

    def write(
        self, series: StoredSeries, bars: BarColumns, origins: tuple[Origin, ...], *, keeps_old: bool = False
    ) -> None:
        """Put ``bars`` in the place of what is there; with ``keeps_old`` that stays beside it, numbered.

        To be called within ``writing``. Raises ``DataError``; the old file stands then.
        """
        path = self.path(series)
        draft = path.with_name(f"{path.name}.part")
        try:
            write_parquet(draft, bars, _described(series, bars, origins))
            if keeps_old and path.exists():
                os.link(path, _free_name(path))
            draft.replace(path)
            _sync(path.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise DataError(f"cannot be written: {error.strerror}", where=str(path), mend="check the disk") from error


def _described(series: StoredSeries, bars: BarColumns, origins: tuple[Origin, ...]) -> Mapping[str, object]:
    times = Times(series.timeframe, is_whole=False)
    times.take(bars.ts)
    gaps = {"gaps": times.gaps, "missing": times.missing, "first": times.first_gap, "largest": times.largest_gap}
    return {
        "format": 1,
        "series": str(series),
        "since": bars.ts[0],
        "until": bars.ts[-1],
        "gaps": gaps,
        "origins": [asdict(origin) for origin in origins],
    }


def _missing(pair: list[int] | None) -> Missing | None:
    return None if pair is None else Missing(*pair)


def _free_name(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return kept


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _arrow(where: str) -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "the store of bars needs pyarrow", where=where, mend="pip install 'tradebot[parquet]'"
        ) from error
    return pyarrow, parquet


@contextmanager
def _parquet(path: Path, series: StoredSeries) -> Iterator[Any]:
    pa, parquet = _arrow(str(path))
    if not path.exists():
        mend = f"import it: tradebot data import FILE --as {series}; `tradebot data list` shows what there is"
        raise DataError(f"the store has no {series}", where=str(path), mend=mend)
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise DataError(f"the file is damaged: {error}", where=str(path), mend="import the data again") from error


def _metadata(schema: Any, path: Path) -> dict[str, Any]:
    text = (schema.metadata or {}).get(_METADATA)
    if text is None:
        raise DataError("not written by tradebot", where=str(path), mend="move it away, and import it")
    told: dict[str, Any] = json.loads(text)
    return told


def write_parquet(path: Path, bars: BarColumns, described: Mapping[str, object]) -> None:
    """Write bars, and what is to be known of them, to a file of their own."""
    pa, parquet = _arrow(str(path))
    arrays = [pa.Array.from_buffers(pa.int64(), len(bars), [None, pa.py_buffer(bars.ts)])]
    arrays += [_array(column, pa) for column in bars.columns]
    table = pa.table(dict(zip(BAR_COLUMNS, arrays, strict=True)))
    table = table.replace_schema_metadata({_METADATA: json.dumps(described).encode()})
    with path.open("wb") as file:
        parquet.write_table(table, file, row_group_size=_ROW_GROUP, compression="zstd", compression_level=3)
        file.flush()
        os.fsync(file.fileno())


def _array(column: Column, pa: Any) -> Any:
    if isinstance(column, array):
        return pa.Array.from_buffers(pa.float64(), len(column), [None, pa.py_buffer(column)])
    scale = max((-int(number.as_tuple().exponent) for number in column), default=0)
    digits = max((number.adjusted() for number in column), default=0) + 1
    if max(scale, 0) + max(digits, 1) <= _MOST_DIGITS:
        return pa.array(column, pa.decimal128(_MOST_DIGITS, max(scale, 0)))
    return pa.array([format(number, "f") for number in column], pa.string())


def _column(chunks: Any, ts: "array[int] | None") -> Column:
    if ts is not None:
        for chunk in chunks.chunks:
            ts.frombytes(_bytes(chunk))
        return array("d")
    if str(chunks.type) != "double":
        return [Decimal(str(value)) for value in chunks.to_pylist()]
    values = array("d")
    for chunk in chunks.chunks:
        values.frombytes(_bytes(chunk))
    return values


def _bytes(chunk: Any) -> memoryview:
    if chunk.null_count:
        raise TypeError("a number is missing")
    return memoryview(chunk.buffers()[1]).cast("B")[chunk.offset * 8 : (chunk.offset + len(chunk)) * 8]


def bars_until(held: HeldSeries) -> int:
    """Return when the last bar closed, in ms."""
    return held.until + to_ms(held.series.timeframe)
