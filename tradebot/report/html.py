"""A report as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeAlias

from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment, money

_Cell: TypeAlias = tuple[str, str]
"""A text and its class."""

_WIDTH, _HEIGHT = 960, 260
_BUCKETS = 480
_STYLE = """
:root { color-scheme: light dark; --line: #2563eb; --rule: #8884; --good: #15803d; --bad: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --line: #60a5fa; --good: #4ade80; --bad: #f87171 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .6rem; text-align: right }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; border: 1px solid var(--rule) }
.good { color: var(--good) } .bad { color: var(--bad) } .wide { overflow-x: auto }
"""
_SUMMARY = (
    "starting_equity",
    "ending_equity",
    "net_pnl",
    "gross_pnl",
    "fees",
    "funding",
    "deposits",
    "residual",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "avg_win",
    "avg_loss",
    "max_drawdown_pct",
    "sharpe",
    "sortino",
    "calmar",
    "var95",
    "cvar95",
    "kelly",
    "exposure_pct",
)
_GROUP = ("trades", "win_rate", "profit_factor", "gross_pnl", "fees", "funding", "net_pnl")
_OPEN = ("symbol", "strategy", "side", "qty", "entry_price", "mark_price", "unrealized_pnl")
_TRADE = ("exit_ts", "symbol", "strategy", "side", "qty", "entry_price", "exit_price", "exit_reason", "net_pnl")
_ASSUMED = ("symbol", "price", "tick")
_SIGNED = frozenset({"net_pnl", "gross_pnl", "funding", "unrealized_pnl", "expectancy"})
_AMOUNTS = _SIGNED | {
    "starting_equity",
    "ending_equity",
    "fees",
    "deposits",
    "residual",
    "avg_win",
    "avg_loss",
    "equity",
}


def report_html(
    document: Mapping[str, Json], trades: Sequence[Mapping[str, Json]] = (), *, title: str = "tradebot report"
) -> str:
    """Return the page of a ``report`` document and, where given, its ``trades`` rows."""
    span = f"{moment(document.get('since'))} to {moment(document.get('until'))} UTC"
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(span)}</p>",
        "<h2>Equity</h2>",
        equity_svg(document.get("equity_curve")),
        "<h2>Summary</h2>",
        _table(("", ""), ([(key.replace("_", " "), ""), _value(document, key)] for key in _SUMMARY)),
        *_groups(document),
        _section("Open positions", _OPEN, rows(document, "open_positions")),
        _section("Assumed ticks", _ASSUMED, rows(document, "assumed_ticks")),
        _section("Trades", _TRADE, trades),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>{''.join(parts)}</body></html>\n"
    )


def equity_svg(points: Json) -> str:
    """Return the curve ``[[ts_ms, equity], ...]`` as inline SVG; each bucket of points keeps its extremes."""
    values = _points(points)
    if len(values) < 2:
        return "<p>No curve yet.</p>"
    low, high = min(value for _, value in values), max(value for _, value in values)
    start, end = values[0][0], values[-1][0]
    x_scale = _WIDTH / max(end - start, 1)
    y_scale = (_HEIGHT - 20) / (high - low) if high > low else 0.0
    path = " ".join(
        f"{(ts - start) * x_scale:.1f},{_HEIGHT - 10 - (value - low) * y_scale:.1f}" for ts, value in _thinned(values)
    )
    label = escape(f"Equity from {low:,.2f} to {high:,.2f}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>'
        f'<polyline fill="none" stroke="var(--line)" stroke-width="1.5" points="{path}"/></svg>'
    )


def _points(points: Json) -> list[tuple[int, float]]:
    if not isinstance(points, Sequence) or isinstance(points, str):
        return []
    found = []
    for point in points:
        match point:
            case [int(ts), str(value)]:
                found.append((ts, float(value)))
            case _:
                raise ValueError(f"an equity curve is made of [ts_ms, text], not of {point!r}")
    return found


def _thinned(values: list[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    size = -(-len(values) // _BUCKETS)
    if size <= 2:
        yield from values
        return
    for first in range(0, len(values), size):
        bucket = values[first : first + size]
        extremes = {min(bucket, key=lambda point: point[1]), max(bucket, key=lambda point: point[1])}
        yield from sorted(extremes)
    yield values[-1]


def _groups(document: Mapping[str, Json]) -> Iterable[str]:
    for key, name in (("by_symbol", "symbol"), ("by_strategy", "strategy")):
        groups = section(document, key)
        listed = [{name: group, **section(groups, group)} for group in groups]
        yield _section(f"By {name}", (name, *_GROUP), listed)
    by = cell(document.get("by"))
    yield _section(f"By {by}", (by, *_GROUP), rows(document, "rows"))


def _section(title: str, keys: Sequence[str], listed: Sequence[Mapping[str, Json]]) -> str:
    if not listed:
        return ""
    head = [key.replace("_", " ") for key in keys]
    return f"<h2>{escape(title)}</h2>" + _table(head, ([_value(row, key) for key in keys] for row in listed))


def _table(head: Sequence[str], body: Iterable[Iterable[_Cell]]) -> str:
    titles = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(_td(*cell_) for cell_ in row)}</tr>" for row in body)
    return f'<div class="wide"><table><tr>{titles}</tr>{lines}</table></div>'


def _td(text: str, tone: str) -> str:
    return f'<td class="{tone}">{escape(text)}</td>' if tone else f"<td>{escape(text)}</td>"


def _value(row: Mapping[str, Json], key: str) -> _Cell:
    value = row.get(key)
    if key.endswith("_ts"):
        return moment(value), ""
    text = money(value) if key in _AMOUNTS else cell(value)
    if key in _SIGNED and any(char in "123456789" for char in text):
        return text, "bad" if text.startswith("-") else "good"
    return text, ""
