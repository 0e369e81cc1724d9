"""Time is UTC epoch nanoseconds, as ``int``; durations too. Milliseconds exist only at the edges."""

import re
from typing import NamedTuple, NewType

Nanos = NewType("Nanos", int)
Timeframe = NewType("Timeframe", int)
"""The length of a bar in nanoseconds; hashable and ordered, shortest first."""

NANOS_PER_MS = 1_000_000
NANOS_PER_S = 1_000_000_000
HOUR = 3_600 * NANOS_PER_S
DAY = 24 * HOUR
WEEK = 7 * DAY
# The epoch was a Thursday; weeks open on Mondays.
_MONDAY = 4 * DAY
_UNITS = {"s": NANOS_PER_S, "m": 60 * NANOS_PER_S, "h": HOUR, "d": DAY, "w": WEEK}
_TIMEFRAME = re.compile(r"([1-9]\d{0,5})([smhdw])")
# As other programs write them: 5min, 1 hour, 1D, M5. A lonely M behind a number is a month.
_NEAR_TIMEFRAME = re.compile(
    r"(?P<count>[1-9]\d{0,5})\s*(?P<unit>[shdw]|m(?=.))(?:ec(?:ond)?|in(?:ute)?|r|our|ay|eek)?s?"
    r"|(?P<first>[smhdw])(?P<then>[1-9]\d{0,5})",
    re.IGNORECASE,
)


class Unit(NamedTuple):
    """A unit in which others write epoch times: ``low`` is a moment of 2001 or before, ``high`` one of 5138."""

    name: str
    nanos: int
    low: int
    high: int


_EPOCH_UNITS = (
    Unit("seconds", NANOS_PER_S, 10**9, 10**11),
    Unit("milliseconds", NANOS_PER_MS, 10**11, 10**14),
    Unit("microseconds", 1_000, 10**14, 10**17),
    Unit("nanoseconds", 1, 10**17, 10**19),
)


def unit_of(number: int) -> Unit | None:
    """Return the unit in which ``number`` is a time since 1973 (seconds: 2001); ``None`` for what is none."""
    return next((unit for unit in _EPOCH_UNITS if unit.low <= number < unit.high), None)


def from_ms(ms: int) -> Nanos:
    """Return epoch milliseconds as ``Nanos``."""
    return Nanos(ms * NANOS_PER_MS)


def to_ms(ts: int) -> int:
    """Return ``Nanos`` as epoch milliseconds, floored."""
    return ts // NANOS_PER_MS


def parse_timeframe(text: str) -> Timeframe:
    """Return the timeframe named by ``text``: a whole number and one of s, m, h, d, w.

    Raises ``ValueError`` on any other text.

    >>> parse_timeframe("5m") // NANOS_PER_S
    300
    """
    match = _TIMEFRAME.fullmatch(text)
    if match is None:
        near = _near_timeframe(text)
        hint = "" if near is None else f"; did you mean {near}?"
        raise ValueError(f"timeframe {text!r} is not a number and a unit, such as 5m, 1h or 1d{hint}")
    return Timeframe(int(match[1]) * _UNITS[match[2]])


def _near_timeframe(text: str) -> str | None:
    match = _NEAR_TIMEFRAME.fullmatch(text.strip())
    if match is None:
        return None
    return f"{match['count'] or match['then']}{(match['unit'] or match['first']).lower()}"


def timeframe_name(timeframe: int) -> str:
    """Return the shortest name of ``timeframe``, with the largest unit that divides it.

    >>> timeframe_name(parse_timeframe("60m"))
    '1h'
    """
    for unit in "wdhms":
        if timeframe % _UNITS[unit] == 0:
            return f"{timeframe // _UNITS[unit]}{unit}"
    raise ValueError(f"timeframe of {timeframe} ns is not a whole number of seconds")


def floor_to(ts: int, timeframe: int) -> Nanos:
    """Return the opening time of the ``timeframe`` bucket that holds ``ts``; weeks open on Monday."""
    offset = _MONDAY if timeframe % WEEK == 0 else 0
    return Nanos(ts - (ts - offset) % timeframe)
