"""Times as other programs write them, to epoch milliseconds: epochs of any unit, ISO 8601, and what spreadsheets make.

A stamp without a zone is UTC, unless somebody names one. A date such as 03/04/2025 is read only once a day above 12, or
somebody, has said which number is the month.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from tradebot.model.time import NANOS_PER_MS, NANOS_PER_S, unit_of
from tradebot.store.batches import RowFault, quoted

DateOrder = Literal["ymd", "dmy", "mdy"]
UNITS = {"s": NANOS_PER_S, "ms": NANOS_PER_MS, "us": 1_000, "ns": 1}
_DAY_MS = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of stamps without a zone
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_EPOCH_TEXT = re.compile(r"\d{9,19}(\.\d*)?|\d(\.\d+)?[eE]\+?\d{1,2}")
_YEAR_FIRST = re.compile(r"(\d{4})([-./]?)(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([-./])(\d{1,2})\2(\d{4})")
_MONTH_NAMED = re.compile(r"([A-Za-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})|(\d{1,2})[- ]([A-Za-z]{3})[a-z]*[- ](\d{4})")
_DATE = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}|\d{8}|[A-Za-z]{3}[a-z]*\.? \d{1,2},? \d{4}"
    r"|\d{1,2}[- ][A-Za-z]{3}[a-z]*[- ]\d{4}"
)
_CLOCK = re.compile(
    r"(?P<hh>\d{2})(?P<mm>\d{2})(?P<ss>\d{2})?(?!\d)"
    r"|(?P<h>\d{1,2})(?::(?P<m>\d{2}))?(?::(?P<s>\d{2}))?(?:[.,](?P<f>\d{1,9}))?"
)
_ZONE = re.compile(r"\s*(?:Z|z|UTC|GMT)?\s*(?:(?P<sign>[+-])(?P<h>\d{2}):?(?P<m>\d{2})?)?")
_HALF = re.compile(r"[\s-]*([AaPp])\.?[Mm]\.?$")


def parse_zone(text: str) -> tzinfo:
    """Return the zone of a name such as ``Europe/Athens`` or an offset such as ``+02:00``. Raises ``ValueError``."""
    match = re.fullmatch(r"([+-])(\d{1,2})(?::?(\d{2}))?", text)
    if match is not None:
        away = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-away if match[1] == "-" else away)
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is no zone, such as Europe/Athens or +02:00") from error


def is_stamp(text: str) -> bool:
    """Return whether ``text`` is a time, in any of the ways that are read."""
    text = text.strip()
    if _EPOCH_TEXT.fullmatch(text):
        return True
    match = _DATE.match(text)
    if match is None:
        return False
    try:
        return not text[match.end() :].strip() or _clock(text[match.end() :])[0] >= 0
    except RowFault:
        return False


def is_date(text: str) -> bool:
    """Return whether ``text`` is a day without a time."""
    return _DATE.fullmatch(text.strip()) is not None


def is_clock(text: str) -> bool:
    """Return whether ``text`` is a time of the day with its colon."""
    return ":" in text and _CLOCK.fullmatch(text.strip()) is not None


def date_order(cells: Iterable[str]) -> DateOrder | None:
    """Return in which order days, months and years stand; ``None`` where no day above 12 tells."""
    for cell in cells:
        match = _YEAR_LAST.match(cell.strip())
        if match is None:
            return "ymd"
        if match[2] == "." or int(match[1]) > 12:
            return "dmy"
        if int(match[3]) > 12:
            return "mdy"
    return None


class Stamps:
    """Turns the cells of a column of times into epoch milliseconds."""

    def __init__(self, *, unit: str | None = None, order: DateOrder = "ymd", zone: tzinfo = UTC) -> None:
        self._unit = unit
        self._zone = zone
        self._dates: Callable[[str], int] = lru_cache(4096)(lambda text: _day_ms(text, order))

    def parse(self, cells: Sequence[str]) -> list[int]:
        """Return the times. Raises ``ValueError`` when one is none: ``parse_one`` says which."""
        return (
            self._epochs(cells)
            if _EPOCH_TEXT.fullmatch(cells[0].strip()) and not self._is_day(cells[0])
            else (list(map(self.parse_one, cells)))
        )

    def parse_one(self, cell: str) -> int:
        """Return the time of one cell. Raises ``RowFault``."""
        text = cell.strip()
        if self._unit is not None or (_EPOCH_TEXT.fullmatch(text) and not self._is_day(text)):
            return self._epoch(text)
        match = _DATE.match(text)
        if match is None:
            raise RowFault(f"{quoted(cell)} is not a time")
        ms, zone_ms = _clock(text[match.end() :])
        ms += self._dates(match[0])
        return self._in_zone(ms) if zone_ms is None else ms - zone_ms

    def _is_day(self, text: str) -> bool:
        # 20250101000000 and 202501010000 are dates that no epoch of a market's past could be.
        digits = text.strip()
        if self._unit is not None or len(digits) not in (12, 14) or not digits.isdigit():
            return False
        return digits[:2] in ("19", "20") and 1 <= int(digits[4:6]) <= 12 and 1 <= int(digits[6:8]) <= 31

    def _in_zone(self, ms: int) -> int:
        if self._zone is UTC:
            return ms
        away = self._zone.utcoffset(_EPOCH + timedelta(milliseconds=ms))
        return ms if away is None else ms - away // timedelta(milliseconds=1)

    def _epochs(self, cells: Sequence[str]) -> list[int]:
        numbers = list(map(int, cells)) if "." not in cells[0] and "e" not in cells[0].lower() else None
        if numbers is None or "_" in "".join(cells):
            return list(map(self._epoch, cells))
        nanos = _nanos_of(self._unit, min(numbers)), _nanos_of(self._unit, max(numbers))
        if nanos[0] != nanos[1]:
            return list(map(self._epoch, cells))
        times, parts = (nanos[0] // NANOS_PER_MS, 1) if nanos[0] >= NANOS_PER_MS else (1, NANOS_PER_MS // nanos[0])
        if parts > 1 and any(number % parts for number in numbers):
            return list(map(self._epoch, cells))
        return [number * times // parts for number in numbers]

    def _epoch(self, cell: str) -> int:
        try:
            number = Decimal(cell.strip()) if "_" not in cell else Decimal("NaN")
            whole = int(number)
        except (InvalidOperation, ValueError, OverflowError):
            raise RowFault(f"{quoted(cell)} is not a time") from None
        ms = number * _nanos_of(self._unit, whole) / NANOS_PER_MS
        if ms != int(ms):
            raise RowFault(f"{quoted(cell)} is not a whole number of milliseconds")
        return int(ms)


def unit_name(cell: str, unit: str | None) -> str:
    """Return in words of which unit an epoch is; empty for a date."""
    if unit is not None:
        return {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    text = cell.strip()
    if not _EPOCH_TEXT.fullmatch(text) or Stamps()._is_day(text):
        return ""
    found = unit_of(int(Decimal(text)))
    return "" if found is None else found.name


def _nanos_of(unit: str | None, number: int) -> int:
    if unit is not None:
        return UNITS[unit]
    found = unit_of(number)
    if found is None:
        raise RowFault(f"{number} is a time of no unit that is known: say which, such as --unit s")
    return found.nanos


def _day_ms(text: str, order: DateOrder) -> int:
    match = _YEAR_FIRST.fullmatch(text)
    if match is not None:
        year, month, day = match[1], match[3], match[4]
    elif (match := _YEAR_LAST.fullmatch(text)) is not None:
        year, month, day = match[4], *((match[1], match[3]) if order == "mdy" else (match[3], match[1]))
    elif (match := _MONTH_NAMED.fullmatch(text)) is not None and (match[1] or match[5]).lower() in _MONTHS:
        year, day = match[3] or match[6], match[2] or match[4]
        month = str(_MONTHS.index((match[1] or match[5]).lower()) + 1)
    else:
        raise RowFault(f"{quoted(text)} is not a date")
    try:
        return (date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY) * _DAY_MS
    except ValueError:
        raise RowFault(f"{quoted(text)} is not a date") from None


@lru_cache(4096)
def _clock(text: str) -> tuple[int, int | None]:
    """Return the ms since midnight, and how far its zone is ahead, ``None`` without one."""
    rest = text.strip(" ,T\t\u202f")
    if not rest:
        return 0, None
    half = _HALF.search(rest)
    if half is not None:
        rest = rest[: half.start()]
    match = _CLOCK.match(rest)
    zone = None if match is None else _ZONE.fullmatch(rest[match.end() :])
    if match is None or zone is None:
        raise RowFault(f"{quoted(text)} is not a time of the day")
    hour, minute, second = (int(match[a] or match[b] or 0) for a, b in (("h", "hh"), ("m", "mm"), ("s", "ss")))
    if half is not None and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half[1] in "Pp" else 0)
    if hour > 23 or minute > 59 or second > 59:
        raise RowFault(f"{quoted(text)} is not a time of the day")
    ms = ((hour * 60 + minute) * 60 + second) * 1000 + int((match["f"] or "").ljust(3, "0")[:3])
    if not rest[match.end() :].strip():
        return ms, None
    away = (int(zone["h"] or 0) * 60 + int(zone["m"] or 0)) * 60_000
    return ms, -away if zone["sign"] == "-" else away
