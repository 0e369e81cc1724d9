"""The market is the bars it is made of, and the same for the same seed."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.clock import VirtualClock
from tradebot.devnet.coins import Coin, coins_of
from tradebot.devnet.devnet import Devnet, DevnetOptions, devnet_key, write_key
from tradebot.devnet.market import CoinMarket, path
from tradebot.devnet.recorded import RecordedSocket
from tradebot.feeds.generated import Generated
from tradebot.feeds.replay import Replay
from tradebot.model.errors import ConfigError, DataError, NotPermitted
from tradebot.model.market import Bar
from tradebot.model.money import Price, Qty
from tradebot.model.time import NANOS_PER_MS, Nanos, parse_timeframe

MINUTE = parse_timeframe("1m")
START = 1_700_000_040_000 * NANOS_PER_MS


def devnet(seed: int = 1, **options: Any) -> Devnet:
    given_ = {"coins": ("BTC", "ETH"), "timeframe": MINUTE, "seed": seed, "speed": None, "history": 50} | options
    made = DevnetOptions(**given_)
    feed = Generated(made.coins, made.timeframe, Nanos(0), seed, made.history + 10)
    return Devnet(made, feed, VirtualClock(START))


def run(net: Devnet) -> int:
    steps = 0
    while net.step():
        steps += 1
    return steps


def test_candles_are_the_bars_they_are_made_of() -> None:
    net = devnet()
    assert run(net) == 40
    bars = [bar for bar in islice(Generated(("BTC", "ETH"), MINUTE, Nanos(0), 1), 120) if bar.symbol == "BTC"]
    candles = net.exchange.markets["BTC"].candles.between("1m", 0, 1 << 62)
    assert [(one.open, one.high, one.low, one.close) for one in candles] == [
        (bar.open, bar.high, bar.low, bar.close) for bar in bars
    ]
    assert candles[50].opens == START
    assert [one.opens - START for one in candles] == [(index - 50) * MINUTE for index in range(60)]


def test_the_same_seed_gives_the_same_market() -> None:
    first, second, other = devnet(), devnet(), devnet(seed=2)
    for net in (first, second, other):
        run(net)
    prints = [list(net.exchange.markets["ETH"].prints) for net in (first, second, other)]
    assert prints[0] == prints[1] != prints[2]
    books = [net.server.info.answer({"type": "l2Book", "coin": "BTC"}) for net in (first, second)]
    assert books[0] == books[1]


@given(st.integers(1, 99_999_999), st.integers(-6, 2), st.sampled_from(["BTC", "ETH", "DOGE", "XYZ"]))
def test_every_price_of_a_book_is_legal(digits: int, exponent: int, name: str) -> None:
    coin: Coin = coins_of([name])[name]
    market = CoinMarket(coin, 1, Decimal(100_000))
    price = coin.on_grid(Decimal(digits).scaleb(exponent))
    # At the finest tick there is no room for a bid.
    assume(price >= 100 * coin.finest_tick)
    market.tick(0, price, Decimal(1))
    bids, asks = market.sides
    assert asks
    assert all(coin.is_on_grid(level.px) and level.sz % coin.lot == 0 and level.sz > 0 for level in bids + asks)
    pxs = [level.px for level in reversed(bids)] + [price] + [level.px for level in asks]
    assert pxs == sorted(set(pxs))
    assert market.bid < market.mark < market.ask


@given(st.lists(st.integers(1, 10_000), min_size=4, max_size=4), st.integers(4, 60))
@settings(max_examples=200)
def test_a_walk_through_a_bar_meets_its_corners(numbers: list[int], ticks: int) -> None:
    low, one, two, high = sorted(map(Decimal, numbers))
    bar = Bar("BTC", MINUTE, Nanos(MINUTE), Price(one), Price(high), Price(low), Price(two), Qty(Decimal(1)))
    times, prices = zip(*path(bar, ticks), strict=True)
    assert (prices[0], max(prices), min(prices), prices[-1]) == (one, high, low, two)
    assert list(times) == sorted(set(times))
    assert times[0] >= 0
    assert times[-1] < MINUTE


@pytest.mark.parametrize(
    ("price", "legal"),
    [("123456", True), ("12345.6", False), ("1234.5", True), ("1234.56", False), ("0.5", True), ("99999.5", False)],
)
def test_prices_have_five_significant_figures_or_are_whole(price: str, legal: bool) -> None:
    assert coins_of(["BTC"])["BTC"].is_on_grid(Decimal(price)) is legal


def test_data_shorter_than_the_history_are_refused() -> None:
    feed = Generated(("BTC",), MINUTE, Nanos(0), 1, 10)
    options = DevnetOptions(coins=("BTC", "ETH"), timeframe=MINUTE, speed=None, history=50)
    with pytest.raises(ConfigError):
        Devnet(options, feed, VirtualClock(START))


def test_a_recorded_socket_is_a_market(tmp_path: Path) -> None:
    level = {"px": "100", "sz": "1", "n": 1}
    book = {"coin": "BTC", "time": 2_500, "levels": [[level], [level | {"px": "102"}]]}
    prints = [
        {"coin": "BTC", "px": px, "sz": "2", "time": ms} for px, ms in (("90", 1_000), ("95", 1_999), ("93", 4_000))
    ]
    file = tmp_path / "frames.jsonl"
    lines = [{"channel": "trades", "data": prints}, {"channel": "l2Book", "data": book}, {"channel": "pong"}]
    file.write_text("".join(f"17 {json.dumps(line)}\n" for line in lines))
    source = RecordedSocket(file, "BTC")
    closes = [(bar.ts_open // 1_000_000, int(bar.open), int(bar.close), int(bar.volume)) for bar in source.skip(0)]
    assert closes == [(1_000, 90, 95, 4), (2_000, 101, 101, 0), (3_000, 101, 101, 0), (4_000, 93, 93, 2)]
    with pytest.raises(DataError, match="no print or book of ETH"):
        RecordedSocket(file, "ETH")
    file.write_text("17 {}\nnonsense\n")
    with pytest.raises(DataError) as told:
        RecordedSocket(file, "BTC")
    assert told.value.where.endswith(":2")


def test_a_recording_of_the_real_exchange_is_a_market() -> None:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    if not folder:
        pytest.skip("TRADEBOT_TEST_DATA is not set")
    source = RecordedSocket(Path(folder) / "ticks" / "hl_BTC_20250126_ws_raw.jsonl.gz", "BTC")
    options = DevnetOptions(coins=("BTC",), timeframe=source.timeframe, speed=None, history=1)
    net = Devnet(options, Replay([source]), VirtualClock(START))
    assert run(net) == 4 * (len(source) - 1)
    assert 104_000 < net.exchange.markets["BTC"].mark < 106_000


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "home" / "devnet.key"
    write_key(file, devnet_key(1))
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == devnet_key(1).to_hex() + "\n"
    link = tmp_path / "link.key"
    link.symlink_to(file)
    with pytest.raises(NotPermitted):
        write_key(link, devnet_key(1))


def test_the_command_serves_until_interrupted(tmp_path: Path) -> None:
    words = ["--home", str(tmp_path), "--json", "devnet", "--port", "0", "--history", "60", "--speed", "600"]
    command = [sys.executable, "-m", "tradebot", *words, "--fault", "frozen_feed:after=1000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert child.stdout is not None
        assert select.select([child.stdout], [], [], 30)[0]
        said = json.loads(child.stdout.readline())
        assert (tmp_path / "devnet.key").read_text().strip() == devnet_key(1).to_hex()
        seen = set()
        deadline = time.monotonic() + 20
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add(ask(said["url"], {"type": "allMids"})["BTC"])
        assert len(seen) == 3
        state = ask(said["url"], {"type": "clearinghouseState", "user": said["account"]})
        assert state["withdrawable"] == "10000.0"
    finally:
        child.send_signal(signal.SIGINT)
        code = child.wait(10)
        assert child.stdout is not None
        child.stdout.close()
    assert code == 0


def ask(url: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + "/info", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())
