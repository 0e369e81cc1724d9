"""A result as tables for other programs: round trips, the curve, days, months, and one row of all plain figures."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.model.errors import ConfigError, UsageError
from tradebot.report.shapes import Document, Json, rows
from tradebot.report.trades import TRADE_KEYS, csv_lines

_DIGITS = (38, 18)
"""Of money in Parquet: exact for every price that is told."""
_TEXTS = frozenset({"symbol", "strategy", "side", "exit_reason", "month", "by"})


class Export(NamedTuple):
    """One table: its columns, and an object a row."""

    name: str
    keys: Sequence[str]
    rows: Sequence[Document]


def exports(report: Mapping[str, Json], trips: Sequence[Document]) -> list[Export]:
    """Return the tables of a report and its round trips."""
    plain = {key: value for key, value in report.items() if not isinstance(value, list | dict)}
    return [
        Export("trades", TRADE_KEYS, trips),
        _points("equity", ("ts_ms", "equity"), report.get("equity_curve")),
        _points("daily", ("ts_ms", "return"), report.get("daily_returns")),
        Export("monthly", ("month", "return"), [dict(row) for row in rows(report, "monthly")]),
        Export("report", list(plain), [plain]),
    ]


def write_csv(folder: Path, tables: Sequence[Export]) -> list[str]:
    """Write each as ``NAME.csv``; return the names. Raises ``UsageError`` when they cannot be written."""

    def write(path: Path, table: Export) -> None:
        with path.open("w", encoding="utf-8", newline="") as out:
            out.writelines(csv_lines(table.keys, table.rows))

    return _written(folder, tables, "csv", write)


def write_parquet(folder: Path, tables: Sequence[Export]) -> list[str]:
    """Write each as ``NAME.parquet``: times with their zone, money as exact decimals.

    Raises ``UsageError`` when they cannot be written, ``ConfigError`` without pyarrow.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow", mend="pip install 'tradebot[parquet]'") from error

    def write(path: Path, table: Export) -> None:
        columns = {key: _column(pa, key, [row.get(key) for row in table.rows]) for key in table.keys}
        parquet.write_table(pa.table(columns), path)

    return _written(folder, tables, "parquet", write)


def _points(name: str, keys: tuple[str, str], points: Json) -> Export:
    listed = points if isinstance(points, list) else []
    return Export(name, keys, [dict(zip(keys, point, strict=True)) for point in listed])


def _written(folder: Path, tables: Sequence[Export], ending: str, write: Callable[[Path, Export], None]) -> list[str]:
    names = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in tables:
            names.append(f"{table.name}.{ending}")
            write(folder / names[-1], table)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=str(folder), mend="name another folder") from error
    return names


def _column(pa: Any, key: str, values: Sequence[Json]) -> Any:
    if f"_{key}".endswith(("_ts", "_ts_ms")) or key in ("since", "until"):
        return pa.array(values, pa.timestamp("ms", "UTC"))
    if key in _TEXTS:
        return pa.array(values, pa.string())
    if any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else Decimal(str(value)) for value in values], pa.decimal128(*_DIGITS))
    return pa.array(values)
