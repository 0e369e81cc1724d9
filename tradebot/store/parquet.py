"""Parquet tables as batches of columns; pyarrow is loaded only here, and only for such a file."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from tradebot.model.errors import ConfigError, DataError
from tradebot.model.money import from_float
from tradebot.store.batches import Batch, RowFault, parse_row, row_by_row

_BATCH_ROWS = 4_096


def read_parquet(path: Path, header: Sequence[str], skip: int) -> Iterator[Batch]:
    """Give the rows of the columns ``header`` after the first ``skip``; see ``columns.read_batches``."""
    for row, cells in parquet_cells(path, header, skip):
        try:
            batch = Batch(row, list(map(_whole, cells[0])), [list(map(_decimal, column)) for column in cells[1:]])
        except RowFault:
            rows = enumerate(zip(*cells, strict=True), row)
            yield from row_by_row(path, ((number, partial(_row, values)) for number, values in rows))
        else:
            yield batch


def float_columns(path: Path, header: Sequence[str]) -> Iterator[tuple[int, Any, Sequence[Any]]]:
    """Give the rows of all, the first column and the others as numpy arrays, batch by batch.

    Nothing where they are not whole numbers and floats of double precision, or where one is absent.
    """
    with _open(path, header) as file:
        types = [str(file.schema_arrow.field(name).type) for name in header]
        if types != ["int64", *["double"] * (len(header) - 1)]:
            return
        for batch in _batches(path, file, [*range(file.num_row_groups)], header):
            columns = [batch.column(name) for name in header]
            if any(column.null_count for column in columns):
                return
            first, *others = (column.to_numpy() for column in columns)
            yield int(file.metadata.num_rows), first, others


def count_parquet(path: Path, header: Sequence[str]) -> int:
    """Return the number of rows of ``path``."""
    with _open(path, header) as file:
        return int(file.metadata.num_rows)


def parquet_lines(path: Path, header: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Give each row as a line of CSV with its number; an absent value is an empty field."""
    for row, cells in parquet_cells(path, header, 0):
        for number, values in enumerate(zip(*cells, strict=True), row):
            yield number, ",".join("" if value is None else str(value) for value in values)


def parquet_cells(path: Path, header: Sequence[str], skip: int) -> Iterator[tuple[int, list[list[object]]]]:
    """Give columns of Python values, batch by batch, each with the number of its first row."""
    with _open(path, header) as file:
        row = 1
        groups: list[int] = []
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if skip >= rows and not groups:
                skip, row = skip - rows, row + rows
            else:
                groups.append(group)
        for batch in _batches(path, file, groups, header):
            rest = batch.slice(min(skip, batch.num_rows))
            skip, row = skip - (batch.num_rows - rest.num_rows), row + batch.num_rows
            if rest.num_rows:
                yield row - rest.num_rows, [rest.column(name).to_pylist() for name in header]
    if skip:
        raise DataError(
            f"it has {skip} rows fewer than were read before", where=str(path), mend="restore the file as it was"
        )


def _batches(path: Path, file: Any, groups: list[int], header: Sequence[str]) -> Iterator[Any]:
    from pyarrow import ArrowException  # type: ignore[import-untyped]

    try:
        yield from file.iter_batches(_BATCH_ROWS, groups, list(header))
    except (ArrowException, OSError) as error:
        raise DataError(f"the Parquet file is damaged: {error}", where=str(path), mend="fetch it again") from error


def _open(path: Path, header: Sequence[str]) -> Any:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(
            "a Parquet file needs pyarrow", where=str(path), mend="pip install 'tradebot[parquet]'"
        ) from error
    try:
        file = ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file: {error}", where=str(path), mend="fetch it again") from error
    absent = [name for name in header if name not in file.schema_arrow.names]
    narrow = [name for name in header[1:] if name not in absent and _is_narrow(str(file.schema_arrow.field(name).type))]
    if absent or narrow:
        file.close()
        what = f"has no column {', '.join(absent)}" if absent else f"column {narrow[0]} is of single precision"
        raise DataError(what, where=str(path), mend=f"write {','.join(header)}: int64, then float64 or decimal")
    return file


def _is_narrow(type_name: str) -> bool:
    # The shortest text of a widened float32 is not what was written: 0.1 would become 0.10000000149011612.
    return type_name in {"float", "halffloat"}


def _row(values: tuple[object, ...]) -> tuple[int, list[Decimal]]:
    return _whole(values[0]), [_decimal(value) for value in values[1:]]


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise RowFault(f"ts_ms {value!r} is not a whole number of milliseconds")


def _decimal(value: object) -> Decimal:
    match value:
        case float():
            try:
                return from_float(value)
            except ValueError as error:
                raise RowFault(str(error)) from error
        case Decimal():
            return value
        case int() if not isinstance(value, bool):
            return Decimal(value)
        case str():
            return parse_row(f"0,{value}", 2)[1][0]
        case _:
            raise RowFault(f"{value!r} is not a number")
