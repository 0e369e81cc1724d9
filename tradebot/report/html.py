"""A report as one HTML page that needs nothing else: no script, no font, no image from anywhere."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TypeAlias

from tradebot.report import chart
from tradebot.report.gaps import ends_text, gaps_text
from tradebot.report.labels import is_signed, label, shown
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment, sign
from tradebot.report.text import breakers_text, disabled_text, set_aside_text

_Cell: TypeAlias = tuple[str, str]
"""A text and its class."""

_STYLE = """
:root { color-scheme: light dark; --line: #2563eb; --rule: #8884; --good: #15803d; --bad: #b91c1c }
@media (prefers-color-scheme: dark) { :root { --line: #60a5fa; --good: #4ade80; --bad: #f87171 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .6rem; text-align: right; white-space: nowrap }
th.name, td.name { text-align: left }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .8rem; margin: .5rem 0 2rem }
dt { font-size: .85em; opacity: .8 } dd { margin: 0; font-size: 1.15em; font-variant-numeric: tabular-nums }
li { overflow-wrap: anywhere }
.good { color: var(--good) } .bad { color: var(--bad) } .wide { overflow-x: auto }
"""
_MONEY = (
    "starting_equity",
    "ending_equity",
    "net_pnl",
    "gross_pnl",
    "fees",
    "funding",
    "deposits",
    "residual",
)
_TRADING = ("trades", "win_rate", "profit_factor", "expectancy", "avg_win", "avg_loss", "exposure_pct")
_RISK = ("max_drawdown_pct", "sharpe", "sortino", "calmar", "var95", "cvar95", "kelly")
_RUN = ("bars", "wall_s", "bars_per_s", "signals", "orders", "refused")
_GROUP = ("trades", "win_rate", "profit_factor", "gross_pnl", "fees", "funding", "net_pnl")
_OPEN = ("symbol", "strategy", "side", "qty", "entry_ts", "entry_price", "mark_price", "unrealized_pnl")
_ASSUMED = ("symbol", "price", "tick")
_TRADE = (
    "symbol",
    "strategy",
    "side",
    "qty",
    "entry_ts",
    "entry_price",
    "exit_ts",
    "exit_price",
    "exit_reason",
    "net_pnl",
)
_NAMES = frozenset({"symbol", "strategy", "side", "day", "week", "month", "exit_reason"})


def report_html(
    document: Mapping[str, Json], trades: Sequence[Mapping[str, Json]] = (), *, title: str = "tradebot report"
) -> str:
    """Return the page of a ``report`` document and, where given, its ``trades`` rows."""
    span = f"{moment(document.get('since'))} to {moment(document.get('until'))} UTC"
    parts = [
        f"<h1>{escape(title)}</h1><p>{escape(span)}. Amounts are in the currency of the account.</p>",
        _remarks(document),
        "<h2>Equity</h2>",
        chart.equity_chart(document.get("equity_curve")),
        _facts("Money", document, _MONEY),
        _facts("Trading", document, _TRADING),
        _facts("Risk", document, _RISK),
        _facts("Run", document, [key for key in _RUN if key in document]),
        *_groups(document),
        _section("Open positions", _OPEN, rows(document, "open_positions")),
        _section("Assumed ticks", _ASSUMED, rows(document, "assumed_ticks")),
        _section("Trades", _TRADE, trades) or "<h2>Trades</h2><p>No closed round trip.</p>",
    ]
    return page(title, "".join(parts), chart.STYLE)


def page(title: str, body: str, style: str = "") -> str:
    """Return a whole page with ``body`` and, behind the common one, a ``style`` of its own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )


def _remarks(document: Mapping[str, Json]) -> str:
    lines = [f"strategy disabled: {line}" for line in disabled_text(document).splitlines()]
    lines += [f"breaker: {line}" for line in breakers_text(document).splitlines()]
    lines += [f"bars missing: {line}" for line in gaps_text(document).splitlines()]
    lines += set_aside_text(document).splitlines()
    lines += [f"bars end early: {line}" for line in ends_text(document).splitlines()]
    notes = document.get("data_notes")
    lines += [cell(note) for note in notes] if isinstance(notes, list) else []
    estimates = document.get("funding_estimates")
    if estimates:
        lines.append(f"funding of {cell(estimates)} hours is at the configured rate: none was known")
    if not lines:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _facts(title: str, document: Mapping[str, Json], keys: Sequence[str]) -> str:
    if not keys:
        return ""
    facts = []
    for key in keys:
        text, tone = _value(document, key)
        value = f'<dd class="{tone}">' if tone else "<dd>"
        facts.append(f"<div><dt>{escape(label(key))}</dt>{value}{escape(text)}</dd></div>")
    return f"<h2>{escape(title)}</h2><dl>{''.join(facts)}</dl>"


def _groups(document: Mapping[str, Json]) -> Iterable[str]:
    for key, name in (("by_symbol", "symbol"), ("by_strategy", "strategy")):
        groups = section(document, key)
        listed = [{name: group, **section(groups, group)} for group in groups]
        yield _section(f"By {name}", (name, *_GROUP), listed)
    by = cell(document.get("by"))
    # Those two are shown anyway.
    if by not in ("symbol", "strategy"):
        yield _section(f"By {by}", (by, *_GROUP, "equity"), rows(document, "rows"))


def _section(title: str, keys: Sequence[str], listed: Sequence[Mapping[str, Json]]) -> str:
    if not listed:
        return ""
    head = "".join(f"<th{_name_class(key)}>{escape(label(key))}</th>" for key in keys)
    body = "".join(f"<tr>{''.join(_td(key, *_value(row, key)) for key in keys)}</tr>" for row in listed)
    return f'<h2>{escape(title)}</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _td(key: str, text: str, tone: str) -> str:
    return f'<td class="{tone}">{escape(text)}</td>' if tone else f"<td{_name_class(key)}>{escape(text)}</td>"


def _name_class(key: str) -> str:
    return ' class="name"' if key in _NAMES else ""


def _value(row: Mapping[str, Json], key: str) -> _Cell:
    text = shown(key, row.get(key))
    if not is_signed(key):
        return text, ""
    return text, {-1: "bad", 0: "", 1: "good"}[sign(text)]
