"""``tradebot.research.backtest``: the report of the command line as a mapping."""

import json
import os

import pytest

from tradebot.cli import main
from tradebot.model.errors import ConfigError
from tradebot.research import backtest

CONFIG = {
    "bot": {"name": "x", "mode": "paper", "symbols": ["BTC"]},
    "feed": {"kind": "generated", "bars": 3000},
    "venue": {"kind": "simulated"},
    "strategy": [{"kind": "sma_cross", "fast": 5, "slow": 15}],
    "risk": {"size": {"kind": "equity_fraction", "fraction": 0.5}},
}
TIMED = {"wall_s", "bars_per_s"}
TOML = """
[bot]
name = "x"
mode = "paper"
symbols = ["BTC"]
[feed]
kind = "generated"
bars = 3000
[venue]
kind = "simulated"
[[strategy]]
kind = "sma_cross"
fast = 5
slow = 15
[risk]
size = {kind = "equity_fraction", fraction = 0.5}
"""


def test_a_mapping_and_a_file_give_what_the_command_gives(tmp_path, capsys):
    path = tmp_path / "bot.toml"
    path.write_text(TOML)
    trades = tmp_path / "trades.jsonl"
    words = ["--home", tmp_path / "home", "--config", path, "backtest", "--json", "--trades", trades]
    assert main.run([*map(str, words)], {}) == 0
    printed = json.loads(capsys.readouterr().out)
    for config in (CONFIG, path, str(path)):
        report = backtest(config)
        assert {k: v for k, v in report.items() if k not in TIMED} == {
            k: v for k, v in printed.items() if k not in TIMED
        }
        assert list(report.trades) == [json.loads(line) for line in trades.read_text().splitlines()]
        assert len(report.trades) == report["trades"] > 10
        assert report.equity_curve == report["equity_curve"]


def test_a_mapping_hears_nothing_from_the_environment(monkeypatch):
    monkeypatch.setenv("TRADEBOT__FEED__BARS", "10")
    assert os.environ["TRADEBOT__FEED__BARS"]
    assert backtest(CONFIG)["bars"] == 3000


def test_what_is_wrong_is_told():
    with pytest.raises(ConfigError, match="fast"):
        backtest({**CONFIG, "strategy": [{"kind": "sma_cross", "fast": -1}]})


def test_other_bars_replace_those_of_the_configuration(tmp_path):
    rows = "".join(
        f"{t * 60_000},{p},{p + 1},{p - 1},{p},1\n" for t, p in enumerate([100 + t % 40 for t in range(400)])
    )
    (tmp_path / "bars.csv").write_text("ts_ms,open,high,low,close,volume\n" + rows)
    assert backtest(CONFIG, data=f"BTC:1m={tmp_path / 'bars.csv'}")["bars"] == 400
