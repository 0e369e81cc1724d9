"""A mended copy holds what can be used, and what was left out is said."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import DataError
from tradebot.model.time import from_ms, parse_timeframe
from tradebot.store.candles import BarFile
from tradebot.store.funding import check_funding
from tradebot.store.repair import MAX_LOST_PCT, repair, repair_funding

M5 = parse_timeframe("5m")
STEP_MS = 300_000
HEADER = "ts_ms,open,high,low,close,volume"


def row(n: int, ohlcv: str = "10,12,9,11,5") -> str:
    return f"{n * STEP_MS},{ohlcv}"


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in (*lines, b"")))
    return path


def opens(path: Path) -> list[int]:
    return [bar.ts_open // from_ms(STEP_MS) for bar in BarFile(path, "BTC", M5)]


def test_a_sound_file_needs_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "x.csv", HEADER, row(0), row(1))
    mended = repair(source, M5)
    assert (mended.actions, mended.rows) == ((), 2)
    assert mended.path.read_bytes() == source.read_bytes()


def test_bad_rows_are_left_out_and_named_and_the_original_stays(tmp_path: Path) -> None:
    bad = [row(4), row(4, "1,1,1,1,1"), "x", b"\xff", "", row(5, "10,NaN,9,11,5"), row(6, "10,9,12,11,5"), row(7)[:-2]]
    source = write(tmp_path / "x.csv", HEADER, row(3), row(1), *bad, row(2))
    before = source.read_bytes()
    with pytest.raises(DataError, match="would leave out 6 of 10 rows, more than 5 %; the first is line 6"):
        repair(source, M5)
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    mended = repair(source, M5, is_forced=True)
    assert mended.path == tmp_path / "x.repaired.csv"
    assert opens(mended.path) == [1, 2, 3, 4]
    assert mended.actions[0].endswith("sorted: 2 lines were earlier than the one above")
    assert [action.split(": ")[0] for action in mended.actions[1:]] == [
        f"{source}:{n}" for n in (5, 6, 7, 8, 9, 10, 11)
    ]
    assert "stands on line 4 too" in mended.actions[1]
    assert source.read_bytes() == before


def test_of_many_bad_rows_the_rest_is_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "x.csv", HEADER, row(0), *(["x"] * 50))
    actions = repair(source, M5, is_forced=True).actions
    assert len(actions) == 21
    assert actions[-1].endswith("left out 30 more: lines that are no row of numbers")


def test_a_missing_header_is_added_and_an_unknown_one_refused(tmp_path: Path) -> None:
    mended = repair(write(tmp_path / "x.csv", row(0), row(1)), M5)
    assert opens(mended.path) == [0, 1]
    assert "header" in mended.actions[0]
    with pytest.raises(DataError, match="header"):
        repair(write(tmp_path / "y.csv", "time,o,h,l,c,v", row(0)), M5)


def test_of_a_cut_gzip_file_what_can_be_read_stays(tmp_path: Path) -> None:
    source = tmp_path / "x.csv.gz"
    text = "\n".join([HEADER, *(row(n, f"10,12,9,11,{n * 7919}") for n in range(5_000))])
    source.write_bytes(gzip.compress(text.encode())[:-5_000])
    mended = repair(source, M5)
    assert mended.path == tmp_path / "x.repaired.csv.gz"
    assert opens(mended.path) == list(range(mended.rows))
    assert mended.rows > 1_000
    assert "all from here on" in mended.actions[-1]
    assert mended.path.read_bytes() == repair(source, M5, tmp_path / "again.csv.gz").path.read_bytes()


def test_a_file_without_a_usable_row_or_a_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no line of it can be used"):
        repair(write(tmp_path / "x.csv", HEADER, "x"), M5)
    with pytest.raises(DataError, match="cannot be written"):
        repair(write(tmp_path / "x.csv", HEADER, row(0)), M5, tmp_path / "absent" / "x.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


SOUND = [row(n) for n in range(21)]
LINES = st.one_of(
    st.sampled_from(SOUND),
    st.builds(row, st.integers(-1, 20), st.sampled_from(["10,12,9,11,-5", "1,2", "9,9,9,9,inf"])),
    st.binary(max_size=20).filter(lambda line: b"\n" not in line),
)


@given(st.lists(LINES, max_size=30))
def test_whatever_stands_in_a_file_its_mended_copy_is_sound(
    tmp_path_factory: pytest.TempPathFactory, lines: list
) -> None:
    source = write(tmp_path_factory.getbasetemp() / "any.csv", HEADER, *lines)
    if not any(line in SOUND for line in lines):
        with pytest.raises(DataError, match="no line"):
            repair(source, M5)
        return
    mended = repair(source, M5, is_forced=True)
    assert opens(mended.path) == sorted({SOUND.index(line) for line in lines if line in SOUND})
    assert BarFile(mended.path, "BTC", M5).check().rows == mended.rows
    assert repair(mended.path, M5).actions == ()


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 5))
def test_more_than_the_stated_share_is_never_left_out_unasked(
    tmp_path_factory: pytest.TempPathFactory, good: int, bad: int, repeated: int
) -> None:
    folder = tmp_path_factory.mktemp("share")
    lines = [*(row(n) for n in range(good)), *[row(0)] * repeated, HEADER, "", *["x"] * bad]
    source = write(folder / "x.csv", HEADER, *lines)
    if bad * 100 > MAX_LOST_PCT * (good + bad):
        with pytest.raises(DataError, match=f"leave out {bad} of {good + bad} rows"):
            repair(source, M5)
        assert [path.name for path in folder.iterdir()] == ["x.csv"]
    else:
        assert repair(source, M5).rows == good
    assert repair(source, M5, is_forced=True).rows == good


@pytest.mark.parametrize(
    ("nanos", "how"),
    [
        (1_000_000_000, "seconds to milliseconds (multiplied by 1,000)"),
        (1_000, "microseconds to milliseconds (divided by 1,000)"),
        (1, "nanoseconds to milliseconds (divided by 1,000,000)"),
    ],
)
def test_times_in_another_unit_are_converted_and_no_row_is_lost(tmp_path: Path, nanos: int, how: str) -> None:
    start = 1_735_689_600_000_000_000
    times = [(start + n * from_ms(STEP_MS)) // nanos for n in range(40)]
    source = write(tmp_path / "x.csv", HEADER, *(f"{ts},10,12,9,11,5" for ts in times))
    mended = repair(source, M5)
    assert mended.actions == (f"{source}: converted: 40 times from {how}",)
    assert BarFile(mended.path, "BTC", M5).check().ts_first == start
    assert mended.rows == 40
    rates = write(tmp_path / "rates.csv", "ts_ms,rate", *(f"{ts},0.0001" for ts in times))
    mended = repair_funding(rates)
    assert mended.actions == (f"{rates}: converted: 40 times from {how}",)
    assert check_funding(mended.path, "BTC").rows == 40


def test_a_market_of_1970_has_no_seconds(tmp_path: Path) -> None:
    source = write(tmp_path / "x.csv", HEADER, *(row(n) for n in range(4_000)))
    assert repair(source, M5).actions == ()


def test_a_gzip_file_damaged_half_way_is_only_repaired_by_force(tmp_path: Path) -> None:
    source = tmp_path / "x.csv.gz"
    text = "\n".join([HEADER, *(row(n, f"10,12,9,11,{n * 7919}") for n in range(20_000))])
    content = bytearray(gzip.compress(text.encode()))
    half = len(content) // 2
    content[half : half + 200] = b"\xff" * 200
    source.write_bytes(content)
    with pytest.raises(DataError, match="would lose an unknown part of it") as refused:
        repair(source, M5)
    assert "--force" in refused.value.mend
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv.gz"]
    assert repair(source, M5, is_forced=True).rows > 1_000


def test_funding_rates_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    lines = [f"{n * 3_600_000},0.0001" for n in range(40)]
    lines[7] = f"{7 * 3_600_000},7"
    mended = repair_funding(write(tmp_path / "x.csv", "ts_ms,rate", *lines))
    assert mended.rows == 39
    assert mended.actions[0].endswith(":9: left out: rate 7 is not between -1 and 1")
