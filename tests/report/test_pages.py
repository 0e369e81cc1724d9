"""A report as text and as a page."""

import hashlib
import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tradebot.report import table
from tradebot.report.assets import asset
from tradebot.report.fold import ReportFold
from tradebot.report.gaps import gap_row
from tradebot.report.html import report_html
from tradebot.report.html_parts import histogram, month_map
from tradebot.report.labels import is_signed, label, percent, shown
from tradebot.report.result_text import report_text, trades_text
from tradebot.report.verdict import assumption_lines, luck_lines, verdict_lines

GROUP = {
    "trades": 2, "win_rate": 0.5, "profit_factor": None, "gross_pnl": "12", "fees": "1", "funding": "-1",
    "net_pnl": "10",
}  # fmt: skip
REPORT: dict[str, Any] = {
    "since": 1_767_225_600_000,
    "until": 1_767_312_000_000,
    "starting_equity": "10000",
    "ending_equity": "10010.5",
    **GROUP,
    "residual": "0",
    "max_drawdown_pct": 1.25,
    "sharpe": None,
    "funding_estimates": 3,
    "open_positions": [{"symbol": "SOL", "strategy": "x", "side": "long", "qty": "1", "unrealized_pnl": "-3.5"}],
    "by_symbol": {"BTC": GROUP},
    "by_strategy": {"cross": GROUP},
    "equity_curve": [[1_767_225_600_000, "10000"], [1_767_312_000_000, "10010.5"]],
}
TRADE = {"exit_ts": 1_767_225_600_000, "symbol": "BTC", "strategy": "cross", "side": "long", "net_pnl": "10"}


DEAL = {"stop": "90", "targets": ["120"], "pattern": "fvg", "levels": {"top": "99", "bottom": "98"}, "regime": []}
SCRIPTS = 6
"""Curve, bars and trades, the library, and two of ours."""


def shown_with(report: dict[str, Any], trade: dict[str, Any] = TRADE, deal: dict[str, Any] = DEAL) -> dict[str, Any]:
    curve = {"points": 2, "equity": [[0, 1.0], [60, 2.0]], "underwater": [[0, 0.0], [60, 0.0]]}
    return {"report": report, "curve": curve, "trades": [trade], "deals": [deal], "series": []}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_page_needs_nothing_from_anywhere() -> None:
    page = report_html(shown_with(REPORT))
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag, attributes in tags.seen if {"src", "href", "onload"} & attributes.keys()]
    assert [tag for tag, _ in tags.seen].count("script") == SCRIPTS
    assert "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:" in page
    # The licence of the charts asks for its name and a word on whose they are.
    assert "Copyright (c) 2026 TradingView, Inc." in page
    assert page.startswith("<!doctype html>")


def test_the_chart_library_is_the_one_that_its_notice_names() -> None:
    said = re.search(r"sha256: ([0-9a-f]{64})", asset("lightweight-charts.NOTICE"))
    assert said is not None
    assert hashlib.sha256(asset("lightweight-charts.js").encode()).hexdigest() == said[1]
    assert "Apache License" in asset("lightweight-charts.LICENSE")


@given(st.text(min_size=1))
def test_no_name_can_add_markup_to_a_page(name: str) -> None:
    evil = f"<script>{name}</script>\"'&"
    tags = Tags()
    report = {**REPORT, "by_symbol": {evil: GROUP}, "benchmark": {"symbols": [evil], "return_pct": 1.0}}
    tags.feed(report_html(shown_with(report, {**TRADE, "strategy": evil}, {**DEAL, "pattern": evil}), title=evil))
    assert [tag for tag, _ in tags.seen].count("script") == SCRIPTS


def test_a_page_tells_the_numbers_of_the_report() -> None:
    luck = {"sharpe": [-1.0, 2.0], "expectancy": ["-3", "4.5"], "win_rate": None, "profit_factor": None}
    page = report_html(
        shown_with({**REPORT, "by": "day", "rows": [{"day": "2026-01-01", **GROUP}], "uncertainty": luck})
    )
    for part in ("10,010.50", "2026-01-01 00:00:00", "By day", ">Strategy<", "Open positions", 'class="bad">-3.50'):
        assert part in page
    for name, value in (("Max drawdown", "1.2 %"), ("Win rate", "50.0 %"), ("Trades", "2")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert "<dt>Sharpe ratio</dt><dd>-</dd><small>95 %: -1.00 to 2.00</small>" in page
    assert '<dt>Net P&amp;L</dt><dd class="good">10.00</dd>' in page


def test_a_page_remarks_on_what_a_reader_must_know() -> None:
    gap = {"symbol": "BTC", "timeframe": "1m", **gap_row(1, 10, (1_767_225_600_000, 10), (1_767_225_600_000, 10))}
    noted = {"gaps": [gap], "data_notes": ["BTC 15m: <odd>"], "disabled": [{"strategy": "mine", "reason": "it raised"}]}
    page = report_html(shown_with({**REPORT, **noted}))
    for line in (
        "strategy disabled: mine: it raised",
        "bars missing: BTC 1m: one gap of 10 bars from 2026-01-01 00:00:00",
        "BTC 15m: &lt;odd&gt;",
    ):
        assert f"<li>{line}</li>" in page
    assert "<h2>Remarks</h2><p>None" in report_html({})
    assert "No closed round trip." in report_html({})
    assert "No curve yet" in report_html({})
    text = report_text({**REPORT, **noted})
    assert "bars that are missing\nBTC 1m: one gap of 10 bars" in text
    assert "of the data\nBTC 15m: <odd>" in text


ASSUMED = {
    "venue": "simulated",
    "is_simulated": True,
    "taker_bps": 4.5,
    "maker_bps": 1.5,
    "slippage_bps": 1.0,
    "latency_ms": 0,
    "funding_rate": 0.0000125,
    "funding": {"BTC": "rates.csv"},
}
LUCK = {
    "trades": 12,
    "days": 1,
    "expectancy": ["-3", "4.5"],
    "least_trades": 30,
    "least_days": 60,
    "is_too_few_trades": True,
    "is_too_few_days": True,
    "is_expectancy_clear": False,
    "trades_to_tell": 1234,
}


def test_text_and_page_say_what_the_figures_rest_on_and_what_is_luck() -> None:
    data = {"file": "/a/b/btc.csv", "symbol": "BTC", "timeframe": "5m", "bars": 1000, **gap_row(0, 0, None, None)}
    orders = {"observed_pct": 5.0, "p50_pct": 6.0, "p95_pct": 12.0, "samples": 1000, "seed": 1}
    report = {**REPORT, "assumptions": ASSUMED, "uncertainty": LUCK, "monte_carlo": orders, "data": [data]}
    page, text = report_html(shown_with(report)), report_text(report)
    for part in (
        "Fees: 4.5 bp of the notional for takers, 1.5 bp for makers",
        "Slippage: 1 bp against us",
        "BTC from rates.csv; 3 hours without a known rate paid 0.00125 %",
        "1,000 bars of BTC 5m",
        "no gap (btc.csv)",
        "12 round trips, and fewer than 30 say nothing",
        "1 full day, and Sharpe ratios of fewer than 60 are noise",
        "would say -3.00 to 4.50 (95 %), so it cannot be told from nothing; it would take about 1,234 such trades",
        "by 12.0 % or more in one of 20 orders",
    ):
        assert part in page
        assert part in " ".join(text.split())


def test_sentences_fit_what_is_known() -> None:
    assert assumption_lines({}) == []
    live = {"assumptions": {"venue": "hyperliquid", "network": "mainnet", "is_simulated": False}}
    assert assumption_lines(live) == [
        "Fees, funding and fills are those that hyperliquid mainnet booked: nothing of them is assumed."
    ]
    assert "no file gives real rates" in assumption_lines({"assumptions": {**ASSUMED, "funding": {}}})[1]
    assert assumption_lines({"assumptions": ASSUMED})[2].endswith("Any size is filled, whatever a bar's volume.")
    share = assumption_lines({"assumptions": {**ASSUMED, "volume_share": 0.25}})[2]
    assert share.endswith("Orders take at most 25.0 % of a bar's volume.")
    clear = {"uncertainty": {"expectancy": ["1", "2"], "is_expectancy_clear": True}, "expectancy": "1.5"}
    assert luck_lines(clear) == [
        "A round trip brought 1.50 on average; another sample of this kind would say 1.00 to 2.00 (95 %): "
        "more than chance alone."
    ]
    few = {
        "uncertainty": {"expectancy": ["1", "2"], "is_expectancy_clear": True, "is_too_few_trades": True, "trades": 3}
    }
    assert luck_lines(few)[1].endswith("1.00 to 2.00 (95 %); with so few of them even that is not to be relied on.")
    never = {"uncertainty": {"expectancy": ["-1", "1"], "is_expectancy_clear": False, "trades_to_tell": None}}
    assert luck_lines(never)[0].endswith("so it cannot be told from nothing.")
    assert luck_lines({}) == luck_lines({"uncertainty": {"expectancy": None}}) == []
    held = {**REPORT, "return_pct": 2.5, "benchmark": {"symbols": ["BTC"], "return_pct": -3.25}}
    assert verdict_lines(held)[0] == (
        "The account went from 10,000.00 to 10,010.50: +2.5 % in 1.0 days; holding BTC without costs: -3.2 %."
    )


def test_a_page_says_whether_it_was_real() -> None:
    for report, kind in (
        ({"bars": 1}, "Backtest, "),
        ({"assumptions": ASSUMED}, "Paper trading, "),
        ({"assumptions": {"venue": "hyperliquid", "network": "testnet"}}, "Live on hyperliquid testnet, "),
        ({}, "Trading, "),
    ):
        assert f"<p>{kind}" in report_html({"report": report})


def test_months_are_a_map_that_reads_without_colour() -> None:
    months = [{"month": "2025-12", "return": 0.1}, {"month": "2026-01", "return": -0.05}, {"month": "2026-03"}]
    drawn = month_map(months)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", drawn)
    assert cells[1:14] == [*[""] * 11, "+10.0", "+10.0"]
    assert cells[14:] == ["-5.0", *[""] * 11, "-5.0"]
    assert month_map([]) == ""


@given(st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_a_histogram_holds_each_value_once_and_never_mixes_gains_with_losses(values: list[float]) -> None:
    drawn = histogram(values, "name", "{:.9g}".format)
    if len(set(values)) < 2:
        assert drawn == ""
        return
    bars = re.findall(r'<i class="(up|down)" style="height:([\d.]+)%" title="(\S+) to (\S+): ([\d,]+)">', drawn)
    assert sum(int(count.replace(",", "")) for *_, count in bars) == len(values)
    assert max(float(height) for _, height, *_ in bars) == 100
    assert f"{len(values):,} values" in drawn


def test_no_key_of_a_report_is_shown_raw() -> None:
    whole = {**ReportFold().result(), **REPORT, "bars": 1, "wall_s": 1.5, "uncertainty": LUCK, "assumptions": ASSUMED}
    page = report_html(shown_with({**whole, "by": "day", "rows": [{"day": "2026-01-01", **GROUP}]}))
    text = report_text({**REPORT, "bars": 1, "wall_s": 1.5})
    for shown_text in (re.sub(r"(?s)<style>.*?</style>|<script.*?</script>|<[^>]*>", " ", page), text):
        assert not re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b|\b(?:pct|pnl|avg|ts)\b", shown_text)


def test_report_text_tells_money_ratios_and_groups() -> None:
    told = report_text({**REPORT, "bars": 10, "refused": 2, "by": "month", "rows": [{"month": "2026-01", **GROUP}]})
    for line in (
        "Equity           10,000.00 -> 10,010.50",
        "Funding          -1.00 (3 hours at the configured rate)",
        "Max drawdown     1.2 %",
        "Win rate         50.0 %",
        "Sharpe ratio     -",
        "still open",
        "2026-01       2    50.0 %              -      12.00  1.00    -1.00    10.00",
        "Signals refused  2",
    ):
        assert line in told
    assert trades_text([]) == "no closed round trip yet"
    assert "10.00" in trades_text([TRADE])
    assert isinstance(report_text({}), str)


def test_cells_of_any_kind_stay_on_their_line() -> None:
    values: list[Any] = [None, "", True, 0.5, 3.14159, "a\nb", "x\x1b[31m", 7]
    assert [table.cell(value) for value in values] == ["-", "-", "yes", "0.5", "3.14", "a?b", "x?[31m", "7"]
    assert [table.money(value) for value in ["1234.5", "0.00001234", "0", "-2", "word", None, 3]] == [
        "1,234.50", "0.00001234", "0.00", "-2.00", "word", "-", "3",
    ]  # fmt: skip
    assert [table.duration(value) for value in [5, 65, 90_061, None]] == ["5s", "1m 5s", "1d 1h", "-"]
    assert [table.moment(value) for value in [None, 10**30, 0]] == ["-", str(10**30), "1970-01-01 00:00:00"]
    assert table.signed("0.00", True) == "0.00"
    assert table.signed("-1.00", True) == "\x1b[31m-1.00\x1b[0m"


def test_values_have_their_units() -> None:
    assert [percent(value) for value in (12.345, -4.18, 0.5, 0.0371, 0, 0.000001, None)] == [
        "12.3 %", "-4.2 %", "0.5 %", "0.037 %", "0 %", "0.000001 %", "-",
    ]  # fmt: skip
    assert [shown("win_rate", 0.4048), shown("max_drawdown_pct", 4.18), shown("trades", 1234)] == [
        "40.5 %",
        "4.2 %",
        "1,234",
    ]
    assert [shown("wall_s", 1.234), shown("bars_per_s", 123456.7), shown("sharpe", None)] == [
        "1.23 s",
        "123,457 bars/s",
        "-",
    ]
    assert [shown("fees", value) for value in ("0.2945768", "0", "12.345", "word", 3, None)] == [
        "0.2946", "0.00", "12.35", "word", "3", "-",
    ]  # fmt: skip
    assert (label("max_drawdown_pct"), label("some_key"), shown("some_key", 7)) == ("Max drawdown", "Some key", "7")
    assert (is_signed("net_pnl"), is_signed("fees"), is_signed("some_key")) == (True, False, False)
