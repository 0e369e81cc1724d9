"""Money is reckoned in one context, whatever else the process has set."""

from decimal import ROUND_DOWN, getcontext, localcontext
from pathlib import Path

from tradebot.runtime.backtest import run_backtest
from tradebot.settings.load import load_settings


def test_a_backtest_in_a_process_with_another_precision_gives_the_same_trades(tmp_path: Path) -> None:
    loaded = load_settings(home=tmp_path, profile="demo", environ={})
    expected = run_backtest(loaded, bars=400)
    assert expected.trades
    with localcontext() as around:
        around.prec, around.rounding = 6, ROUND_DOWN
        found = run_backtest(loaded, bars=400)
        assert getcontext().prec == 6
    assert found.trades == expected.trades
    assert not found.disabled
