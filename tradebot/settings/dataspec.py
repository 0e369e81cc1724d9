"""How files of bars and of funding are named: ``SYMBOL:TIMEFRAME=FILE`` and ``SYMBOL=FILE``."""

import re
from pathlib import Path
from typing import NamedTuple

from tradebot.model.errors import UsageError
from tradebot.model.time import Timeframe, parse_timeframe


class Series(NamedTuple):
    """One file of bars, as ``SYMBOL:TIMEFRAME=FILE`` names it."""

    symbol: str
    timeframe: Timeframe
    path: Path


class FundingFile(NamedTuple):
    """One file of funding rates, as ``SYMBOL=FILE`` names it."""

    symbol: str
    path: Path


def parse_series(text: str) -> Series:
    """Return what ``SYMBOL:TIMEFRAME=FILE`` names. Raises ``ValueError``."""
    head, equals, path = text.partition("=")
    symbol, colon, timeframe = head.rpartition(":")
    if not (equals and colon and symbol and path) or re.search(r"\s", symbol):
        raise ValueError(f"{text!r} is not SYMBOL:TIMEFRAME=FILE, such as BTC:5m=btc.csv.gz")
    return Series(symbol, parse_timeframe(timeframe), Path(path))


def parse_funding(text: str) -> FundingFile:
    """Return what ``SYMBOL=FILE`` names. Raises ``ValueError``."""
    symbol, equals, path = text.partition("=")
    if not (equals and symbol and path):
        raise ValueError(f"{text!r} is not SYMBOL=FILE, such as BTC=btc_funding.csv.gz")
    return FundingFile(symbol, Path(path))


def given_series(text: str) -> Series:
    """Return what an option names, its path absolute. Raises ``UsageError``."""
    try:
        series = parse_series(text)
    except ValueError as error:
        raise UsageError(str(error), where="--data", mend="write it as BTC:5m=btc.csv.gz") from error
    return series._replace(path=series.path.expanduser().absolute())
