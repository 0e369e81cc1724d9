"""Parquet files give the same bars as text, and are refused with their row."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.model.errors import ConfigError, DataError
from tradebot.model.time import parse_timeframe
from tradebot.store.candles import BarFile
from tradebot.store.funding import read_funding
from tradebot.store.repair import repair

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

M1 = parse_timeframe("1m")
PRICES = {"open": 10.1, "high": 12.3, "low": 9.7, "close": 11.0, "volume": 3.4e-07}


def parquet(path: Path, rows: int = 10, **columns: object) -> BarFile:
    table = {"ts_ms": [n * 60_000 for n in range(rows)], **{name: [x] * rows for name, x in PRICES.items()}, **columns}
    pq.write_table(pa.table(table), path, row_group_size=4)
    return BarFile(path, "BTC", M1)


def test_a_float64_becomes_the_decimal_of_its_shortest_text(tmp_path: Path) -> None:
    source = parquet(tmp_path / "x.parquet")
    bars = list(source)
    assert len(bars) == source.count() == source.check().rows == 10
    assert [bars[3].open, bars[3].volume] == [Decimal("10.1"), Decimal("3.4E-7")]
    assert bars[9].ts_event == 600 * 10**9


def test_decimals_integers_and_text_are_read(tmp_path: Path) -> None:
    source = parquet(tmp_path / "x.parquet", 1, open=[Decimal("10.10")], high=[13], low=["9.5"])
    [bar] = source
    assert [bar.open, bar.high, bar.low] == [Decimal("10.10"), Decimal(13), Decimal("9.5")]


@pytest.mark.parametrize("skip", range(11))
def test_skipping_gives_the_rest_of_any_row_group(tmp_path: Path, skip: int) -> None:
    source = parquet(tmp_path / "x.parquet")
    assert list(source.skip(skip)) == list(source)[skip:]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), -1.0, 100.0])
def test_a_bad_row_is_refused_with_its_number(tmp_path: Path, bad: float | None) -> None:
    source = parquet(tmp_path / "x.parquet", close=[11.0] * 6 + [bad] + [11.0] * 3)
    with pytest.raises(DataError) as refused:
        source.check()
    assert refused.value.where.endswith("x.parquet:7")
    mended = repair(source.path, M1, is_forced=True)
    assert mended.rows == 9
    assert BarFile(mended.path, "BTC", M1).check().missing == 1


def test_of_several_bad_rows_the_first_is_named(tmp_path: Path) -> None:
    source = parquet(tmp_path / "x.parquet", close=[11.0, 100.0, None] + [11.0] * 7)
    with pytest.raises(DataError, match="close 100") as refused:
        source.check()
    assert refused.value.where.endswith("x.parquet:2")


def test_wrong_columns_and_single_precision_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ts_ms": [0], "open": [1.0]}), tmp_path / "few.parquet")
    with pytest.raises(DataError, match="has no column high, low, close, volume"):
        BarFile(tmp_path / "few.parquet", "BTC", M1).check()
    narrow = parquet(tmp_path / "narrow.parquet", 1, open=pa.array([10.1], pa.float32()))
    with pytest.raises(DataError, match="column open is of single precision"):
        narrow.check()


def test_a_skip_past_the_end_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    source = parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match="1 rows fewer"):
        list(source.skip(11))
    source.path.write_bytes(source.path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        source.check()


def test_funding_is_read_from_parquet_too(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ts_ms": [48], "rate": [1.25e-05]}), tmp_path / "f.parquet")
    assert list(read_funding(tmp_path / "f.parquet")) == [(48_000_000, Decimal("0.0000125"))]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"tradebot\[parquet\]"):
        source.check()
