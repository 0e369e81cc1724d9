"""A browser opens the page of a run, draws it, and goes to a trade."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser import opened
from tradebot.report.document import document
from tradebot.report.html import report_html
from tradebot.report.page_document import page_document
from tradebot.report.tape import Tape
from tradebot.report.uncertainty import with_uncertainty
from tradebot.runtime.backtest import run_backtest
from tradebot.settings.load import load_settings

CONFIG = """
[bot]
name = "x"
symbols = ["BTC", "ETH"]
[feed]
kind = "generated"
bars = 3000
[[strategy]]
kind = "sma_cross"
fast = 5
slow = 15
target = { kind = "r", r = 2.0 }
[risk]
size = { kind = "notional", notional = "1000" }
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "bot.toml").write_text(CONFIG)
    tape = Tape()
    result = run_backtest(load_settings(home=folder, config_files=[folder / "bot.toml"], environ={}), tape=tape)
    report = with_uncertainty(result.document, result.trades)
    found: dict[str, Any] = json.loads(document(page_document(report, result.trades, tape)))
    return found


def test_a_browser_draws_the_newest_trade(shown: dict[str, Any], tmp_path: Path) -> None:
    noted, page = opened(tmp_path, report_html(shown, title="a run"))
    assert int(noted["trade"]) == len(shown["trades"]) > 100
    assert int(noted["candles"]) > 40
    assert noted["step"] == "60000"
    assert 0 < int(noted["rows"]) <= 25
    assert f"of {len(shown['trades'])} trades" in page.replace(",", "")
    assert "every bar, 1m" in page


def test_a_link_names_a_trade_and_its_words_say_what_the_chart_shows(shown: dict[str, Any], tmp_path: Path) -> None:
    noted, page = opened(tmp_path, report_html(shown), "#trade=7")
    trade, deal = shown["trades"][6], shown["deals"][6]
    assert noted["trade"] == "7"
    for words in (
        f"{trade['side']} {trade['qty']} {trade['symbol']}",
        f"by {trade['exit_reason']}",
        f"stop {deal['stop']}",
    ):
        assert words in page


def test_a_run_without_a_trade_and_one_without_a_bar_open_too(shown: dict[str, Any], tmp_path: Path) -> None:
    noted, _ = opened(tmp_path, report_html({**shown, "trades": [], "deals": []}))
    assert int(noted["candles"]) > 100
    assert "trade" not in noted
    noted, page = opened(tmp_path, report_html({**shown, "series": []}))
    assert int(noted["trade"]) == len(shown["trades"])
    assert "no bars of" in page
