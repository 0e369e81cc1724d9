"""A report as text and as a page."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tradebot.report import table
from tradebot.report.chart import equity_chart
from tradebot.report.gaps import gap_row
from tradebot.report.html import report_html
from tradebot.report.labels import is_signed, label, percent, shown
from tradebot.report.result_text import report_text, trades_text

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


def curve(chart: str) -> list[tuple[float, float]]:
    points = re.search(r'points="([^"]*)"', chart)
    assert points is not None
    pairs = [point.split(",") for point in points[1].split()]
    return [(float(x), float(y)) for x, y in pairs]


def scale(chart: str) -> list[float]:
    return [float(name.replace(",", "")) for name in re.findall(r'class="y"[^>]*>([^<]*)<', chart)]


def dates(chart: str) -> list[tuple[float, str]]:
    return [(float(left), name) for left, name in re.findall(r'class="x[^"]*" style="left:([\d.]+)%">([^<]*)<', chart)]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_a_page_needs_nothing_from_anywhere() -> None:
    page = report_html(REPORT, [TRADE])
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag, attributes in tags.seen if {"src", "href", "onload"} & attributes.keys()]
    assert "script" not in {tag for tag, _ in tags.seen}
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


@given(st.text(min_size=1))
def test_no_name_can_add_markup_to_a_page(name: str) -> None:
    evil = f"<script>{name}</script>\"'&"
    tags = Tags()
    tags.feed(report_html({**REPORT, "by_symbol": {evil: GROUP}}, [{**TRADE, "strategy": evil}], title=evil))
    assert "script" not in {tag for tag, _ in tags.seen}


def test_a_page_tells_the_numbers_of_the_report() -> None:
    page = report_html({**REPORT, "by": "day", "rows": [{"day": "2026-01-01", **GROUP}]}, [TRADE])
    for part in ("10,010.50", "2026-01-01 00:00:00", "By day", "By strategy", "Open positions", 'class="bad">-3.50'):
        assert part in page
    for name, value in (("Max drawdown", "1.2 %"), ("Win rate", "50.0 %"), ("Sharpe ratio", "-"), ("Trades", "2")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert '<dt>Net P&amp;L</dt><dd class="good">10.00</dd>' in page


def test_a_page_remarks_on_what_a_reader_must_know() -> None:
    gap = {"symbol": "BTC", "timeframe": "1m", **gap_row(1, 10, (1_767_225_600_000, 10), (1_767_225_600_000, 10))}
    noted = {"gaps": [gap], "data_notes": ["BTC 15m: <odd>"], "disabled": [{"strategy": "mine", "reason": "it raised"}]}
    page = report_html({**REPORT, **noted})
    for line in (
        "strategy disabled: mine: it raised",
        "bars missing: BTC 1m: one gap of 10 bars from 2026-01-01 00:00:00",
        "BTC 15m: &lt;odd&gt;",
        "funding of 3 hours is at the configured rate: none was known",
    ):
        assert f"<li>{line}</li>" in page
    assert "Remarks" not in report_html({})
    assert "No closed round trip." in report_html({})
    text = report_text({**REPORT, **noted})
    assert "bars that are missing\nBTC 1m: one gap of 10 bars" in text
    assert "of the data\nBTC 15m: <odd>" in text


def test_no_key_of_a_report_is_shown_raw() -> None:
    page = report_html(
        {**REPORT, "bars": 1, "wall_s": 1.5, "by": "day", "rows": [{"day": "2026-01-01", **GROUP}]}, [TRADE]
    )
    text = report_text({**REPORT, "bars": 1, "wall_s": 1.5})
    for shown_text in (re.sub(r"<style>.*?</style>|<[^>]*>", " ", page), text):
        assert not re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b|\b(?:pct|pnl|avg|ts)\b", shown_text)


@given(st.lists(st.integers(-(10**6), 10**6), max_size=3000))
def test_the_curve_keeps_its_extremes_and_stays_small(values: list[int]) -> None:
    chart = equity_chart([[number * 1000, str(value)] for number, value in enumerate(values)])
    if len(values) < 2:
        assert "points" not in chart
        return
    drawn = curve(chart)
    assert len(drawn) <= 1000
    heights = scale(chart)
    # The axis holds the curve, and is no more than twice as long.
    assert heights[0] <= min(values)
    assert max(values) <= heights[-1]
    assert heights[-1] - heights[0] <= 2 * max(max(values) - min(values), abs(values[0]) * 0.02, 0.02)
    for value in (min(values), max(values)):
        place = 300 * (1 - (value - heights[0]) / (heights[-1] - heights[0]))
        assert min(abs(y - place) for _, y in drawn) < 0.2


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


def test_a_curve_of_many_points_is_thinned_to_its_extremes() -> None:
    values = [1000 + (number * 7919) % 500 for number in range(100_000)]
    values[77_777], values[5] = 1, 5000
    chart = equity_chart([[number, str(value)] for number, value in enumerate(values)])
    drawn = [y for _, y in curve(chart)]
    assert (len(drawn) <= 1000, scale(chart)) == (True, [0, 1000, 2000, 3000, 4000, 5000])
    assert (min(drawn), max(drawn)) == (0.0, 299.9)


def test_a_curve_that_is_none_is_refused_or_left_out() -> None:
    assert equity_chart("nonsense") == equity_chart(None) == "<p>No curve yet.</p>"
    with pytest.raises(ValueError, match="ts_ms"):
        equity_chart([["x"], [1, 2]])


START = 1_735_689_600_000  # 2025-01-01
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("hours", "names"),
    [
        (0.5, ["00:00", "00:05", "00:10", "00:15", "00:20", "00:25", "00:30"]),
        (10, ["00:00", "02:00", "04:00", "06:00", "08:00", "10:00"]),
        (72, ["01-01 00:00", "01-01 12:00", "01-02 00:00", "01-02 12:00", "01-03 00:00", "01-03 12:00", "01-04 00:00"]),
        (24 * 5, ["2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04", "2025-01-05", "2025-01-06"]),
        (24 * 100, ["2025-01", "2025-02", "2025-03", "2025-04"]),
        (24 * 365 * 5, ["2025", "2026", "2027", "2028", "2029"]),
    ],
)
def test_dates_stand_below_the_curve(hours: float, names: list[str]) -> None:
    end = START + int(hours * HOUR)
    found = dates(equity_chart([[START, "100"], [end, "101"]]))
    assert [name for _, name in found] == names
    assert found[0][0] == 0.0


@given(st.integers(0, 7 * 10**12), st.integers(1, 2 * 10**12), st.integers(-(10**9), 10**12), st.integers(0, 10**11))
@example(0, 1, -1, 2_502_502_503)
def test_every_curve_has_readable_axes(start: int, span: int, cents: int, rise: int) -> None:
    values = [f"{cents / 100:.2f}", f"{(cents + rise) / 100:.2f}"]
    chart = equity_chart([[start, values[0]], [start + span, values[1]]])
    heights, found = scale(chart), dates(chart)
    assert 2 <= len(heights) <= 8
    assert len(set(heights)) == len(heights)
    assert heights[0] <= float(values[0]) <= float(values[1]) <= heights[-1]
    assert 1 <= len(found) <= 8
    assert all(0 <= left <= 100 for left, _ in found)
    assert len({name for _, name in found}) == len(found)


def test_a_chart_says_its_ends_and_extremes() -> None:
    chart = equity_chart(
        [[START, "1000"], [START + HOUR, "900"], [START + 2 * HOUR, "1200.5"], [START + 3 * HOUR, "1100"]]
    )
    for words in (
        "Start 1,000.00 (2025-01-01 00:00)",
        "end 1,100.00 (2025-01-01 03:00)",
        "lowest 900.00 (2025-01-01 01:00)",
        "highest 1,200.50 (2025-01-01 02:00)",
    ):
        assert words in chart


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
