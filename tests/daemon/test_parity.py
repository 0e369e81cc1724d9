"""A daemon, killed at any moment and started again, trades exactly as the backtest of the same configuration."""

import gzip
import os
import random
from pathlib import Path

import pytest

from tests.daemon.harness import (
    backtest_of,
    generated_config,
    replay_config,
    report_of,
    run_to_end,
    run_with_kills,
    trades_of,
)

pytestmark = pytest.mark.long

COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "BNB")


def real_data() -> Path:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    return Path(folder)


def shortened(folder: Path, coin: str, bars: int) -> str:
    with gzip.open(real_data() / f"hl_{coin}_5m.csv.gz", "rt") as whole:
        lines = [line for _, line in zip(range(bars + 1), whole, strict=False)]
    (folder / f"{coin}.csv").write_text("".join(lines))
    return f"{coin}:5m={coin}.csv"


def assert_same(home: Path, config: Path, folder: Path) -> None:
    expected, backtest = backtest_of(config, folder)
    assert expected.count("\n") > 20
    assert trades_of(home) == expected
    report = report_of(home)
    assert {key: report[key] for key in report} == {key: backtest[key] for key in report}
    assert report["residual"] == "0"


def test_a_daemon_trades_as_the_backtest_does_on_real_bars(tmp_path: Path) -> None:
    data = [shortened(tmp_path, coin, 700) for coin in COINS[:3]]
    config = replay_config(tmp_path, data, COINS[:3])
    run_to_end(tmp_path / "home", config)
    assert_same(tmp_path / "home", config, tmp_path)


def test_five_kills_on_real_bars_change_nothing(tmp_path: Path) -> None:
    data = [shortened(tmp_path, coin, 700) for coin in COINS[:3]]
    config = replay_config(tmp_path, data, COINS[:3])
    assert run_with_kills(tmp_path / "home", config, 5, random.Random(5), 120) == 5
    assert_same(tmp_path / "home", config, tmp_path)


def test_five_kills_on_a_generated_market_change_nothing(tmp_path: Path) -> None:
    config = generated_config(tmp_path, ("AAA", "BBB", "CCC"), 900, seed=7)
    assert run_with_kills(tmp_path / "home", config, 5, random.Random(6), 120) == 5
    assert_same(tmp_path / "home", config, tmp_path)


@pytest.mark.soak
def test_fifty_kills_on_the_eight_coins_change_nothing(tmp_path: Path) -> None:
    data = [f"{coin}:5m={real_data() / f'hl_{coin}_5m.csv.gz'}" for coin in COINS]
    config = replay_config(tmp_path, data, COINS)
    assert run_with_kills(tmp_path / "home", config, 50, random.Random(50), 1500) == 50
    assert_same(tmp_path / "home", config, tmp_path)


@pytest.mark.soak
def test_fifty_kills_on_a_long_generated_market_change_nothing(tmp_path: Path) -> None:
    config = generated_config(tmp_path, ("AAA", "BBB", "CCC", "DDD"), 20_000, seed=11)
    assert run_with_kills(tmp_path / "home", config, 50, random.Random(51), 600) == 50
    assert_same(tmp_path / "home", config, tmp_path)
