"""A report as text and as a page."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.report import table
from tradebot.report.html import equity_svg, report_html
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


@given(st.lists(st.integers(-(10**6), 10**6), max_size=3000))
def test_the_curve_keeps_its_extremes_and_stays_small(values: list[int]) -> None:
    svg = equity_svg([[number * 1000, str(value)] for number, value in enumerate(values)])
    points = re.search(r'points="([^"]*)"', svg)
    if len(values) < 2:
        assert points is None
        return
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert len(heights) <= 1000
    if min(values) < max(values):
        assert (min(heights), max(heights)) == (10.0, 250.0)


def test_report_text_tells_money_ratios_and_groups() -> None:
    shown = report_text({**REPORT, "bars": 10, "refused": 2, "by": "month", "rows": [{"month": "2026-01", **GROUP}]})
    assert "equity         10,000.00 -> 10,010.50" in shown
    assert "funding        -1.00 (3 hours at the configured rate)" in shown
    assert "sharpe         -" in shown
    assert "still open" in shown
    assert "2026-01" in shown
    assert "refused  2" in shown
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
    svg = equity_svg([[number, str(value)] for number, value in enumerate(values)])
    points = re.search(r'points="([^"]*)"', svg)
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert (len(heights) <= 1000, min(heights), max(heights)) == (True, 10.0, 250.0)


def test_a_curve_that_is_none_is_refused_or_left_out() -> None:
    assert equity_svg("nonsense") == equity_svg(None) == "<p>No curve yet.</p>"
    with pytest.raises(ValueError, match="ts_ms"):
        equity_svg([["x"], [1, 2]])
