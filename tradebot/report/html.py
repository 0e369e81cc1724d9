"""A report as one page that needs nothing from anywhere: its charts, their library and every bar are inside."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from tradebot.report.assets import CHARTS, asset, chart_notice
from tradebot.report.html_parts import (
    between,
    bullets,
    day_percent,
    facts,
    histogram,
    month_map,
    table,
    tile,
    value_of,
)
from tradebot.report.labels import label, percent, shown
from tradebot.report.periods import daily_of
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment
from tradebot.report.trades import TRADE_KEYS
from tradebot.report.verdict import assumption_lines, live_venue, remark_lines, verdict_lines

_GROUP = ("trades", "win_rate", "profit_factor", "expectancy", "gross_pnl", "fees", "funding", "net_pnl")
_OPEN = ("symbol", "strategy", "side", "qty", "entry_ts", "entry_price", "mark_price", "unrealized_pnl")
_FALL = ("depth_pct", "since", "trough", "until")
_MONEY = ("starting_equity", "ending_equity", "net_pnl", "gross_pnl", "fees", "funding", "deposits", "residual")
_COSTS = ("turnover", "turnover_per_day", "fees_bps", "fees_share", "funding_share")
_TRADING = ("trades", "win_rate", "profit_factor", "expectancy", "avg_win", "avg_loss", "kelly", "avg_hold_s")
_RISK = ("max_drawdown_pct", "annual_return", "volatility", "sharpe", "sortino", "calmar", "var95", "cvar95")
_RUN = ("bars", "wall_s", "bars_per_s", "signals", "orders", "refused")
_GROUPS = (
    ("by_symbol", "symbol", "Symbol"),
    ("by_strategy", "strategy", "Strategy"),
    ("by_side", "side", "Side"),
    ("by_exit_reason", "exit_reason", "Way out"),
    ("by_regime", "regime", "Market at the entry"),
    ("by_weekday", "weekday", "Weekday of the entry"),
    ("by_hour", "hour", "Hour of the entry, UTC"),
)
_DEAL = ("stop", "targets", "pattern", "levels", "regime")
_NO_REMARK = "None: no gap, no early end, no breaker that acted, nothing left out."
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def report_html(document: Mapping[str, Json], *, title: str = "tradebot report") -> str:
    """Return the page of a ``page`` document: see ``page_document``."""
    report = section(document, "report")
    span = f"{moment(report.get('since'))} to {moment(report.get('until'))}"
    content: Mapping[str, Json] = {
        "curve": {**section(document, "curve"), "held": _held(report)},
        "series": rows(document, "series"),
        "trades": _trade_rows(document),
    }
    what = f"{_kind(report)}, {span}. Amounts are in the currency of the account, times in UTC."
    body = [
        f"<header><h1>{escape(title)}</h1><p>{escape(what)}</p></header>",
        f'<section class="verdict" aria-label="In short">{bullets(verdict_lines(report))}</section>',
        _headline(report),
        _equity(document, report),
        *_months(report),
        _distributions(report, rows(document, "trades")),
        _trades(document),
        *_details(report),
        f"<h2>What this rests on</h2>{bullets(assumption_lines(report)) or '<p>Not known.</p>'}",
        f"<h2>Remarks</h2>{bullets(remark_lines(report)) or f'<p>{_NO_REMARK}</p>'}",
        f"<footer><p>{escape(chart_notice())}</p></footer>",
    ]
    return page(title, "".join(body), asset("page.css"), content, [*map(asset, CHARTS), asset("page.js")])


def page(
    title: str, body: str, style: str = "", content: Mapping[str, Json] | None = None, scripts: Sequence[str] = ()
) -> str:
    """Return a page with ``body``, a ``style`` behind the common one, and ``scripts`` that find each ``content``."""
    return bare_page(title, body, asset("common.css") + style, content, scripts)


def bare_page(
    title: str, body: str, style: str, content: Mapping[str, Json] | None = None, scripts: Sequence[str] = ()
) -> str:
    """Return a page as ``page`` does, in the common colours, but with no other style than its own."""
    # Each for itself: what is looked at later is read later. A "<" stands in texts alone, and none may end the script.
    held = "".join(
        f'<script id="data-{name}" type="application/json">'
        + json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        + "</script>"
        for name, value in (content or {}).items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{asset('chart.css')}{style}</style></head>\n"
        f"<body>{body}{held}{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def _kind(report: Mapping[str, Json]) -> str:
    if "bars" in report:
        return "Backtest"
    assumed = section(report, "assumptions")
    if not assumed:
        return "Trading"
    return "Paper trading" if assumed.get("is_simulated") is True else f"Live on {live_venue(assumed)}"


def _headline(report: Mapping[str, Json]) -> str:
    luck, held = section(report, "uncertainty"), section(report, "benchmark")
    notes = {
        key: between(luck.get(key), lambda value, key=key: shown(key, value))  # type: ignore[misc]
        for key in ("sharpe", "sortino", "expectancy", "win_rate", "profit_factor")
    }
    held_note = f"holding: {percent(held.get('return_pct'))}" if held else ""
    fall_note = f"holding: {percent(held.get('max_drawdown_pct'))}" if held else ""
    tiles = [
        tile("Return", value_of(report, "return_pct"), held_note),
        tile("Max drawdown", value_of(report, "max_drawdown_pct"), fall_note),
        *(tile(label(key), value_of(report, key), notes.get(key, "")) for key in ("sharpe", "sortino")),
        tile("Net P&L", value_of(report, "net_pnl"), f"fees {shown('fees', report.get('fees'))}"),
        *(
            tile(label(key), value_of(report, key), notes.get(key, ""))
            for key in ("expectancy", "win_rate", "profit_factor", "trades")
        ),
        tile("Exposure", value_of(report, "exposure_pct"), "of the time"),
        tile("Beta", value_of(held, "beta"), f"correlation {shown('correlation', held.get('correlation'))}"),
        tile("Alpha a year", value_of(held, "alpha"), f"against holding, {cell(held.get('days'))} days"),
    ]
    return f'<dl class="headline">{"".join(tiles)}</dl>'


def _equity(document: Mapping[str, Json], report: Mapping[str, Json]) -> str:
    curve = section(document, "curve")
    points, drawn = curve.get("points"), curve.get("equity")
    if not isinstance(drawn, Sequence) or len(drawn) < 2:
        return "<h2>Equity</h2><p>No curve yet.</p>"
    thinned = (
        f"{len(drawn):,} of {points:,} points are drawn: the lowest and the highest of each stretch, none invented."
        if isinstance(points, int) and points > len(drawn)
        else "Every point is drawn."
    )
    holding = " Dashed: holding the symbols in equal parts, without costs." if _held(report) else ""
    start, end = (shown("equity", report.get(key)) for key in ("starting_equity", "ending_equity"))
    told = f"Equity from {start} to {end}, below it the fall from the peak"
    return asset("equity.html").replace("@TOLD@", escape(told)).replace("@NOTE@", thinned + holding)


def _held(report: Mapping[str, Json]) -> list[Json]:
    """Return what the starting equity would be worth, held, as ``[epoch seconds, amount]``."""
    found = section(report, "benchmark")
    daily, end = found.get("daily"), found.get("return_pct")
    start, since, until = (report.get(key) for key in ("starting_equity", "since", "until"))
    # Of less than a day there would be a straight line, which nothing went.
    if not isinstance(daily, list) or not daily or not isinstance(start, str):
        return []
    if not isinstance(since, int) or not isinstance(until, int) or not isinstance(end, int | float):
        return []
    held: dict[int, Json] = {since // 1000: float(start)}
    held |= {ts // 1000: worth * float(start) for ts, worth in daily if ts > since}
    held[until // 1000] = (1 + end / 100) * float(start)
    return [[ts, worth] for ts, worth in held.items()]


def _months(report: Mapping[str, Json]) -> Iterator[str]:
    months = month_map(rows(report, "monthly"))
    if months:
        yield f"<h2>Months, in percent</h2>{months}"
    yield table("Deepest drawdowns", _FALL, [dict(row) for row in rows(report, "drawdowns")], 2)


def _distributions(report: Mapping[str, Json], trades: Sequence[Mapping[str, Json]]) -> str:
    nets = [float(str(row.get("net_pnl"))) for row in trades]
    drawn = [
        histogram(nets, "Net P&L of a round trip", "{:,.2f}".format),
        histogram([value for _, value in daily_of(report)], "Return of a day", day_percent),
    ]
    orders = section(report, "monte_carlo")
    if orders:
        drawn.append(_orders(orders))
    return f'<h2>Distribution</h2><div class="pair">{"".join(drawn)}</div>' if any(drawn) else ""


def _orders(orders: Mapping[str, Json]) -> str:
    names = {
        "observed_pct": "As they came",
        "p5_pct": "5 % of orders",
        "p50_pct": "Half of them",
        "p95_pct": "95 %",
        "p99_pct": "99 %",
    }
    tiles = "".join(
        tile(name, (percent(orders.get(key)), ""), "" if key == "observed_pct" else "fall less")
        for key, name in names.items()
    )
    told = f"{cell(orders.get('samples'))} random orders, the amounts as they were; seed {cell(orders.get('seed'))}."
    title = "Deepest fall of the trades in random order, of the starting equity"
    return f"<figure><figcaption>{title}</figcaption><dl>{tiles}</dl><p>{told}</p></figure>"


def _trades(document: Mapping[str, Json]) -> str:
    has_bars = any(row.get("bars") for row in rows(document, "series"))
    if not rows(document, "trades") and not has_bars:
        return "<h2>Trades</h2><p>No closed round trip.</p>"
    return asset("trades.html")


def _trade_rows(document: Mapping[str, Json]) -> list[Json]:
    """Return each round trip and its deal as a list, in the order in which ``page.js`` names them."""
    both = zip(rows(document, "trades"), rows(document, "deals"), strict=True)
    return [[*(row.get(key) for key in TRADE_KEYS), *(deal.get(key) for key in _DEAL)] for row, deal in both]


def _details(report: Mapping[str, Json]) -> Iterator[str]:
    yield "<h2>By what they have in common</h2>"
    for key, name, title in _GROUPS:
        groups = section(report, key)
        yield table(title, (name, *_GROUP), [{name: group, **section(groups, group)} for group in groups])
    by = cell(report.get("by"))
    # Those two are shown anyway.
    if by not in ("symbol", "strategy"):
        yield table(f"By {by}", (by, *_GROUP, "equity"), rows(report, "rows"))
    yield table("Open positions", _OPEN, rows(report, "open_positions"))
    streaks, excursions = section(report, "streaks"), section(report, "excursions")
    yield f"<h2>All figures</h2><h3>Money</h3>{facts(report, _MONEY)}"
    yield f"<h3>Costs</h3>{facts(report, _COSTS)}"
    yield f"<h3>Trading</h3>{facts({**report, **streaks, **excursions}, (*_TRADING, *streaks, *excursions))}"
    yield f"<h3>Risk</h3>{facts(report, _RISK)}"
    run = [key for key in _RUN if key in report]
    if run:
        yield f"<h3>Run</h3>{facts(report, run)}"
