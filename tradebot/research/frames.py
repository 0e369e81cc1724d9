"""Rows and arrays as columns of numpy, and as frames of pandas or polars where those are installed."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradebot.model.errors import ConfigError
from tradebot.report.shapes import Json

Library = Literal["pandas", "polars"]
Array = NDArray[Any]

_TEXTS = frozenset({"symbol", "strategy", "side", "exit_reason", "month"})


def columns_of_rows(listed: Sequence[Mapping[str, Json]], keys: Sequence[str]) -> dict[str, Array]:
    """Return rows column by column: times as datetime64[ms], money and other numbers as float64, NaN where absent."""
    return {key: _column(key, [row.get(key) for row in listed]) for key in keys}


def frame(data: "Array | Mapping[str, Array]", library: Library = "pandas") -> Any:
    """Return a structured array, or columns by name, as a frame: see ``tradebot.research.frame``."""
    columns = data if isinstance(data, Mapping) else {name: data[name] for name in data.dtype.names or ()}
    times = {name: _times(name, column) for name, column in columns.items()}
    try:
        module = import_module(library)
    except ImportError as error:
        raise ConfigError(f"{library} is not installed", mend=f"pip install {library}") from error
    return module.DataFrame(times)


def _column(key: str, values: Sequence[Json]) -> Array:
    if f"_{key}".endswith("_ts"):
        return np.array(values, dtype="datetime64[ms]")
    if key in _TEXTS:
        return np.array([str(value) for value in values], dtype=object)
    return np.array([np.nan if value is None else float(str(value)) for value in values], dtype=np.float64)


def _times(name: str, column: Array) -> Array:
    return column.astype("datetime64[ms]") if f"_{name}".endswith("_ts") and column.dtype.kind == "i" else column
