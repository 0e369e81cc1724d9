"""Bars of which the book must see each one are never passed over."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.builders import bar, bars_closed, cash, funding, instrument
from tests.risk.test_breakers import Desk, tiers
from tradebot.model.errors import InvariantError
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.runs import BarRun
from tradebot.settings.load import LoadOptions

AHEAD = BarRun([bar(n) for n in range(3, 9)])


def test_no_bar_is_quiet_before_the_curve_has_begun() -> None:
    risk = RiskStage({"BTC": instrument()}, cash(10_000), SizeRule(SizeKind.QTY, Decimal(1)), Limits())
    assert risk.marking.quiet(AHEAD, 0, 5) == 0


def test_money_that_has_moved_is_looked_at_with_the_next_bar() -> None:
    desk = Desk({"drawdown_pct": tiers(20)})
    assert desk.stage.marking.quiet(AHEAD, 0, 5) == 5
    desk.tell(funding("-1"))
    assert desk.stage.marking.quiet(AHEAD, 0, 5) == 0


def test_money_that_64_bits_do_not_hold_is_counted_turn_by_turn(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="the extra research is not installed")
    from tests.line.test_quiet import Way, assert_same, loaded_many

    for coin, period in (("BTC", 14), ("ETH", 22)):
        closes = [Decimal(1000 + 5 * abs(n % period - period // 2)) for n in range(200)]
        rows = [f"{n * 60_000},{c},{c + 1},{c - 1},{c},1" for n, c in enumerate(closes)]
        (tmp_path / f"{coin}.csv").write_text("\n".join(["ts_ms,open,high,low,close,volume", *rows, ""]))
    loaded_many(tmp_path, {"BTC": "1m=BTC.csv", "ETH": "1m=ETH.csv"}, ("cross",), "defaults")
    config = tmp_path / "bot.toml"
    config.write_text(config.read_text().replace('starting_cash = "10000"', 'starting_cash = "95000000000"'))
    assert assert_same(LoadOptions(config_files=(config,)).load(tmp_path, {}), Way.COLUMNS) > 20


def test_a_bar_without_an_end_is_refused_before_it_is_an_extreme() -> None:
    desk = Desk({})
    desk.open()
    with pytest.raises(InvariantError, match="a bar up to Infinity"):
        desk.tell(bars_closed(bar(2, high="Infinity")))
    assert desk.stage.save().positions["BTC"].high == 100
