"""A bar file read as columns holds what reading it bar by bar gives, to the last digit; what is bad is left to that."""

import gzip
import os
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import DataError
from tradebot.model.time import Timeframe, parse_timeframe
from tradebot.pipeline.columns import ColumnRun
from tradebot.runtime.compiled import compiled
from tradebot.store.candles import BAR_COLUMNS, BarFile

MINUTE = parse_timeframe("1m")
HEADER = ",".join(BAR_COLUMNS)
BEGIN = 1_600_000_020_000


def bar_file(path: Path, timeframe: Timeframe = MINUTE) -> BarFile:
    return BarFile(path, "BTC", timeframe)


def assert_equal(path: Path, timeframe: Timeframe = MINUTE) -> None:
    one_by_one, whole = bar_file(path, timeframe), bar_file(path, timeframe)
    bars = list(one_by_one)
    columns = whole.columns(compiled())
    assert columns is not None
    run = ColumnRun(columns, compiled())
    # The text of a Decimal says more than its value does: the exponent too.
    assert repr(list(run.bars(0, len(run)))) == repr(bars)
    assert repr([run.bar(place) for place in range(0, len(bars), 7)]) == repr(bars[::7])
    assert whole.summary() == one_by_one.summary()


def refused(path: Path) -> bool:
    """Whether there are no columns of ``path``; then reading it bar by bar says why, or succeeds."""
    return bar_file(path).columns(compiled()) is None


def written(folder: Path, *rows: str) -> Path:
    path = folder / "btc.csv"
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    return path


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A number above 0 as people write it."""
    digits, places = draw(st.integers(1, 10**12)), draw(st.integers(0, 9))
    text = str(Decimal(digits).scaleb(-places))
    if draw(st.booleans()):
        text = format(Decimal(text), "f")
    return "0" * draw(st.integers(0, 2)) + text.replace("E", draw(st.sampled_from("eE")))


@given(st.lists(st.tuples(numbers(), numbers(), st.sampled_from((1, 1, 1, 3))), min_size=1, max_size=30))
def test_columns_hold_what_the_rows_say(rows: list[tuple[str, str, int]]) -> None:
    lines, ts_ms = [], BEGIN
    for price, volume, steps in rows:
        other = format(Decimal(price) * 2, "f")
        lines.append(f"{ts_ms},{price},{other},{price},{other},{volume}")
        ts_ms += 60_000 * steps
    with TemporaryDirectory() as name:
        path = written(Path(name), *lines)
        if not refused(path):
            assert_equal(path)


def test_numbers_as_people_write_them_are_held_by_columns(tmp_path: Path) -> None:
    assert_equal(written(tmp_path, f"{BEGIN},0.1,0.25,1e-2,.2,5.", f"{BEGIN + 60_000},007,9.00,2E-10,3.125,0"))


@given(st.lists(st.tuples(st.floats(1e-6, 1e9), st.floats(0, 1e9)), min_size=1, max_size=30))
def test_floats_of_a_table_hold_their_shortest_text(rows: list[tuple[float, float]]) -> None:
    prices, volumes = [price for price, _ in rows], [volume for _, volume in rows]
    times = [BEGIN + 60_000 * number for number in range(len(rows))]
    with TemporaryDirectory() as name:
        path = Path(name) / "btc.parquet"
        pq.write_table(pa.table(dict(zip(BAR_COLUMNS, (times, *[prices] * 4, volumes), strict=True))), path)
        if not refused(path):
            assert_equal(path)


def test_prices_of_a_table_are_held_by_columns(tmp_path: Path) -> None:
    path = tmp_path / "btc.parquet"
    prices, times = [50_000.5, 0.1, 82_765.0, 1e-05], [BEGIN + 60_000 * number for number in range(4)]
    pq.write_table(pa.table(dict(zip(BAR_COLUMNS, (times, *[prices] * 4, [0.0, 1.25, 3.0, 1e6]), strict=True))), path)
    assert_equal(path)


@pytest.mark.parametrize(
    "row",
    [
        f"{BEGIN},1,1,1,1",
        f"{BEGIN},1,1,1,1,1,1",
        f"{BEGIN},1,1,1,1,",
        f"{BEGIN},1,1,1,1,.",
        f"{BEGIN},1,1,1,1,1e",
        f"{BEGIN},1,1,1,1,1e-",
        f"{BEGIN},1,1,1,1,1e-37",
        f"{BEGIN},1,1,1,1,1e2",
        f"{BEGIN},1,1,1,1,-1",
        f"{BEGIN},1,1,1,1,+1",
        f"{BEGIN},1,1,1,1, 1",
        f"{BEGIN},1,1,1,1,1_0",
        f"{BEGIN},1,1,1,1,nan",
        f"{BEGIN},1,1,1,1,1.2.3",
        f"{BEGIN},1,1,1,1,1234567890123456789",
        f"{BEGIN},123456789012345678,123456789012345678,1.25,2,1",
        f"{BEGIN},2,1,1,1,1",
        f"{BEGIN},1,2,1,3,1",
        f"{BEGIN},0,1,0,1,1",
        f"{BEGIN + 1},1,1,1,1,1",
        "1600000020,1,1,1,1,1",
        "x,1,1,1,1,1",
        ",1,1,1,1,1",
        "",
    ],
)
def test_what_is_not_plain_is_left_to_the_careful_way(tmp_path: Path, row: str) -> None:
    assert refused(written(tmp_path, row))


def test_times_are_checked_as_ever(tmp_path: Path) -> None:
    rows = [f"{BEGIN + 60_000 * number},1,1,1,1,1" for number in range(9_000)]
    assert_equal(written(tmp_path, *rows))
    assert refused(written(tmp_path, *rows[:5_000], rows[4_000], *rows[5_000:]))
    assert refused(written(tmp_path, *rows[::2]))
    assert_equal(written(tmp_path, *rows[:4_096], *rows[4_200:]))
    assert refused(written(tmp_path))


def test_endings_and_cuts_are_as_ever(tmp_path: Path) -> None:
    rows = [f"{BEGIN + 60_000 * number},1.5,1.5,1.5,1.5,1" for number in range(50)]
    path = written(tmp_path, *rows)
    text = path.read_bytes()
    path.write_bytes(text.replace(b"\n", b"\r\n"))
    assert_equal(path)
    path.write_bytes(text.removesuffix(b"\n"))
    assert_equal(path)
    assert "no line end" in bar_notes(path)
    path.write_bytes(gzip.compress(text))
    assert_equal(path)
    path.write_bytes(gzip.compress(text)[:-9])
    assert refused(path)
    with pytest.raises(DataError):
        list(bar_file(path))


def bar_notes(path: Path) -> str:
    file = bar_file(path)
    file.columns(compiled())
    return "; ".join(file.summary().notes)


@pytest.mark.parametrize(
    "name", ["hl_BTC_5m", "hl_XRP_5m", "hl_DOGE_15m", "bitfinex_NEOUSD_1m_2019", "btpy_EURUSD_1h", "ntl_BTCPERP_1m"]
)
def test_real_files_are_held_by_columns(name: str) -> None:
    data = os.environ.get("TRADEBOT_TEST_DATA")
    if not data:
        pytest.skip("TRADEBOT_TEST_DATA is unset: no real market data here")
    timeframe = next(part for part in name.split("_") if part[0].isdigit())
    assert_equal(Path(data) / f"{name}.csv.gz", parse_timeframe(timeframe))
