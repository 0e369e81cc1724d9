"""Real bar files, read whole; where they are is told by TRADEBOT_TEST_DATA."""

import json
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tradebot.feeds.replay import Replay
from tradebot.model.time import parse_timeframe
from tradebot.store.candles import BarFile, check_files
from tradebot.store.flaws import FlawKind
from tradebot.store.funding import read_funding

FOLDER = os.environ.get("TRADEBOT_TEST_DATA", "")
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "BNB")
TIMEFRAMES = {"1m", "5m", "15m", "1h", "4h", "1d"}
M5 = parse_timeframe("5m")

pytestmark = pytest.mark.skipif(not FOLDER, reason="TRADEBOT_TEST_DATA does not name a folder of real data")


def folder() -> Path:
    return Path(FOLDER)


def hyperliquid() -> list[BarFile]:
    return [BarFile(folder() / f"hl_{coin}_5m.csv.gz", coin, M5) for coin in COINS]


def test_the_files_of_eight_coins_have_the_rows_and_digests_of_their_index() -> None:
    index = json.loads((folder() / "index.json").read_text())
    for summary, source in zip(check_files(hyperliquid()), hyperliquid(), strict=True):
        entry = index[summary.path.name]
        assert (summary.rows, source.count(), source.digest()) == (entry["rows"], entry["rows"], entry["sha256"])
        assert summary.gaps == 0
        # An outage of the exchange, in all of them.
        assert [(flaw.kind, flaw.ts) for flaw in summary.flaws] == [(FlawKind.FLAT, 1_748_183_100_000)]


def test_eight_coins_are_interleaved() -> None:
    count = 0
    for before, bar in pairwise(Replay(hyperliquid())):
        assert (before.ts_event, before.symbol) < (bar.ts_event, bar.symbol)
        count += 1
    assert count + 1 == sum(source.count() for source in hyperliquid())


def test_gaps_of_a_spot_market_are_counted_and_its_exponents_read() -> None:
    source = BarFile(folder() / "bitfinex_BTCUSD_1m_2019.csv.gz", "BTC", parse_timeframe("1m"))
    summary = source.check()
    assert (summary.rows, summary.gaps, summary.missing) == (383_929, 6_753, 9_191)
    small = next(bar for bar in source if bar.volume and bar.volume < Decimal("1e-6"))
    assert str(small.volume) == "3.4E-7"


def test_every_bar_file_is_sound() -> None:
    for path in sorted(folder().glob("*_*.csv.gz")):
        timeframe = next((part for part in path.name.split(".")[0].split("_") if part in TIMEFRAMES), None)
        if timeframe is not None:
            assert BarFile(path, "X", parse_timeframe(timeframe)).check().rows > 1_000


def test_real_funding_ascends_and_is_small() -> None:
    for coin in COINS:
        rates = list(read_funding(folder() / f"hl_{coin}_funding.csv.gz"))
        assert len(rates) > 10_000
        assert max(abs(rate) for _, rate in rates) < Decimal("0.01")
