"""A mended copy holds what can be used, and what was left out is said."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import DataError
from tradebot.model.time import from_ms, parse_timeframe
from tradebot.store.candles import BarFile
from tradebot.store.repair import repair

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
    mended = repair(source, M5)
    assert mended.path == tmp_path / "x.repaired.csv"
    assert opens(mended.path) == [1, 2, 3, 4]
    assert mended.actions[0].endswith("sorted: 2 lines were earlier than the one above")
    assert [action.split(": ")[0] for action in mended.actions[1:]] == [
        f"{source}:{n}" for n in (6, 7, 8, 9, 10, 11, 5)
    ]
    assert "stands on line 4 too" in mended.actions[-1]
    assert source.read_bytes() == before


def test_of_many_bad_rows_the_rest_is_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "x.csv", HEADER, row(0), *(["x"] * 50))
    actions = repair(source, M5).actions
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
    mended = repair(source, M5)
    assert opens(mended.path) == sorted({SOUND.index(line) for line in lines if line in SOUND})
    assert BarFile(mended.path, "BTC", M5).check().rows == mended.rows
    assert repair(mended.path, M5).actions == ()
