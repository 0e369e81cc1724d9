"""A series as a file of another format, which reads back to the same numbers."""

import gzip
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tradebot.data.bars import BarColumns
from tradebot.data.barstore import write_parquet
from tradebot.model.errors import DataError, UsageError
from tradebot.model.money import plain
from tradebot.store.candles import BAR_COLUMNS


def write_bars(path: Path, bars: BarColumns) -> None:
    """Write ``bars`` whole or not at all. Raises ``UsageError`` for an ending that is not known, and ``DataError``."""
    name = path.name.removesuffix(".gz")
    draft = path.with_name(f"{path.name}.part")
    try:
        if name.endswith(".parquet") and name == path.name:
            write_parquet(draft, bars, {})
        elif name.endswith(".csv"):
            _write(draft, path, chain([",".join(BAR_COLUMNS) + "\n"], map(_csv_line, _rows(bars))))
        elif name.endswith(".json"):
            _write(draft, path, _json_text(bars))
        else:
            mend = "end its name in .csv, .csv.gz, .json, .json.gz or .parquet"
            raise UsageError("what format is that to be?", where=str(path), mend=mend)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise DataError(f"cannot be written: {error.strerror}", where=str(path), mend="name another file") from error


def _rows(bars: BarColumns) -> Iterator[tuple[str, ...]]:
    for batch in bars.batches():
        yield from zip(map(str, batch.ts), *(map(plain, column) for column in batch.columns), strict=True)


def _csv_line(row: tuple[str, ...]) -> str:
    return ",".join(row) + "\n"


def _json_text(bars: BarColumns) -> Iterator[str]:
    # As ccxt has them: numbers, each with all its digits.
    separator = "["
    for row in _rows(bars):
        yield f"{separator}[{', '.join(row)}]"
        separator = ",\n"
    yield "]\n"


def _write(draft: Path, path: Path, texts: Iterator[str]) -> None:
    with draft.open("wb") as raw:
        if path.name.endswith(".gz"):
            # mtime=0: the same bars give the same bytes.
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                for text in texts:
                    packed.write(text.encode())
        else:
            for text in texts:
                raw.write(text.encode())
        raw.flush()
        os.fsync(raw.fileno())
