"""The smart-money strategies trade in a daemon, killed twice, as they do in the backtest."""

import gzip
import itertools
import json
import os
import random
from pathlib import Path

import pytest

from tests.daemon.harness import backtest_trades, run_with_kills, tradebot, trades_of
from tradebot.pipeline.strategy.confidence import WEIGHTS

COINS = ("BTC", "ETH", "SOL")
CONFIG = """
[bot]
symbols = ["BTC", "ETH", "SOL"]
[feed]
{feed}
speed = "max"
at_end = "stop"
[[strategy]]
kind = "liquidity_sweep"
symbols = ["BTC"]
swing = 2
[[strategy]]
kind = "fvg_fill"
symbols = ["ETH"]
swing = 2
bias_near = 2
bias_far = 4
[[strategy]]
kind = "bos_orderblock"
symbols = ["SOL"]
swing = 2
bias_near = 2
bias_far = 4
[risk]
size = {{ kind = "notional", notional = "1000" }}
"""


def replayed(folder: Path) -> str:
    data = os.environ.get("TRADEBOT_TEST_DATA")
    if not data:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    for coin in COINS:
        with gzip.open(Path(data) / f"hl_{coin}_15m.csv.gz", "rt") as lines:
            (folder / f"{coin}.csv").write_text("".join(itertools.islice(lines, 901)))
    return 'kind = "replay"\ndata = ' + json.dumps([f"{coin}:15m={coin}.csv" for coin in COINS])


@pytest.mark.parametrize("market", ["replay", pytest.param("generated", marks=pytest.mark.soak)])
def test_two_kills_change_no_trade_and_why_names_the_factors_of_each(market: str, tmp_path: Path) -> None:
    feed = replayed(tmp_path) if market == "replay" else 'kind = "generated"\nseed = 5\nbars = 900'
    config, home = tmp_path / "tradebot.toml", tmp_path / "home"
    config.write_text(CONFIG.format(feed=feed))
    expected = backtest_trades(config, tmp_path)
    trips = [json.loads(line) for line in expected.splitlines()]
    assert {trip["strategy"] for trip in trips} == {"liquidity_sweep", "fvg_fill", "bos_orderblock"}
    assert run_with_kills(home, config, 2, random.Random(4), 60) == 2
    assert trades_of(home) == expected
    for coin in COINS:
        decisions = [json.loads(line) for line in tradebot("--home", home, "why", coin, "--json").splitlines()]
        entries = [decision for decision in decisions if decision["action"] == "enter"]
        assert entries
        for entry in entries:
            assert set(entry["factors"]) == set(WEIGHTS)
            assert 0 <= entry["confidence"] <= 100
