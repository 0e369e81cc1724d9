"""Coarse bars are held against the finer ones of their symbol, in whatever order both are read."""

import os
import random
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.feeds.replay import Replay
from tradebot.model.time import parse_timeframe
from tradebot.store.agreement import Agreement
from tradebot.store.batches import Batch
from tradebot.store.candles import BarFile, check_files, hold_against_each_other

FOLDER = os.environ.get("TRADEBOT_TEST_DATA", "")
STEP = 300_000
HEADER = "ts_ms,open,high,low,close,volume\n"


def fine_rows(count: int) -> list[list[int]]:
    rng = random.Random(3)
    price, rows = 1_000, []
    for n in range(count):
        close = price + rng.randint(-9, 9)
        rows.append([n * STEP, price, max(price, close) + 2, min(price, close) - 2, close])
        price = close
    return rows


def coarse_rows(rows: list[list[int]], parts: int = 3) -> list[list[int]]:
    groups = [rows[n : n + parts] for n in range(0, len(rows), parts)]
    return [[g[0][0], g[0][1], max(r[2] for r in g), min(r[3] for r in g), g[-1][4]] for g in groups]


def written(path: Path, rows: list[list[int]]) -> Path:
    path.write_text(HEADER + "".join(",".join(map(str, [*row, 1])) + "\n" for row in rows))
    return path


def files(folder: Path, fine: list[list[int]], coarse: list[list[int]]) -> list[BarFile]:
    return [
        BarFile(written(folder / "15m.csv", coarse), "BTC", parse_timeframe("15m")),
        BarFile(written(folder / "5m.csv", fine), "BTC", parse_timeframe("5m")),
    ]


def test_bars_that_add_up_are_not_spoken_of(tmp_path: Path) -> None:
    fine = fine_rows(3_000)
    sources = files(tmp_path, fine, coarse_rows(fine))
    assert [summary.notes for summary in check_files(sources)] == [(), ()]


def test_a_bar_that_lost_its_start_is_named(tmp_path: Path) -> None:
    fine = fine_rows(3_000)
    coarse = coarse_rows(fine)
    coarse[500][1] += 3
    coarse[700][4] -= 1
    sources = files(tmp_path, fine, coarse)
    moment = "1970-01-06 05:00:00"
    note = f"2 bars differ from the 5m bars of that time, first at {moment}: open {coarse[500][1]} for {fine[1500][1]}"
    assert [summary.notes for summary in check_files(sources)] == [(note,), ()]
    # The same when they are read as a backtest reads them.
    hold_against_each_other(sources)
    assert sum(1 for _ in Replay(sources)) == 4_000
    assert [source.summary().notes for source in sources] == [(note,), ()]


def test_a_bar_whose_parts_are_not_all_there_says_nothing(tmp_path: Path) -> None:
    fine = fine_rows(300)
    coarse = coarse_rows(fine)
    coarse[50][1] += 3
    del fine[151]
    assert check_files(files(tmp_path, fine, coarse))[0].notes == ()


def test_other_symbols_and_lengths_that_do_not_divide_are_not_compared(tmp_path: Path) -> None:
    fine = fine_rows(300)
    coarse = [[ts, 1, 1, 1, 1] for ts, *_ in coarse_rows(fine)]
    sources = files(tmp_path, fine, coarse)
    sources[0].symbol = "ETH"
    assert [summary.notes for summary in check_files(sources)] == [(), ()]
    four = BarFile(written(tmp_path / "4m.csv", [[n * 240_000, 1, 1, 1, 1] for n in range(20)]), "BTC", 240 * 10**9)
    assert [summary.notes for summary in check_files([sources[1], four])] == [(), ()]


def test_bars_without_a_counterpart_are_forgotten() -> None:
    agreement = Agreement(parse_timeframe("1m"), parse_timeframe("1h"))
    columns = [[Decimal(1)]] * 5
    for n in range(30_000):
        # Of each hour one minute only: none is ever whole.
        agreement.take_fine(Batch(2, [n * 3_600_000], columns))
        agreement.take_coarse(Batch(2, [n * 3_600_000], columns))
    assert len(agreement._made) + len(agreement._given) < 5_000
    assert agreement.contradiction() is None


@pytest.mark.skipif(not FOLDER, reason="TRADEBOT_TEST_DATA does not name a folder of real data")
@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "BNB"])
def test_the_fault_of_20_april_2025_is_said_of_every_coin(coin: str) -> None:
    names = ("5m", "15m", "1h")
    sources = [BarFile(Path(FOLDER) / f"hl_{coin}_{name}.csv.gz", coin, parse_timeframe(name)) for name in names]
    notes = [summary.notes for summary in check_files(sources)]
    assert [note for note in (*notes[0], *notes[2]) if "flat" not in note] == []
    assert "first at 2025-04-20 10:45:00: open " in notes[1][0]
