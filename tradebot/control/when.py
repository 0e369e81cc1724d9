"""Moments as an operator writes them: ISO 8601, epoch milliseconds, or an age such as ``7d``."""

import re
from datetime import UTC, datetime, timedelta

from tradebot.model.errors import UsageError
from tradebot.model.time import NANOS_PER_MS, Nanos, from_ms, parse_timeframe, unit_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MS = 253_402_300_800_000
# Before March 1973 nothing was traded here: so small a number is seconds, or a date without its dashes.
_MIN_MS = 100_000_000_000
_NUMBER = re.compile(r"\d{9,20}")
_AGE = re.compile(r"\d{1,6}[smhdw]")


def parse_when(text: str, now: Nanos) -> Nanos:
    """Return the moment ``text`` names; an age counts back from ``now``, a time without zone is UTC.

    Raises ``UsageError``.

    >>> parse_when("2025-01-01", Nanos(0)) == parse_when("1735689600000", Nanos(0))
    True
    """
    if _AGE.fullmatch(text) and not text.startswith("0"):
        return Nanos(now - parse_timeframe(text))
    if _NUMBER.fullmatch(text):
        return _from_number(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        mend = "write 2026-03-01, 2026-03-01T12:00Z, epoch milliseconds, or an age such as 7d"
        raise UsageError(f"{text!r} is no time", mend=mend) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    # Whole microseconds, never a float: a window's edge must be exact.
    return Nanos((aware - _EPOCH) // timedelta(microseconds=1) * (NANOS_PER_MS // 1000))


def _from_number(text: str) -> Nanos:
    number = int(text)
    if _MIN_MS <= number < _MAX_MS:
        return from_ms(number)
    unit = unit_of(number)
    if unit is not None and unit.nanos != NANOS_PER_MS:
        in_ms = number * unit.nanos // NANOS_PER_MS
        raise UsageError(f"{text} looks like {unit.name}; times are epoch milliseconds", mend=f"write {in_ms}")
    raise UsageError(f"{text} is no time in epoch milliseconds", mend="write 2026-03-01, or such as 1772323200000")
