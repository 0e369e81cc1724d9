"""Moments as an operator writes them: ISO 8601, epoch milliseconds, or an age such as ``7d``."""

import re
from datetime import UTC, datetime, timedelta

from tradebot.model.errors import UsageError
from tradebot.model.time import NANOS_PER_MS, Nanos, from_ms, parse_timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MS = 253_402_300_800_000
_MS = re.compile(r"\d{5,15}")
_AGE = re.compile(r"\d{1,6}[smhdw]")


def parse_when(text: str, now: Nanos) -> Nanos:
    """Return the moment ``text`` names; an age counts back from ``now``, a time without zone is UTC.

    Raises ``UsageError``.

    >>> parse_when("1970-01-02", Nanos(0)) == parse_when("86400000", Nanos(0))
    True
    """
    if _AGE.fullmatch(text) and not text.startswith("0"):
        return Nanos(now - parse_timeframe(text))
    if _MS.fullmatch(text) and int(text) < _MAX_MS:
        return from_ms(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        mend = "write 2026-03-01, 2026-03-01T12:00Z, epoch milliseconds, or an age such as 7d"
        raise UsageError(f"{text!r} is no time", mend=mend) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    # Whole microseconds, never a float: a window's edge must be exact.
    return Nanos((aware - _EPOCH) // timedelta(microseconds=1) * (NANOS_PER_MS // 1000))
