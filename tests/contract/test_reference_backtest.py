"""The backtest against a second, plain reading of the rules of trading, trade by trade."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.reference import Reference, read, read_rates
from tests.daemon.harness import backtest_trades

BARS = 3000
COINS = ("BTC", "DOGE", "ETH", "SOL")
STRATEGIES = {
    "BTC": ("cross", "sma_cross", (5, 15)),
    "DOGE": ("break", "donchian_breakout", (20, 10)),
    "ETH": ("cross", "sma_cross", (5, 15)),
    "SOL": ("break", "donchian_breakout", (20, 10)),
}
CONFIG = """
[bot]
symbols = ["BTC", "ETH", "SOL", "DOGE"]
[feed]
kind = "replay"
data = [{data}]
[venue]
funding = ["BTC={folder}/hl_BTC_funding.csv.gz", "ETH={folder}/hl_ETH_funding.csv.gz"]
[[strategy]]
kind = "sma_cross"
name = "cross"
symbols = ["BTC", "ETH"]
fast = 5
slow = 15
target = {{ kind = "r", r = 2.0 }}
[[strategy]]
kind = "donchian_breakout"
name = "break"
symbols = ["SOL", "DOGE"]
target = {{ kind = "r", r = 2.0 }}
[risk]
size = {{ kind = "risk_fraction", fraction = 0.002 }}
max_order_notional = "5000"
max_exposure_notional = "9000"
drawdown_pct = "off"
"""


def test_every_trade_is_what_the_rules_say(tmp_path: Path) -> None:
    name = os.environ.get("TRADEBOT_TEST_DATA")
    if not name:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    folder = Path(name)
    paths = {coin: tmp_path / f"{coin}.csv" for coin in COINS}
    rows = []
    for coin, path in paths.items():
        bars = read(folder / f"hl_{coin}_5m.csv.gz", coin, 300_000, BARS)
        lines = [f"{b.ts},{b.o},{b.h},{b.l},{b.c},1" for b in bars]
        path.write_text("\n".join(["ts_ms,open,high,low,close,volume", *lines, ""]))
        rows += bars
    config = tmp_path / "tradebot.toml"
    data = ", ".join(f'"{coin}:5m={path}"' for coin, path in paths.items())
    config.write_text(CONFIG.format(data=data, folder=folder))
    rates = {coin: read_rates(folder / f"hl_{coin}_funding.csv.gz") for coin in ("BTC", "ETH")}

    expected = Reference(STRATEGIES, rates).run(rows)

    found = [json.loads(line) for line in backtest_trades(config, tmp_path).splitlines()]
    assert len(expected) > 300
    keys = expected[0].keys()
    for want, got in zip(expected, found, strict=True):
        assert {key: _read(got[key]) for key in keys} == {key: _read(want[key]) for key in keys}


def _read(value: object) -> object:
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return value
