"""Parts of a page: facts, tables, a histogram, a map of months. They say in numbers what they say in colour."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from math import ceil, isfinite
from typing import TypeAlias

from tradebot.report.labels import is_signed, label, percent, shown
from tradebot.report.shapes import Json
from tradebot.report.table import sign

Cell: TypeAlias = tuple[str, str]
"""A text and its class."""

_NAMES = frozenset({"symbol", "strategy", "side", "day", "week", "month", "exit_reason", "regime", "weekday", "hour"})
_TONES = {-1: "bad", 0: "", 1: "good"}
_BINS = 31
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STRONG = 0.1


def value_of(row: Mapping[str, Json], key: str) -> Cell:
    """Return the value of ``key`` as it is shown, and whether it is good or bad."""
    text = shown(key, row.get(key))
    return (text, _TONES[sign(text)]) if is_signed(key) else (text, "")


def tile(name: str, cell: Cell, note: str = "") -> str:
    """Return one fact: its name, its value, and a note below."""
    text, tone = cell
    kind = f' class="{tone}"' if tone else ""
    below = f"<small>{escape(note)}</small>" if note else ""
    return f"<div><dt>{escape(name)}</dt><dd{kind}>{escape(text)}</dd>{below}</div>"


def facts(document: Mapping[str, Json], keys: Sequence[str], notes: Mapping[str, str] | None = None) -> str:
    """Return the values of ``keys`` with their names."""
    tiles = (tile(label(key), value_of(document, key), (notes or {}).get(key, "")) for key in keys)
    return f"<dl>{''.join(tiles)}</dl>"


def table(title: str, keys: Sequence[str], listed: Sequence[Mapping[str, Json]], level: int = 3) -> str:
    """Return rows as a table with a heading; nothing where there are none."""
    if not listed:
        return ""
    head = "".join(f'<th scope="col"{_name_class(key)}>{escape(label(key))}</th>' for key in keys)
    body = "".join(f"<tr>{''.join(_td(key, *value_of(row, key)) for key in keys)}</tr>" for row in listed)
    return (
        f'<h{level}>{escape(title)}</h{level}><div class="wide" tabindex="0"><table><tr>{head}</tr>{body}</table></div>'
    )


def _td(key: str, text: str, tone: str) -> str:
    return f'<td class="{tone}">{escape(text)}</td>' if tone else f"<td{_name_class(key)}>{escape(text)}</td>"


def _name_class(key: str) -> str:
    return ' class="name"' if key in _NAMES else ""


def month_map(monthly: Sequence[Mapping[str, Json]]) -> str:
    """Return the returns of months, a row a year; the deeper the colour, the larger, full at 10 %."""
    years: dict[str, dict[int, float]] = {}
    for row in monthly:
        year, _, month = str(row.get("month")).partition("-")
        value = row.get("return")
        if isinstance(value, int | float):
            years.setdefault(year, {})[int(month)] = value
    if not years:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in (*_MONTHS, "Year"))
    lines = []
    for year, months in years.items():
        whole = 1.0
        for value in months.values():
            whole *= 1 + value
        cells = "".join(_month_cell(months.get(number)) for number in range(1, 13))
        lines.append(f'<tr><th scope="row">{escape(year)}</th>{cells}{_month_cell(whole - 1)}</tr>')
    return (
        f'<div class="wide" tabindex="0"><table class="months"><tr><td></td>{head}</tr>{"".join(lines)}</table></div>'
    )


def _month_cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    tone = "var(--up)" if value >= 0 else "var(--down)"
    share = round(min(abs(value) / _STRONG, 1) * 55)
    text = f"{value * 100:+.1f}"
    return f'<td style="background:color-mix(in srgb, {tone} {share}%, transparent)">{text}</td>'


def histogram(values: Iterable[float], name: str, say: Callable[[float], str]) -> str:
    """Return how often each size of value comes, as bars; the outermost two hold all that lies beyond them."""
    ordered = sorted(value for value in values if isfinite(value))
    if len(ordered) < 2 or ordered[0] == ordered[-1]:
        return ""
    low, high = _bounds(ordered)
    width = (high - low) / _BINS
    counts = [0] * _BINS
    for value in ordered:
        counts[min(max(int((value - low) / width), 0), _BINS - 1)] += 1
    most = max(counts)
    bars = "".join(
        f'<i class="{"up" if low + (number + 0.5) * width >= 0 else "down"}" style="height:{count / most * 100:.1f}%" '
        f'title="{escape(f"{say(low + number * width)} to {say(low + (number + 1) * width)}: {count:,}")}"></i>'
        for number, count in enumerate(counts)
    )
    middle = ordered[len(ordered) // 2]
    told = (
        f"{len(ordered):,} values from {say(ordered[0])} to {say(ordered[-1])}, the middle one {say(middle)}; "
        f"the tallest bar holds {most:,}."
    )
    zero = -low / (high - low) * 100
    mark = f'<b style="left:{zero:.1f}%"></b>' if 0 < zero < 100 else ""
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<div class="bars" role="img" aria-label="{escape(told)}">{bars}{mark}</div>'
        f'<div class="ends"><span>{escape(say(low))}</span><span>{escape(say(high))}</span></div>'
        f"<p>{escape(told)}</p></figure>"
    )


def _bounds(ordered: Sequence[float]) -> tuple[float, float]:
    """Return where the bars begin and end: without the last percent of either side, where that leaves anything."""
    cut = len(ordered) // 100
    low, high = ordered[cut], ordered[-1 - cut]
    if low == high:
        low, high = ordered[0], ordered[-1]
    # 0 is between two bars: none mixes gains with losses.
    if low < 0 < high:
        width = (high - low) / (_BINS - 1)
        low = -width * ceil(-low / width)
        return low, low + width * _BINS
    return low, high


def bullets(lines: Sequence[str]) -> str:
    """Return sentences as a list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def between(pair: Json, say: Callable[[Json], str]) -> str:
    """Return an interval as a note; empty where there is none."""
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        return ""
    return f"95 %: {say(pair[0])} to {say(pair[1])}"


def day_percent(value: float) -> str:
    """Return a return as percent."""
    return percent(value * 100)
