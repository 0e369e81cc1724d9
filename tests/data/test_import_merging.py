"""What an import does to the store: nothing twice, nothing silently, nothing half."""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.shelf import SERIES, START_MS, Shelf, bars
from tradebot.data.barstore import BarStore
from tradebot.data.importing import Wish, import_file
from tradebot.data.layout import Hints
from tradebot.model.errors import DataError
from tradebot.settings.dataspec import parse_stored
from tradebot.store.candles import BarFile

HEADER = "ts_ms,open,high,low,close,volume\n"


def text(rows: list[tuple[int, ...]]) -> str:
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


def test_importing_again_changes_nothing_not_even_the_file(shelf: Shelf) -> None:
    shelf.take_text(text(bars()))
    before = shelf.store.path(SERIES).read_bytes()
    again = shelf.take_text(text(bars()))
    assert (again.added, again.total) == (0, 40)
    assert shelf.store.path(SERIES).read_bytes() == before


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), min_size=1, max_size=5))
def test_parts_in_any_order_and_overlap_make_the_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]]
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    whole = bars()
    wanted: dict[int, tuple[int, ...]] = {}
    for first, count in parts:
        part = whole[first : first + count]
        wanted |= {row[0]: row for row in part}
        shelf.take_text(text(part))
    assert shelf.rows() == sorted(wanted.values())
    assert sum(origin.added for origin in shelf.store.held(SERIES).origins) == len(wanted)


def test_a_contradiction_is_said_and_nothing_is_replaced(shelf: Shelf) -> None:
    shelf.take_text(text(bars()))
    other = [(ts, o, h, lo, c + (n == 5), v) for n, (ts, o, h, lo, c, v) in enumerate(bars(50))]
    with pytest.raises(DataError, match="2025-01-01 00:05:00: close 107 for 106") as caught:
        shelf.take_text(text(other))
    assert "--keep" in caught.value.mend
    assert shelf.rows() == bars()
    assert shelf.take_text(text(other), keep="stored").added == 10
    assert shelf.rows() == bars(50)
    done = shelf.take_text(text(other), keep="new")
    assert (done.added, done.replaced) == (0, 1)
    assert shelf.rows() == other
    # What was there stays beside it.
    kept = shelf.store.path(SERIES).with_name("bars.parquet.1")
    assert BarFile(kept, "BTC", SERIES.timeframe).check().rows == 50


def test_two_bars_of_one_time_in_a_file_are_refused_or_mended(shelf: Shelf) -> None:
    doubled = [*bars(30)[:21], (bars(30)[20][0], 1, 2, 1, 2, 1), *bars(30)[21:]]
    with pytest.raises(DataError, match="two bars of 2025-01-01 00:20:00 differ, the other on line 22") as caught:
        shelf.take_text(text(doubled))
    assert caught.value.where.endswith("file.csv:23")
    done = shelf.take_text(text(doubled), repairs=True)
    assert shelf.rows() == bars(30)
    assert any("stands on line 22 too" in note for note in done.notes)


def test_equal_bars_that_stand_twice_are_one(shelf: Shelf) -> None:
    done = shelf.take_text(text([*bars(), bars()[3]]))
    assert shelf.rows() == bars()
    assert "left out 1 bar that stood there twice" in done.notes


BAD = {
    "nan": ("nan,nan,nan,nan,0", "'nan' is not a number"),
    "empty": (",,,,", "a number is missing"),
    "short": ("1,2", "3 columns instead of 6"),
    "word": ("1,x,1,1,1", "'x' is not a number"),
    "below": ("1,2,3,1,1", "high 2 is below low 3"),
    "zero": ("0,2,0,1,1", "low 0 is not above 0"),
    "minus": ("1,2,1,2,-1", "volume -1 is below 0"),
    "infinite": ("1,1e999,1,2,1", "is not a number|too large"),
    "underscore": ("1_0,20,1,2,1", "'1_0' is not a number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_and_left_out_on_demand(shelf: Shelf, kind: str) -> None:
    row, what = BAD[kind]
    good = text(bars(30)).splitlines()
    content = "\n".join([*good[:11], f"{START_MS + 30 * 60_000},{row}", *good[11:], ""])
    with pytest.raises(DataError, match=what) as caught:
        shelf.take_text(content)
    assert caught.value.where.endswith("file.csv:12")
    assert "--repair" in caught.value.mend
    done = shelf.take_text(content, repairs=True)
    assert shelf.rows() == bars(30)
    assert len(done.notes) == 1 or "sorted" in done.notes[0]


def test_more_than_a_twentieth_is_lost_only_by_force(shelf: Shelf) -> None:
    content = text(bars(20)) + f"{START_MS + 20 * 60_000},x,x,x,x,x\n" * 4
    with pytest.raises(DataError, match="more than 5 %"):
        shelf.take_text(content, repairs=True)
    shelf.take_text(content, repairs=True, is_forced=True)
    assert shelf.rows() == bars(20)


def test_bars_of_another_length_are_refused(shelf: Shelf) -> None:
    with pytest.raises(DataError, match=r"off the grid|no two bars are 1m apart"):
        shelf.take_text(text(bars(step_ms=300_000)))
    with pytest.raises(DataError, match=r"less than 5m after|off the grid"):
        shelf.take_text(text(bars()), series=parse_stored("test:BTC:5m"))


def test_numbers_that_no_float_can_hold_are_kept_exactly(shelf: Shelf) -> None:
    long = "0.123456789012345678901"
    rows = "".join(f"{START_MS + n * 60_000},1,2,{long},1.5,{'9' * 17}.{n}\n" for n in range(30))
    shelf.take_text(HEADER + rows)
    assert shelf.rows()[7] == (START_MS + 7 * 60_000, 1, 2, Decimal(long), Decimal("1.5"), Decimal(f"{'9' * 17}.7"))
    assert [bar.low for bar in BarFile(shelf.store.path(SERIES), "BTC", SERIES.timeframe)] == [Decimal(long)] * 30
    # More of it, in numbers that a float can hold.
    more = [(ts + 30 * 60_000, *numbers) for ts, *numbers in bars()]
    shelf.take_text(text(more))
    assert shelf.rows()[29:31] == [
        (START_MS + 29 * 60_000, 1, 2, Decimal(long), Decimal("1.5"), Decimal(f"{'9' * 17}.29")),
        more[0],
    ]


NUMBERS = st.decimals(Decimal("1e-12"), Decimal("1e12"), allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=60)
@given(st.lists(NUMBERS, min_size=1, max_size=5), st.booleans())
def test_every_number_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[Decimal], plain: bool
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    written = [format(number, "f") if plain else str(number) for number in numbers]
    rows = "".join(f"{START_MS + n * 60_000},{w},{w},{w},{w},{w}\n" for n, w in enumerate(written))
    shelf.take_text(HEADER + rows)
    assert shelf.rows() == [(START_MS + n * 60_000, *[number] * 5) for n, number in enumerate(numbers)]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.data.shelf import Shelf
at = int(sys.argv[2])
calls = 0
def killing(real):
    def call(*given, **named):
        global calls
        calls += 1
        if calls > at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call
os.fsync, os.replace, os.rename, os.link = map(killing, (os.fsync, os.replace, os.rename, os.link))
Path.replace = killing(Path.replace)
shelf = Shelf(Path(sys.argv[1]))
shelf.take(shelf.folder / "more.csv")
"""


@pytest.mark.parametrize("at", range(3))
def test_a_kill_in_the_midst_of_writing_loses_nothing(shelf: Shelf, at: int) -> None:
    shelf.take_text(text(bars(30)))
    more = shelf.write(text(bars(60)), "more.csv")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(shelf.folder), str(at)], cwd=root, env=os.environ, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert shelf.rows() in (bars(30), bars(60))
    shelf.take(more)
    assert shelf.rows() == bars(60)
    assert sorted(path.name for path in shelf.store.path(SERIES).parent.iterdir()) == [".lock", "bars.parquet"]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_garbage_is_refused_in_words(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    whole = text(bars(12)).encode()
    kinds = {
        "bytes": st.binary(max_size=300),
        "text": st.text(max_size=300).map(str.encode),
        "cut": st.integers(0, len(whole)).map(lambda end: whole[:end]),
        "torn": st.tuples(st.integers(0, len(whole)), st.binary(min_size=1, max_size=9)).map(
            lambda pair: whole[: pair[0]] + pair[1] + whole[pair[0] :]
        ),
        "magic": st.tuples(
            st.sampled_from(
                [b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"ARROW1\0\0", b"[", b'{"a":', b"\xff\xfe", b"[[1,2,3,4,5,6]"]
            ),
            st.binary(max_size=60),
        ).map(b"".join),
        "digits": st.text("0123456789.,;-\n \t[]{}\"'eTZ:", max_size=200).map(str.encode),
    }
    content = data.draw(kinds[data.draw(st.sampled_from(sorted(kinds)))])
    path = folder / "file"
    path.write_bytes(content)
    told: list[DataError] = []
    try:
        import_file(BarStore(folder / "data"), path, SERIES, Wish(hints=Hints(), repairs=data.draw(st.booleans())), 0)
    except DataError as error:
        told.append(error)
    assert all(error.what and str(path) in error.where for error in told)


@pytest.mark.parametrize("form", ["csv.gz", "zip", "parquet", "feather"])
def test_a_cut_off_packed_file_is_refused(shelf: Shelf, form: str) -> None:
    import gzip
    import io
    import zipfile

    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    whole = text(bars(2000))
    packed = io.BytesIO()
    table = pa.table(dict(zip(HEADER.strip().split(","), map(list, zip(*bars(2000), strict=True)), strict=True)))
    if form == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", whole)
    elif form == "csv.gz":
        packed.write(gzip.compress(whole.encode()))
    elif form == "parquet":
        pa.parquet.write_table(table, packed)
    else:
        pa.feather.write_feather(table, packed)
    content = packed.getvalue()
    for part in (0.1, 0.5, 0.9, 0.99):
        with pytest.raises(DataError):
            shelf.take_text(content[: int(len(content) * part)])
    assert not shelf.store.has(SERIES)
