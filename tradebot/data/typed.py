"""Parquet and Feather files of other programs, as blocks of columns; pyarrow is loaded only when there is one."""

from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any, TypeAlias

from tradebot.model.errors import ConfigError, DataError

_BLOCK_ROWS = 65_536


class Millis(list[int]):
    """A column of epoch milliseconds that the file itself declares as times."""


Cells: TypeAlias = "Sequence[str] | array[float] | Millis"
"""A column of one block: texts, or numbers and times of a file that has types."""


def typed_blocks(file: IO[bytes], where: str, format_name: str) -> tuple[list[str], Iterator[list[Cells]]]:
    """Return the names of the columns, and the columns block by block. Raises ``DataError``, and ``ConfigError``."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import ipc
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError as error:
        mend = "pip install 'tradebot[parquet]'"
        raise ConfigError(f"a {format_name} file needs pyarrow", where=where, mend=mend) from error
    try:
        if format_name == "Parquet":
            parquet = ParquetFile(file)
            schema, batches = parquet.schema_arrow, parquet.iter_batches(_BLOCK_ROWS)
        else:
            reader = ipc.open_file(file)
            schema, batches = reader.schema, map(reader.get_batch, range(reader.num_record_batches))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a readable {format_name} file: {error}", where=where, mend="fetch it again") from error
    names = [name for name in schema.names if not pa.types.is_nested(schema.field(name).type)]
    return names, _blocks(batches, names, where, pa)


def _blocks(batches: Iterator[Any], names: Sequence[str], where: str, pa: Any) -> Iterator[list[Cells]]:
    try:
        for batch in batches:
            if batch.num_rows:
                yield [_cells(batch.column(batch.schema.get_field_index(name)), pa) for name in names]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"the file is damaged: {error}", where=where, mend="fetch it again") from error


def _cells(column: Any, pa: Any) -> Cells:
    kind = column.type
    if pa.types.is_timestamp(kind) and not column.null_count:
        # A stamp without a zone is UTC; what is finer than a millisecond is no time of a bar.
        return Millis(column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64()).to_pylist())
    if pa.types.is_float64(kind) and not column.null_count:
        values = array("d")
        data = memoryview(column.buffers()[1]).cast("B")
        values.frombytes(data[column.offset * 8 : (column.offset + len(column)) * 8])
        return values
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    # The text of a single-precision number is the shortest of that precision: what was written.
    return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]
