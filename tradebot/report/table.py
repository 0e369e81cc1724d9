"""Plain text in columns, safe for a terminal: no rich, so that ``status`` answers at once."""

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence

from tradebot.report.shapes import Json

_GAP = "  "
_INDENT = "    "
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
# Words that a person looks for in a column.
_STANDING = {"ok": "green", "running": "green", "warn": "yellow", "paused": "yellow", "fail": "red", "halted": "red"}


def cell(value: Json) -> str:
    """Return a value as text on one line: absent is ``-``, and nothing in it can steer a terminal."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    text = str(value)
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def moment(ts_ms: Json) -> str:
    """Return epoch milliseconds as UTC, to the second."""
    if not isinstance(ts_ms, int) or isinstance(ts_ms, bool):
        return "-"
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ts_ms / 1000))
    except (OverflowError, OSError, ValueError):
        return str(ts_ms)


def duration(seconds: Json) -> str:
    """Return a length of time in its two largest units."""
    if not isinstance(seconds, int | float):
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def money(value: Json) -> str:
    """Return an amount with two decimals and thousands apart; small prices keep their digits."""
    if not isinstance(value, str):
        return cell(value)
    try:
        number = float(value)
    except ValueError:
        return cell(value)
    if number == 0 or abs(number) >= 1:
        return f"{number:,.2f}"
    return f"{number:.8f}".rstrip("0")


def paint(text: str, code: str, colour: bool) -> str:
    """Return ``text`` in a colour or weight where ``colour`` allows it."""
    return f"\x1b[{_CODES[code]}m{text}\x1b[0m" if colour else text


def signed(text: str, colour: bool) -> str:
    """Return an amount in green above 0 and in red below it."""
    way = sign(text)
    return paint(text, "red" if way < 0 else "green", colour) if way else text


def sign(text: str) -> int:
    """Return -1, 0 or 1: on which side of 0 the amount is, as shown."""
    if not any(char in "123456789" for char in text):
        return 0
    return -1 if text.lstrip().startswith("-") else 1


def table(
    head: Sequence[str],
    body: Iterable[Sequence[str]],
    *,
    colour: bool = False,
    left: int = 1,
    width: int | None = None,
) -> str:
    """Return rows in aligned columns: the first ``left`` of them to the left, the others to the right.

    A cell that says how something stands (``ok``, ``halted``) has its colour. Where they are wider than ``width``,
    each row goes on, indented, in lines of its own.
    """
    lines = [list(head), *(list(row) for row in body)]
    widths = [max(len(row[column]) for row in lines) for column in range(len(head))]
    texts = []
    for number, row in enumerate(lines):
        cells = [
            _coloured(text, text.ljust(size) if column < left else text.rjust(size), colour and number > 0)
            for column, (text, size) in enumerate(zip(row, widths, strict=True))
        ]
        folded = [_GAP.join(cells[first:last]).rstrip() for first, last in _folds(widths, width)]
        text = f"\n{_INDENT}".join(folded)
        texts.append(paint(text, "bold", colour) if number == 0 else text)
    return "\n".join(texts)


def listing(
    keys: Sequence[str], rows: Iterable[Mapping[str, Json]], *, colour: bool = False, width: int | None = None
) -> str:
    """Return rows as a table of texts, a column for each of ``keys``."""
    head = [key.replace("_", " ") for key in keys]
    return table(head, [columns(row, keys) for row in rows], colour=colour, left=len(keys), width=width)


def fold(text: str, width: int | None) -> str:
    """Return lines that are wider than ``width`` in several, indented."""
    if width is None:
        return text
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def _coloured(text: str, padded: str, colour: bool) -> str:
    return paint(padded, _STANDING[text], colour) if text in _STANDING else padded


def _folds(widths: Sequence[int], width: int | None) -> list[tuple[int, int]]:
    """Return the columns, from and up to, of each line of a row."""
    starts, used = [0], 0
    for column, size in enumerate(widths):
        if width is not None and column > starts[-1] and used + size > width:
            starts.append(column)
            used = len(_INDENT)
        used += size + len(_GAP)
    return list(zip(starts, [*starts[1:], len(widths)], strict=True))


def columns(row: Mapping[str, Json], keys: Sequence[str]) -> list[str]:
    """Return the cells of ``keys``; ``ts`` and a key that ends in ``_ts`` are times."""
    return [moment(row.get(key)) if f"_{key}".endswith("_ts") else cell(row.get(key)) for key in keys]


def pairs(entries: Iterable[tuple[str, str]]) -> str:
    """Return names and values, one a line, the values aligned."""
    listed = list(entries)
    width = max((len(name) for name, _ in listed), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}".rstrip() for name, value in listed)
