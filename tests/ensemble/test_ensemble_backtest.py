"""Several strategies in one bot, on sample bars: attribution, restraint and restarts."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradebot.research import backtest, lookahead
from tradebot.research.backtesting import Backtest

SAMPLES = Path(__file__).parents[2] / "config" / "samples"
OWN = """
from tradebot.pipeline.strategy.base import Enter, Exit, Field, Params, PositionSide


class Sure:
    class Params(Params):
        pass

    def __init__(self, params):
        self.bars = 0

    def on_bar(self, bar, position):
        self.bars += 1
        if position is not None:
            return [Exit()] if self.bars % 5 == 0 else []
        return [Enter(PositionSide.LONG, confidence=self.bars % 101)] if self.bars % 3 == 0 else []
"""


def tables(folder: Path, **risk: object) -> dict[str, Any]:
    (folder / "sure.py").write_text(OWN)
    return {
        "bot": {"symbols": ["BTC", "ETH"]},
        "feed": {"kind": "replay", "data": [f"{c.upper()}:5m={SAMPLES}/{c}_5m.csv.gz" for c in ("btc", "eth")]},
        "strategy": [
            {"kind": "sma_cross", "name": "cross", "fast": 5, "slow": 15, "regimes": ["trend_up", "trend_down"]},
            {"kind": "donchian_breakout", "name": "break", "share": 0.3, "timeframe": "15m"},
            {"kind": f"{folder}/sure.py:Sure", "name": "sure", "share": 0.2},
        ],
        "risk": {
            "size": {"kind": "equity_fraction", "fraction": 0.5},
            "max_leverage": 1,
            "min_confidence": 40,
            "confidence_scale": "linear",
            **risk,
        },
    }


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    return backtest(tables(tmp_path_factory.mktemp("ensemble")))


def test_each_strategy_trades_and_the_parts_add_up_to_the_whole(result: Backtest) -> None:
    by_strategy: Any = result["by_strategy"]
    assert set(by_strategy) == {"cross", "break", "sure"}
    assert all(part["trades"] for part in by_strategy.values())
    for key in ("gross_pnl", "fees", "funding", "net_pnl"):
        assert sum(Decimal(part[key]) for part in by_strategy.values()) == Decimal(str(result[key]))
    assert result["orders"] + result["refused"] == result["signals"]  # type: ignore[operator]


def test_no_entry_is_larger_than_its_share_and_confidence_allow(result: Backtest) -> None:
    # Equity hardly moves, so half of it, of the share of each, is what an entry may be worth.
    most = {"cross": 5300, "break": 1600, "sure": 1100}
    for trip in result.trades:
        notional = Decimal(str(trip["qty"])) * Decimal(str(trip["entry_price"]))
        assert notional < most[str(trip["strategy"])], trip


def test_the_whole_ensemble_decides_by_the_past_and_survives_restarts(tmp_path: Path) -> None:
    checked = lookahead(tables(tmp_path), bars=1500, prefixes=6)
    assert checked.is_clean, checked.changes
    assert checked.decisions > 100


def test_a_least_confidence_of_all_keeps_out_who_is_not_sure(tmp_path: Path) -> None:
    by_strategy: Any = backtest(tables(tmp_path, min_confidence=100))["by_strategy"]
    assert by_strategy["sure"]["trades"] < 10
