"""How bars and funding are named: ``SYMBOL:TIMEFRAME=FILE``, ``SYMBOL=FILE``, series of the store."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tradebot.model.errors import UsageError
from tradebot.model.time import Timeframe, parse_timeframe, timeframe_name

STORE_FILE = "bars.parquet"
"""The file of each series in the store, in a folder of its own."""
_STORED = re.compile(r"(?P<venue>[A-Za-z0-9_-]{1,40}):(?P<symbol>[A-Za-z0-9_./-]{1,40}):(?P<timeframe>[^:=]+)")


class Series(NamedTuple):
    """One file of bars, as ``SYMBOL:TIMEFRAME=FILE`` names it."""

    symbol: str
    timeframe: Timeframe
    path: Path


class SymbolFile(NamedTuple):
    """One file of a symbol, as ``SYMBOL=FILE`` names it."""

    symbol: str
    path: Path


class StoredSeries(NamedTuple):
    """One series in the store of bars, as ``VENUE:SYMBOL:TIMEFRAME`` names it."""

    venue: str
    symbol: str
    timeframe: Timeframe

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}:{timeframe_name(self.timeframe)}"


def parse_stored(text: str) -> StoredSeries:
    """Return what ``VENUE:SYMBOL:TIMEFRAME`` names. Raises ``ValueError``."""
    match = _STORED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not VENUE:SYMBOL:TIMEFRAME, such as hyperliquid:BTC:5m")
    return StoredSeries(match["venue"], match["symbol"], parse_timeframe(match["timeframe"]))


def store_root(environ: Mapping[str, str]) -> Path:
    """Return the folder of the store of bars: below ``$XDG_DATA_HOME``, else below the user's home."""
    data = environ.get("XDG_DATA_HOME", "")
    return (Path(data) if data.startswith("/") else Path("~/.local/share").expanduser()) / "tradebot"


def stored_path(root: Path, series: StoredSeries) -> Path:
    """Return the file of a series in the store at ``root``, there or not."""
    keys = {"venue": series.venue, "symbol": series.symbol, "timeframe": timeframe_name(series.timeframe)}
    return root.joinpath("bars", *(f"{key}={quote(value, safe='')}" for key, value in keys.items()), STORE_FILE)


def placed_stored(text: str, root: Path) -> str:
    """Return ``text``, which names a series of the store, with its file behind: ``VENUE:SYMBOL:TIMEFRAME=FILE``."""
    try:
        return text if "=" in text else f"{text}={stored_path(root, parse_stored(text))}"
    except ValueError:
        return text  # refused where it is validated


def parse_series(text: str) -> Series:
    """Return what ``SYMBOL:TIMEFRAME=FILE`` names. Raises ``ValueError``."""
    head, equals, path = text.partition("=")
    symbol, colon, timeframe = head.rpartition(":")
    if not (equals and colon and symbol and path) or re.search(r"\s", symbol):
        raise ValueError(f"{text!r} is not SYMBOL:TIMEFRAME=FILE, such as BTC:5m=btc.csv.gz")
    return Series(symbol, parse_timeframe(timeframe), Path(path))


def parse_symbol_file(text: str) -> SymbolFile:
    """Return what ``SYMBOL=FILE`` names. Raises ``ValueError``."""
    symbol, equals, path = text.partition("=")
    if not (equals and symbol and path):
        raise ValueError(f"{text!r} is not SYMBOL=FILE, such as BTC=btc_funding.csv.gz")
    return SymbolFile(symbol, Path(path))


def given_series(text: str) -> Series:
    """Return what an option names, its path absolute. Raises ``UsageError``."""
    try:
        series = parse_series(text)
    except ValueError as error:
        raise UsageError(str(error), where="--data", mend="write it as BTC:5m=btc.csv.gz") from error
    return series._replace(path=series.path.expanduser().absolute())
