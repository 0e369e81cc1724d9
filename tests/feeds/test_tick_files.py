"""Files of trades, quotes and books: what they hold, in which order it comes between bars, and what is refused."""

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.cli import main
from tradebot.feeds.replay import Replay
from tradebot.model.errors import DataError
from tradebot.model.market import Bar, Level, Quote, Trade
from tradebot.model.time import from_ms, parse_timeframe
from tradebot.store.candles import BarFile
from tradebot.store.tick_files import TickFile

D = Decimal
MS = 1_700_000_040_000


def written(folder: Path, *lines: str, name: str = "ticks.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_trades_are_read_with_their_side_where_it_is_known(tmp_path: Path) -> None:
    path = written(tmp_path, "ts_ms,price,size,side", f"{MS},100.10,0.5,sell", f"{MS},1e2,2,buy")
    first, second = TickFile(path, "BTC", "trades")
    assert first == Trade(symbol="BTC", ts_event=from_ms(MS), price=D("100.1"), qty=D("0.5"), is_buy=False)  # type: ignore[arg-type]
    assert isinstance(second, Trade)
    assert second.price == 100
    path = written(tmp_path, "ts_ms,price,size", f"{MS},100,2")
    assert [tick.is_buy for tick in TickFile(path, "BTC", "trades") if isinstance(tick, Trade)] == [True]


def test_quotes_are_read_with_or_without_sizes(tmp_path: Path) -> None:
    path = written(tmp_path, "ts_ms,bid,ask", f"{MS},1.38727,1.38729")
    (quote,) = TickFile(path, "EURUSD", "quotes")
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.bid_qty) == (D("1.38727"), D("1.38729"), None)
    path = written(tmp_path, "ts_ms,bid,ask,bid_size,ask_size", f"{MS},1,2,3,4")
    (quote,) = TickFile(path, "EURUSD", "quotes")
    assert isinstance(quote, Quote)
    assert (quote.bid_qty, quote.ask_qty) == (3, 4)


def test_books_are_quotes_with_the_levels_behind_them(tmp_path: Path) -> None:
    header = "ts_ms,bp1,bs1,bp2,bs2,ap1,as1,ap2,as2"
    path = written(tmp_path, header, f"{MS},99,1,98,2,101,3,102,4", f"{MS + 1},99,1,,,101,3,102,4")
    first, thin = TickFile(path, "BTC", "books")
    assert isinstance(first, Quote)
    assert isinstance(thin, Quote)
    assert (first.bid, first.bid_qty, first.ask, first.ask_qty) == (99, 1, 101, 3)
    assert first.bids == (Level(D(98), D(2)),)  # type: ignore[arg-type]
    assert first.asks == (Level(D(102), D(4)),)  # type: ignore[arg-type]
    assert thin.bids == ()


@pytest.mark.parametrize(
    ("kind", "header", "row", "says"),
    [
        ("trades", "ts_ms,price", "1,2", "the header is"),
        ("trades", "", "", "the header is ''"),
        ("quotes", "ts_ms,price,size", "1,2,3", "quotes have ts_ms,bid,ask,bid_size,ask_size"),
        ("books", "ts_ms,bp1,bs1,ap1", "1,2,3,4", "the header is"),
        ("books", "ts_ms,ap1,as1,bp1,bs1", "1,2,3,4,5", "the header is"),
        ("trades", "ts_ms,price,size", f"{MS},1", "2 columns instead of 3"),
        ("trades", "ts_ms,price,size", f"{MS},x,1", "not numbers"),
        ("trades", "ts_ms,price,size", f"{MS},1_0,1", "not numbers"),
        ("trades", "ts_ms,price,size", f"{MS},nan,1", "price nan is not above 0"),
        ("trades", "ts_ms,price,size", f"{MS},0,1", "price 0 is not above 0"),
        ("trades", "ts_ms,price,size", f"{MS},1,-1", "size -1 is below 0"),
        ("trades", "ts_ms,price,size", f"{MS // 1000},1,1", "looks like seconds"),
        ("trades", "ts_ms,price,size,side", f"{MS},1,1,b", "neither buy nor sell"),
        ("quotes", "ts_ms,bid,ask", f"{MS},2,1", "bid 2 is above ask 1"),
        ("books", "ts_ms,bp1,bs1,ap1,as1", f"{MS},,,1,1", "a side of the book is empty"),
        ("books", "ts_ms,bp1,bs1,bp2,bs2,ap1,as1,ap2,as2", f"{MS},9,1,9,1,10,1,11,1", "not in order"),
        ("books", "ts_ms,bp1,bs1,ap1,as1", f"{MS},3,1,2,1", "bid 3 is above ask 2"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, kind: str, header: str, row: str, says: str) -> None:
    path = written(tmp_path, header, row)
    with pytest.raises(DataError) as refused:
        list(TickFile(path, "BTC", kind))
    assert says in f"{refused.value.what} {refused.value.mend}"
    assert refused.value.where.startswith(f"{path}:")
    assert refused.value.mend


def test_a_time_before_the_last_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "ts_ms,price,size", f"{MS},1,1", f"{MS - 1},1,1")
    with pytest.raises(DataError, match="earlier than the row before"):
        list(TickFile(path, "BTC", "trades"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = TickFile(tmp_path / "no.csv", "BTC", "trades")
    with pytest.raises(DataError):
        list(file)
    with pytest.raises(DataError):
        file.digest()


def bars(folder: Path, *opens: int) -> BarFile:
    rows = [f"{MS + 60_000 * minute},1,1,1,1,1" for minute in opens]
    path = written(folder, "ts_ms,open,high,low,close,volume", *rows, name="bars.csv")
    return BarFile(path, "BTC", parse_timeframe("1m"))


def test_ticks_come_between_the_bars_and_none_after_the_last(tmp_path: Path) -> None:
    times = (-5, 0, 59_999, 60_000, 60_000, 119_999, 120_000, 500_000)
    path = written(tmp_path, "ts_ms,price,size", *(f"{MS + ms},1,{1 + n}" for n, ms in enumerate(times)))
    ticks = TickFile(path, "BTC", "trades")
    replay = Replay([bars(tmp_path, 0, 1)], [ticks])
    found = list(replay)
    seen = ["bar" if isinstance(one, Bar) else int(one.qty) for one in found if isinstance(one, Bar | Trade)]
    assert seen == [1, 2, 3, "bar", 4, 5, 6, "bar"]
    assert replay.describe().count("=") == 2
    for cut in range(len(found) + 1):
        first, second = Replay([bars(tmp_path, 0, 1)], [ticks]), Replay([bars(tmp_path, 0, 1)], [ticks])
        begun = [next(first) for _ in range(cut)]
        second.load(first.save())
        assert begun + list(second) == found


def test_a_replay_goes_on_between_any_two_ticks_of_one_time(tmp_path: Path) -> None:
    path = written(tmp_path, "ts_ms,price,size", *(f"{MS + ms},1,{n}" for n, ms in enumerate((5, 5, 5, 9, 9))))

    def made() -> Replay:
        return Replay([bars(tmp_path, 0)], [TickFile(path, symbol, "trades") for symbol in ("BTC", "ETH")])

    found = list(made())
    assert [one.symbol for one in found] == ["BTC"] * 3 + ["ETH"] * 3 + ["BTC"] * 2 + ["ETH"] * 2 + ["BTC"]
    for cut in range(len(found) + 1):
        first, second = made(), made()
        begun = [next(first) for _ in range(cut)]
        second.load(first.save())
        assert begun + list(second) == found


CONFIG = """
[bot]
symbols = ["BTC"]
[feed]
kind = "replay"
data = ["BTC:5s=bars.csv"]
{ticks}
at_end = "stop"
[[strategy]]
kind = "sma_cross"
fast = 3
slow = 8
stop = {{ kind = "percent", percent = 0.05, trail = true }}
target = {{ kind = "r", r = 2 }}
[risk]
size = {{ kind = "notional", notional = "40000" }}
"""


@pytest.mark.parametrize("kind", ["trades", "books"])
def test_daemon_and_backtest_trade_the_same_on_real_ticks(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    data = os.environ.get("TRADEBOT_TEST_DATA")
    if not data:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    monkeypatch.chdir(tmp_path)
    stem = Path(data) / "ticks" / "binance_usdm_btcusdt_20240808_"
    closed: dict[int, list[str]] = {}
    with gzip.open(f"{stem}trades.csv.gz", "rt") as file:
        for line in list(file)[1:]:
            ts, price, *_ = line.split(",")
            closed.setdefault(int(ts) // 5000 * 5000, []).append(price)
    rows = [f"{ts},{p[0]},{max(p)},{min(p)},{p[-1]},{len(p)}" for ts, p in sorted(closed.items())]
    written(tmp_path, "ts_ms,open,high,low,close,volume", *rows, name="bars.csv")
    path = f"{stem}{'trades' if kind == 'trades' else 'book20'}.csv.gz"
    (tmp_path / "c.toml").write_text(CONFIG.format(ticks=f'{kind} = ["BTC={path}"]'))
    assert main.run(["backtest", "--config", "c.toml", "--trades", "t.jsonl", "--json"], {}) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["residual"] == "0"
    assert report["trades"] > 5
    home = ["--home", str(tmp_path / "home"), "--config", "c.toml"]
    assert main.run([*home, "start", "--foreground"], {}) == 0
    capfd.readouterr()
    assert main.run([*home, "trades", "--json"], {}) == 0
    assert capfd.readouterr().out == (tmp_path / "t.jsonl").read_text()


@pytest.mark.parametrize(
    ("ticks", "says"),
    [
        ('trades = ["BTC=bars.csv"]\nquotes = ["BTC=bars.csv"]', "give files of one kind"),
        ('trades = ["ETH=bars.csv"]', "ETH is not in bot.symbols"),
        ('quotes = ["BTC=nowhere.csv"]', "no such file"),
        ('books = ["BTC"]', "is not SYMBOL=FILE"),
        ('trades = ["BTC=bars.csv"]', "the header is 'ts_ms,open"),
    ],
)
def test_ticks_that_do_not_fit_are_refused(
    tmp_path: Path, ticks: str, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bars(tmp_path, 0, 1)
    (tmp_path / "c.toml").write_text(CONFIG.format(ticks=ticks).replace("BTC:5s", "BTC:1m"))
    assert main.run(["backtest", "--config", "c.toml"], {}) in (1, 78)
    assert says in capfd.readouterr().err


def test_ticks_of_some_symbols_alone_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bars(tmp_path, 0, 1)
    text = CONFIG.format(ticks='trades = ["BTC=bars.csv"]').replace('["BTC"]', '["BTC", "ETH"]')
    (tmp_path / "c.toml").write_text(text.replace('"BTC:5s=bars.csv"', '"BTC:1m=bars.csv", "ETH:1m=bars.csv"'))
    assert main.run(["backtest", "--config", "c.toml"], {}) == 78
    assert "none of ETH" in capfd.readouterr().err
