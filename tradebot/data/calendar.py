"""Pictures of days: a line a month, a character a day."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta

from tradebot.model.time import DAY, Timeframe, to_ms
from tradebot.store.flaws import Flaw, FlawKind

_DAY_MS = to_ms(DAY)
_EPOCH = date(1970, 1, 1)
_HEAD = "         1   5    10   15   20   25   30"
_MOST_MONTHS = 240
_LETTERS = {
    FlawKind.GAP: "g",
    FlawKind.DUPLICATE: "d",
    FlawKind.OUTLIER: "o",
    FlawKind.DISORDER: "x",
    FlawKind.FLAT: "f",
    FlawKind.MISMATCH: "m",
    FlawKind.GRID: "s",
}


def flaw_calendar(flaws: Sequence[Flaw]) -> str:
    """Return the months that have flaws, each day of one with its letter, ``*`` with several kinds."""
    marks: dict[int, str] = {}
    for flaw in flaws:
        for day in range(day_of(flaw.ts), day_of(flaw.until - 1) + 1):
            letter = _LETTERS[flaw.kind]
            marks[day] = letter if marks.get(day, letter) == letter else "*"
    kinds = sorted({flaw.kind for flaw in flaws})
    picture = calendar(marks, min(marks), max(marks), "·", is_whole=False)
    legend = [f"{_LETTERS[kind]} {kind}" for kind in kinds] + (["* several"] if "*" in marks.values() else [])
    return f"{picture}\n         {'  '.join(legend)}"


def day_of(ts: int) -> int:
    """Return the number of the UTC day of ``ts`` ms."""
    return ts // _DAY_MS


def coverage(ts: Sequence[int], timeframe: Timeframe) -> str:
    """Return how each day is covered with bars that open at ``ts`` ms: ``█`` whole, ``░▒▓`` in part, ``·`` not."""
    found = Counter(map(day_of, ts))
    whole = max(1, DAY // timeframe)
    marks = {}
    for day, count in found.items():
        marks[day] = "█" if count >= whole else "▓" if count * 10 >= whole * 9 else "▒" if count * 2 >= whole else "░"
    # Bars of days and weeks open on one day for all that they last.
    for day in [*found] if timeframe > DAY else ():
        marks |= dict.fromkeys(range(day, day + timeframe // DAY), "█")
    return (
        calendar(marks, day_of(ts[0]), max(marks), "·") + "\n         █ whole  ▓ nearly  ▒ over half  ░ less  · no bar"
    )


def calendar(marks: Mapping[int, str], first: int, last: int, blank: str, *, is_whole: bool = True) -> str:
    """Return the days from ``first`` to ``last``, each with its mark, ``blank`` without one.

    Unless it ``is_whole``, months without any mark are left out.
    """
    lines = []
    for month in _months(first, last):
        days = []
        for number in range(31):
            day = month + timedelta(days=number)
            place = (day - _EPOCH).days
            inside = day.month == month.month and first <= place <= last
            days.append(marks.get(place, blank) if inside else " ")
        if is_whole or any(mark not in (" ", blank) for mark in days):
            lines.append(f"{month:%Y-%m}  {''.join(days)}".rstrip())
    left_out = len(lines) - _MOST_MONTHS
    note = [f"({left_out} months before are left out)"] if left_out > 0 else []
    return "\n".join([_HEAD, *note, *lines[-_MOST_MONTHS:]])


def _months(first: int, last: int) -> Iterable[date]:
    month = (_EPOCH + timedelta(days=first)).replace(day=1)
    while (month - _EPOCH).days <= last:
        yield month
        month = (month + timedelta(days=31)).replace(day=1)
