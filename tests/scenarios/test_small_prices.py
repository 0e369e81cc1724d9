"""Coins of any price without an ``[[instrument]]`` keep the digits of their prices, and what was assumed is said."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from tests.recovery.lab import Running, facts_of, logged, rows_of, run, write_config
from tradebot.cli.main import run as cli
from tradebot.model.money import plain
from tradebot.report.trades import trade_line
from tradebot.runtime.backtest import BacktestResult, run_backtest
from tradebot.settings.load import LoadOptions

CROSS = '[[strategy]]\nkind = "sma_cross"\nfast = 2\nslow = 5\ntarget = { kind = "r", r = 1 }\n'
BARS = 120
SLIPPAGE = Decimal("0.0001")
# Up and down by up to 3 %, in steps that no short cycle repeats.
CLOSES = [15_000 + (n * n * 37) % 300 + (n % 17) * 15 for n in range(BARS)]


def bar_open(n: int, exponent: int) -> Decimal:
    return Decimal(CLOSES[max(0, n - 1)]).scaleb(exponent - 4)


def write_market(folder: Path, exponent: int, powers: Sequence[int] = (0,) * BARS) -> Path:
    """Write bars around 1.5 x 10^``exponent``, each at its own of ``powers`` beside that, and a bot on them."""
    lines = ["ts_ms,open,high,low,close,volume"]
    for n, close in enumerate(CLOSES):
        before = CLOSES[max(0, n - 1)]
        ohlc = (before, max(before, close) + 9, min(before, close) - 9, close)
        prices = ",".join(plain(Decimal(price).scaleb(exponent - 4 + powers[n])) for price in ohlc)
        lines.append(f"{n * 60_000},{prices},1000")
    (folder / "pepe.csv").write_text("\n".join(lines) + "\n")
    feed = 'kind = "replay"\ndata = ["PEPE:1m=pepe.csv"]'
    return write_config(folder, feed=feed, symbols=("PEPE",), strategies=CROSS)


def backtest(folder: Path, config: Path) -> BacktestResult:
    return run_backtest(LoadOptions((config,)).load(folder / "none", {}))


def trades_of(home: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli(["--home", str(home), "trades", "--json"], {}) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("exponent", [-12, -9, -8, -6, -4, -3, 0, 5, 6])
def test_a_coin_of_any_price_trades_alike_in_backtest_daemon_and_after_a_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exponent: int
) -> None:
    config = write_market(tmp_path, exponent)
    result = backtest(tmp_path, config)
    assert len(result.trades) > 5

    async def leave(daemon: Running) -> None:
        async for _ in daemon.stops(BARS // 2):
            await daemon.image(tmp_path / "killed")

    assert run(tmp_path / "home", config, leave) == 0
    assert run(tmp_path / "killed", config) == 0
    assert trades_of(tmp_path / "home", capsys) == "".join(trade_line(trip).decode() for trip in result.trades)
    assert facts_of(tmp_path / "killed") == facts_of(tmp_path / "home")
    told = [line["symbol"] for line in logged(tmp_path / "home", "instrument.assumed")]
    assert told == [row.symbol for row in result.assumed] == (["PEPE"] if exponent < -3 else [])


@pytest.mark.parametrize(("exponent", "fall"), [(-12, 0), (-8, 0), (6, 0), (0, 40), (-4, 30)])
def test_a_fill_at_market_is_off_by_the_slippage_alone(tmp_path: Path, exponent: int, fall: int) -> None:
    # A coin that falls by ten every so many bars has another tick each time.
    powers = [-(n // fall) if fall else 0 for n in range(BARS)]
    config = write_market(tmp_path, exponent, powers)
    assert run(tmp_path / "home", config) == 0
    opens = {n * 60_000_000_000: bar_open(n, exponent + powers[n]) for n in range(BARS)}
    fills = [json.loads(row.payload) for row in rows_of(tmp_path / "home", "fill")]
    at_open = [fill for fill in fills if fill["reason"] in ("entry", "signal") and fill["ts_event"] in opens]
    assert len(at_open) > 5
    for fill in at_open:
        side = 1 if fill["side"] == "buy" else -1
        exact = opens[fill["ts_event"]] * (1 + side * SLIPPAGE)
        assert abs(Decimal(fill["price"]) / exact - 1) <= Decimal("0.0001")


def test_a_coin_that_has_become_cheap_is_told_of_where_it_stands(tmp_path: Path) -> None:
    powers = [-(n // 40) for n in range(BARS)]
    config = write_market(tmp_path, -2, powers)
    (told,) = backtest(tmp_path, config).assumed
    assert told.tick == Decimal("1e-9")
    home = tmp_path / "home"
    assert run(home, config) == 0
    assert logged(home, "instrument.assumed") == []
    assert run(home, config) == 0
    (line,) = logged(home, "instrument.assumed")
    assert (line["symbol"], line["tick"], line["level"]) == ("PEPE", "0.000000001", "warning")


def test_what_was_assumed_is_said_wherever_one_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, page = str(write_market(tmp_path, -8)), tmp_path / "page.html"
    words = (
        "warning: PEPE has no tick in the configuration: at a price of 0.000000015 it is taken to be 0.0000000000001;"
    )
    row = {"symbol": "PEPE", "price": "0.000000015", "tick": "0.0000000000001"}

    def said(*command: str) -> tuple[str, str]:
        assert cli(["--config", config, *command], {}) == 0
        output = capsys.readouterr()
        return output.out, output.err

    assert words in said("config", "check")[1]
    assert json.loads(said("config", "check", "--json")[0])["assumed_ticks"] == [row]
    text, warning = said("backtest", "--html", str(page))
    assert "warning: PEPE has no tick" in warning
    assert "assumed ticks" in text
    (found,) = json.loads(said("backtest", "--json")[0])["assumed_ticks"]
    assert found["tick"] == row["tick"]
    for place in (text, page.read_text()):
        assert found["price"] in place
        assert found["tick"] in place


def test_who_gives_the_tick_has_it_and_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_market(tmp_path, -8)
    config.write_text(config.read_text() + '[[instrument]]\nsymbol = "PEPE"\ntick = "1e-10"\n')
    result = backtest(tmp_path, config)
    assert result.assumed == ()
    assert result.document["assumed_ticks"] == []
    assert all(trip.entry_price % Decimal("1e-10") == 0 for trip in result.trades)
    assert cli(["--config", str(config), "config", "check"], {}) == 0
    assert capsys.readouterr().err == ""
