"""Bar files: what is read, and what is refused with its line."""

import gzip
import hashlib
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.errors import DataError
from tradebot.model.market import Bar
from tradebot.model.time import from_ms, parse_timeframe
from tradebot.store.batches import RowFault, parse_row
from tradebot.store.candles import BarFile, bar_fault, check_files
from tradebot.store.columns import CHUNK_BYTES
from tradebot.store.funding import check_funding, read_funding

M5 = parse_timeframe("5m")
STEP_MS = 300_000


def zipped(content: bytes) -> bytes:
    # Without the time of day, which would be in the names of the tests.
    return gzip.compress(content, mtime=0)


HEADER = "ts_ms,open,high,low,close,volume"


def row(n: int = 0, ohlcv: str = "10,12,9,11,5") -> str:
    return f"{n * STEP_MS},{ohlcv}"


def csv(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *rows, ""])


def bar_file(path: Path, content: str | bytes) -> BarFile:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return BarFile(path, "BTC", M5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bars.csv"


def test_a_row_becomes_a_bar_whose_time_is_its_close(path: Path) -> None:
    [bar] = bar_file(path, csv(row(7, "10.0,12.50,9,11,0")))
    assert bar == Bar(
        "BTC", M5, from_ms(8 * STEP_MS), Decimal("10.0"), Decimal("12.50"), Decimal(9), Decimal(11), Decimal(0)
    )
    assert type(bar) is Bar
    assert hash(bar) == hash(bar)
    with pytest.raises(AttributeError):
        bar.close = Decimal(1)


def test_exponent_notation_is_read(path: Path) -> None:
    [bar] = bar_file(path, csv(row(0, "1e1,1.2E+1,9e0,11,3.4e-07")))
    assert (bar.open, bar.high, bar.volume) == (Decimal(10), Decimal(12), Decimal("0.00000034"))


@pytest.mark.parametrize(
    "content",
    [
        csv(row(0), row(1)).encode(),
        csv(row(0), row(1)).replace("\n", "\r\n").encode(),
        csv(row(0), row(1)).encode("utf-8-sig"),
        csv(row(0), row(1)).rstrip("\n").encode(),
        zipped(csv(row(0), row(1)).encode()),
    ],
    ids=["plain", "crlf", "bom", "no-final-newline", "gzip"],
)
def test_every_way_to_end_lines_and_to_compress_gives_the_same_bars(path: Path, content: bytes) -> None:
    source = bar_file(path, content)
    assert [bar.ts_open for bar in source] == [0, from_ms(STEP_MS)]
    assert source.count() == 2
    assert source.check().rows == 2
    assert source.digest() == hashlib.sha256(content).hexdigest()


def test_a_last_line_without_an_end_is_noted(path: Path) -> None:
    [summary] = check_files([bar_file(path, csv(row(0)).rstrip("\n"))])
    assert "cut" in summary.notes[0]


def test_gaps_are_counted_and_not_refused(path: Path) -> None:
    [summary] = check_files([bar_file(path, csv(row(0), row(1), row(5), row(6), row(8)))])
    assert (summary.rows, summary.gaps, summary.missing) == (5, 2, 4)
    assert (summary.ts_first, summary.ts_last, summary.notes) == (0, from_ms(9 * STEP_MS), ())


def test_gaps_between_batches_are_counted(path: Path) -> None:
    count = 3 * CHUNK_BYTES // len(row(10_000))
    summary = bar_file(path, csv(row(0), *(row(2 * n + 1) for n in range(count)))).check()
    assert (summary.rows, summary.gaps, summary.missing) == (count + 1, count - 1, count - 1)
    assert summary.first_gap == summary.largest_gap == (2 * STEP_MS, 1)


@pytest.mark.parametrize(
    ("timeframe", "times", "line", "what"),
    [
        ("1m", [7_000 + n * 60_000 for n in range(20)], 2, "off the grid: bars of 1m open on whole 1m"),
        ("1m", [n * 61_000 for n in range(20)], 3, "is off the grid of 1m: 61s after the line above"),
        ("5m", [n * 300_000 + 7_000 * (n > 12) for n in range(20)], 15, "off the grid of 5m: 307s after"),
        ("1d", [n * 86_400_000 + 60_000 for n in range(20)], 2, "bars of 1d open on whole 1d"),
    ],
)
def test_bars_off_the_grid_are_refused_with_the_first_line(
    path: Path, timeframe: str, times: list[int], line: int, what: str
) -> None:
    path.write_text(csv(*(f"{ts},10,12,9,11,5" for ts in times)))
    with pytest.raises(DataError, match=re.escape(what)) as refused:
        BarFile(path, "BTC", parse_timeframe(timeframe)).check()
    assert refused.value.where == f"{path}:{line}"


def test_bars_that_count_from_the_opening_of_an_exchange_are_noted(path: Path) -> None:
    path.write_text(csv(*(f"{n * 86_400_000 + 52_200_000},10,12,9,11,5" for n in (0, 1, 2, 5))))
    summary = BarFile(path, "GOOG", parse_timeframe("1d")).check()
    assert summary.notes == ("bars open 14h 30m after whole 1d",)
    assert (summary.gaps, summary.missing) == (1, 2)


@pytest.mark.parametrize(
    ("declared", "actual", "count", "line"), [("1m", "5m", 12, 3), ("1h", "15m", 3, 3), ("15m", "1d", 12, 3)]
)
def test_bars_of_another_length_than_declared_are_refused(
    path: Path, declared: str, actual: str, count: int, line: int
) -> None:
    step = parse_timeframe(actual) // 1_000_000
    path.write_text(csv(*(f"{n * step},10,12,9,11,5" for n in range(count))))
    with pytest.raises(DataError) as refused:
        BarFile(path, "BTC", parse_timeframe(declared)).check()
    assert refused.value.where == f"{path}:{line}"
    assert refused.value.mend == f"say how long they are: BTC:{actual}=bars.csv"


def test_a_thin_market_may_lack_every_second_bar(path: Path) -> None:
    path.write_text(csv(*(row(2 * n + (n > 5)) for n in range(20))))
    assert BarFile(path, "BTC", M5).check().missing == 20


UNITS = {"seconds": 1_000_000_000, "microseconds": 1_000, "nanoseconds": 1}


@pytest.mark.parametrize(("unit", "nanos"), UNITS.items())
def test_times_in_another_unit_are_named_so_in_bars_and_in_funding(path: Path, unit: str, nanos: int) -> None:
    start = 1_735_689_600_000_000_000
    times = [(start + n * 3_600_000_000_000) // nanos for n in range(5)]
    path.write_text(csv(*(f"{ts},10,12,9,11,5" for ts in times)))
    with pytest.raises(DataError, match=f"looks like {unit}, not milliseconds") as refused:
        BarFile(path, "BTC", parse_timeframe("1h")).check()
    assert refused.value.where == f"{path}:2"
    with pytest.raises(DataError, match=f"looks like {unit}"):
        list(BarFile(path, "BTC", None).batches())
    path.write_text("\n".join(["ts_ms,rate", *(f"{ts},0.0001" for ts in times), ""]))
    with pytest.raises(DataError, match=f"looks like {unit}") as refused:
        check_funding(path, "BTC")
    assert refused.value.where == f"{path}:2"
    assert "--repair" in refused.value.mend


def test_a_unit_that_changes_half_way_is_named(path: Path) -> None:
    start = 1_735_689_600
    path.write_text(csv(*(f"{(start + n * 60) * (1000 if n < 3 else 1)},10,12,9,11,5" for n in range(6))))
    with pytest.raises(DataError, match=f"{start + 180} looks like seconds") as refused:
        BarFile(path, "BTC", parse_timeframe("1m")).check()
    assert refused.value.where == f"{path}:5"


BAD_ROWS = {
    "too few columns": ("600000,10,12,9,11", "5 columns"),
    "too many columns": ("600000,10,12,9,11,5,6", "7 columns"),
    "truncated": ("600000,10,1", "3 columns"),
    "empty line": ("", "empty"),
    "no time": (",10,12,9,11,5", "ts_ms ''"),
    "time with a fraction": ("600000.0,10,12,9,11,5", "ts_ms '600000.0'"),
    "negative time": ("-600000,10,12,9,11,5", "not a time"),
    "time in nanoseconds": ("1741946400000000000,10,12,9,11,5", "looks like nanoseconds"),
    "unsorted": ("1,10,12,9,11,5", "before 300000"),
    "duplicate": ("300000,10,12,9,11,5", "stands on the line above"),
    "too close": ("599999,10,12,9,11,5", "less than 5m after"),
    "no number": ("600000,x,12,9,11,5", "'x' is not a number"),
    "missing value": ("600000,10,12,,11,5", "'' is not a number"),
    "underscore": ("600000,10,1_2,9,11,5", "plain numbers"),
    "NaN": ("600000,10,12,NaN,11,5", "finite"),
    "signalling NaN": ("600000,10,12,sNaN,11,5", "finite"),
    "NaN volume": ("600000,10,12,9,11,nan", "finite"),
    "infinite high": ("600000,10,inf,9,11,5", "finite"),
    "infinite volume": ("600000,10,12,9,11,Infinity", "finite"),
    "negative prices": ("600000,-10,-9,-12,-11,5", "low -12 is not above 0"),
    "zero low": ("600000,10,12,0,11,5", "low 0 is not above 0"),
    "negative volume": ("600000,10,12,9,11,-5", "volume -5 is below 0"),
    "high below low": ("600000,10,9,12,11,5", "high 9 is below low 12"),
    "open above high": ("600000,13,12,9,11,5", "open 13 is outside"),
    "open below low": ("600000,8,12,9,11,5", "open 8 is outside"),
    "close above high": ("600000,10,12,9,13,5", "close 13 is outside"),
    "close below low": ("600000,10,12,9,8,5", "close 8 is outside"),
    "inconsistent past float": ("600000,10,10,9,10.00000000000000000001,5", "close 10.0"),
    "absurdly large": ("600000,10,1e400,9,11,5", "too large"),
    "foreign digits": ("600000,10,1\N{ARABIC-INDIC DIGIT TWO},9,11,5", "plain numbers"),
    "bad utf-8": (b"600000,10,12,9,11,\xff\xfe", "plain numbers"),
    "nul bytes": (b"\0\0\0\0\0\0\0\0", "1 columns"),
    "garbage": ("x" * 5_000, "1 columns"),
    "endless line": ("x" * 1_000_000, "longer than"),
}


@pytest.mark.parametrize(("bad", "what"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
@pytest.mark.parametrize("compressed", [False, True], ids=["csv", "gz"])
def test_a_bad_row_is_refused_with_its_line(path: Path, bad: str | bytes, what: str, compressed: bool) -> None:
    bad = bad.encode() if isinstance(bad, str) else bad
    content = b"\n".join([csv(row(0), row(1)).encode().rstrip(), bad, row(3).encode(), b""])
    source = bar_file(path, zipped(content) if compressed else content)
    with pytest.raises(DataError, match=re.escape(what)) as refused:
        check_files([source])
    assert refused.value.where == f"{path}:4"
    assert refused.value.mend
    assert len(refused.value.what) < 200
    with pytest.raises(DataError):
        list(source)


@given(st.integers(2, 3_000), st.data())
def test_a_bad_row_is_named_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, count: int, data: st.DataObject
) -> None:
    bad = data.draw(st.integers(1, count - 1))
    rows = [row(n - (n == bad)) for n in range(count)]
    source = bar_file(tmp_path_factory.getbasetemp() / "anywhere.csv", csv(*rows))
    with pytest.raises(DataError) as refused:
        source.check()
    assert refused.value.where.endswith(f":{bad + 2}")


def test_two_lines_of_wrong_width_do_not_make_up_for_each_other(path: Path) -> None:
    with pytest.raises(DataError, match="5 columns") as refused:
        bar_file(path, csv(row(0), f"{STEP_MS},10,12,9,11", f"5,{2 * STEP_MS},10,12,9,11,5")).check()
    assert refused.value.where == f"{path}:3"


def test_a_broken_line_is_not_read_as_one(path: Path) -> None:
    with pytest.raises(DataError, match="3 columns") as refused:
        bar_file(path, csv(row(0), row(1).replace(",9", "\n9"))).check()
    assert refused.value.where == f"{path}:3"


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(",\n.-e019 \r_N\xff")), max_size=2), st.booleans())
@settings(max_examples=300)
def test_reading_whole_batches_judges_as_reading_line_by_line(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, str]], insert: bool
) -> None:
    body = "\n".join([*(row(n) for n in range(5)), ""])
    for place, character in edits:
        body = body[:place] + character + body[place + (not insert) :]
    path = tmp_path_factory.getbasetemp() / "edited.csv"
    source = bar_file(path, f"{HEADER}\n{body}".encode("latin-1"))
    wrong, last = None, None
    for line, text in enumerate(body.removesuffix("\n").split("\n"), 2):
        try:
            ts, numbers = parse_row(text, 6)
            wrong = bar_fault(ts, numbers, last, M5)
        except RowFault as fault:
            wrong = str(fault)
        if wrong is not None:
            with pytest.raises(DataError) as refused:
                source.check()
            assert refused.value.where == f"{path}:{line}"
            return
        last = ts
    assert [bar.ts_open for bar in source][-1] == from_ms(last)


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"", 1, "empty"),
        (zipped(b""), 1, "empty"),
        (HEADER.encode(), 1, "no bar"),
        (csv().encode(), 1, "no bar"),
        (csv(row(0), header="ts,o,h,l,c,v").encode(), 1, "'ts,o,h,l,c,v'"),
        (row(0).encode(), 1, "the header is '0,10"),
        (zipped(HEADER[:9].encode()) + zipped(f"{HEADER[9:]}\n0,1".encode()), 2, "2 columns"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", 1, "header"),
        (zipped(csv(row(0)).encode())[:-8], 3, "cut off or damaged"),
        (zipped(csv(row(0)).encode())[:-12] + b"\0" * 12, 2, "cut off or damaged"),
        (zipped(csv(row(0)).encode()) + b"\1\2\3\4", 3, "cut off or damaged"),
    ],
)
def test_a_file_that_is_no_table_of_bars_is_refused(path: Path, content: bytes, line: int, what: str) -> None:
    with pytest.raises(DataError, match=re.escape(what)) as refused:
        bar_file(path, content).check()
    assert refused.value.where == f"{path}:{line}"
    assert refused.value.mend


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for target in (tmp_path / "absent.csv", tmp_path):
        source = BarFile(target, "BTC", M5)
        for reading in (source.check, source.count, source.digest, lambda source=source: list(source)):
            with pytest.raises(DataError, match="cannot be read"):
                reading()


def test_nothing_is_read_of_a_line_that_gzip_cut_off(path: Path) -> None:
    content = zipped(csv(*(row(n, f"10,12,9,11,{n * 7919}") for n in range(20_000))).encode())
    source = bar_file(path, content[: len(content) // 2])
    with pytest.raises(DataError, match="cut off or damaged") as refused:
        source.check()
    line = int(refused.value.where.rpartition(":")[2])
    assert 5_000 < line < 20_000


@given(st.integers(0, 2_500))
def test_skipping_gives_the_rest(tmp_path_factory: pytest.TempPathFactory, skip: int) -> None:
    path = tmp_path_factory.getbasetemp() / "skip.csv"
    source = BarFile(path, "BTC", M5)
    if not path.exists():
        bar_file(path, csv(*(row(n) for n in range(2_500))).rstrip("\n"))
    assert [bar.ts_open for bar in source.skip(skip)] == [from_ms(n * STEP_MS) for n in range(skip, 2_500)]


def test_skipping_more_rows_than_there_are_is_refused(path: Path) -> None:
    source = bar_file(path, csv(row(0), row(1)))
    assert list(source.skip(2)) == []
    with pytest.raises(DataError, match="1 rows fewer"):
        list(source.skip(3))


def test_funding_rates_are_read_in_order(path: Path) -> None:
    path.write_text("ts_ms,rate\n48,-0.0006\n3600001,1.25e-05\n")
    assert list(read_funding(path)) == [(from_ms(48), Decimal("-0.0006")), (from_ms(3_600_001), Decimal("0.0000125"))]


@pytest.mark.parametrize(
    ("bad", "what"), [("10,0.1", "before 48"), ("99,nan", "between"), ("99,1", "between"), ("99", "1 col")]
)
def test_a_bad_funding_row_is_refused_with_its_line(path: Path, bad: str, what: str) -> None:
    path.write_text(f"ts_ms,rate\n48,-0.0006\n{bad}\n")
    with pytest.raises(DataError, match=what) as refused:
        list(read_funding(path))
    assert refused.value.where == f"{path}:3"


def test_hours_without_a_rate_are_counted(path: Path) -> None:
    hours = [0, 1, 2, 10, 11, 13]
    path.write_text("\n".join(["ts_ms,rate", *(f"{hour * 3_600_000 + 48},0.0001" for hour in hours), ""]))
    summary = check_funding(path, "BTC")
    assert (summary.rows, summary.gaps, summary.missing) == (6, 2, 8)
    assert summary.first_gap == summary.largest_gap == (3 * 3_600_000, 7)


def test_a_funding_file_without_a_rate_is_refused(path: Path) -> None:
    path.write_text("ts_ms,rate\n")
    with pytest.raises(DataError, match="no rate"):
        check_funding(path, "BTC")
