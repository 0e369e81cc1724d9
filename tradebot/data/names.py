"""What the headers of other programs call the columns of a bar."""

import re
from enum import StrEnum


class ColumnRole(StrEnum):
    """What a column can be of a bar."""

    TIME = "time"
    CLOCK = "clock"
    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    CLOSE = "close"
    VOLUME = "volume"


PRICES = (ColumnRole.OPEN, ColumnRole.HIGH, ColumnRole.LOW, ColumnRole.CLOSE)
# Letters only, without spaces, brackets and underscores: the best name first, where a file has several.
_NAMES = {
    ColumnRole.TIME: (
        "tsms", "opentime", "unix", "unixtimestamp", "epoch", "timestamp", "ts", "time", "datetime", "date",
        "starttime", "start", "begin", "periodstart", "timeperiodstart", "candlebegintime", "gmttime", "utc",
        "dateutc", "timeutc", "datetimeutc", "opents", "openat", "starttimestamp", "klineopentime", "t", "dt",
        "day", "index", "indexlevel", "bucket", "mts",
    ),
    ColumnRole.OPEN: ("open", "o", "openprice", "priceopen", "openingprice", "first", "op"),
    ColumnRole.HIGH: ("high", "h", "highprice", "pricehigh", "max", "hi", "highestprice"),
    ColumnRole.LOW: ("low", "l", "lowprice", "pricelow", "min", "lo", "lowestprice"),
    ColumnRole.CLOSE: ("close", "c", "closeprice", "priceclose", "closelast", "last", "closingprice", "cl", "price"),
    ColumnRole.VOLUME: (
        "volume", "v", "basevolume", "volumebase", "volumefrom", "vol", "realvolume", "volumecoin", "tradedvolume",
        "size", "tickvol", "tickvolume", "volumetraded",
    ),
}  # fmt: skip
_ROLES = {name: role for role, names in _NAMES.items() for name in names}


def plain_name(name: str) -> str:
    """Return the letters of a column's name.

    >>> plain_name(" <Open_Time> ")
    'opentime'
    """
    return re.sub(r"[^a-z]", "", name.lower())


def role_of(name: str) -> ColumnRole | None:
    """Return what a column of that name is, or ``None``."""
    role = _ROLES.get(plain_name(name))
    # "Volume BTC", "Volume (USDT)": one of several, by whose coins it counts.
    return ColumnRole.VOLUME if role is None and re.match(r"\s*<?volume[\s_(]", name, re.IGNORECASE) else role


def rank(role: ColumnRole, name: str) -> int:
    """Return how good a name is for a role: the smaller, the better."""
    names, plain = _NAMES[role], plain_name(name)
    return names.index(plain) if plain in names else len(names)
