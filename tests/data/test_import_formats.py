"""What other programs write: each is imported equal to what it says."""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.data.shelf import SERIES, Shelf, bars, when
from tradebot.data.layout import Hints
from tradebot.data.stamps import parse_zone
from tradebot.model.errors import DataError

TRUTH = bars()
OHLCV = "open,high,low,close,volume"
OURS = f"ts_ms,{OHLCV}"
Row = tuple[int, ...]


def lines(form: Callable[[Row], str], header: str = "") -> str:
    return (header + "\n" if header else "") + "".join(form(row) + "\n" for row in TRUTH)


def commas(row: Row) -> str:
    return ",".join(map(str, row[1:]))


def kline(row: Row, times: int = 1) -> str:
    return f"{row[0] * times},{commas(row)},{(row[0] + 60_000) * times - 1},100,3,0.5,50,0"


def binance_header() -> str:
    return f"open_time,{OHLCV},close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"


TEXTS = {
    "our own": lines(lambda r: f"{r[0]},{commas(r)}", OURS),
    "tabs and other names": lines(
        lambda r: "\t".join(map(str, r)), "Timestamp\tOpen Price\tHigh Price\tLow Price\tClose Price\tVol."
    ),
    "seconds": lines(lambda r: f"{r[0] // 1000},{commas(r)}", "time,o,h,l,c,v"),
    "float seconds": lines(lambda r: f"{r[0] / 1000},{commas(r)}", "time,o,h,l,c,v"),
    "microseconds": lines(lambda r: f"{r[0] * 1000},{commas(r)}", "time,o,h,l,c,v"),
    "nanoseconds": lines(lambda r: f"{r[0] * 1_000_000},{commas(r)}", "time,o,h,l,c,v"),
    "iso with offset": lines(
        lambda r: f"{when(r[0] + 7_200_000, '%Y-%m-%dT%H:%M:%S')}+02:00,{commas(r)}", f"date,{OHLCV}"
    ),
    "iso without zone": lines(lambda r: f"{when(r[0], '%Y-%m-%d %H:%M')},{commas(r)}", f"date,{OHLCV}"),
    "decimal commas": lines(
        lambda r: ";".join([when(r[0], "%d.%m.%Y %H:%M:%S"), *(f"{n},0" for n in r[1:])]),
        "Date;Open;High;Low;Close;Volume",
    ),
    "MetaTrader 4": lines(lambda r: f"{when(r[0], '%Y.%m.%d,%H:%M')},{commas(r)}"),
    "MetaTrader 5": lines(
        lambda r: "\t".join([when(r[0], "%Y.%m.%d"), when(r[0], "%H:%M:%S"), *map(str, r[1:]), "0", "2"]),
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    ),
    "HistData": lines(lambda r: ";".join([when(r[0], "%Y%m%d %H%M%S"), *map(str, r[1:])])),
    "Dukascopy": lines(
        lambda r: f"{when(r[0], '%d.%m.%Y %H:%M:%S')}.000 GMT+0000,{commas(r)}", "Gmt time,Open,High,Low,Close,Volume"
    ),
    "twelve hours": lines(
        lambda r: f"{when(r[0], '%Y-%m-%d %I:%M %p')},{commas(r)}", f"date,{OHLCV}"
    ),
    "date of digits": lines(lambda r: f"{when(r[0], '%Y%m%d%H%M%S')},{commas(r)}"),
    "Binance": lines(kline),
    "Binance with header": lines(kline, binance_header()),
    "Binance in microseconds": lines(lambda r: kline(r, 1000)),
    "milliseconds, then microseconds": "".join(
        kline(row, 1 if number < 20 else 1000) + "\n" for number, row in enumerate(TRUTH)
    ),
    "CryptoDataDownload": "https://www.CryptoDataDownload.com\n"
    + lines(
        lambda r: f"{r[0]},{when(r[0], '%Y-%m-%d %H:%M:%S')},BTC/USDT,{commas(r)},999,5",
        "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount",
    ),
    "Kraken": lines(lambda r: f"{r[0] // 1000},{commas(r)},17"),
    "Bitfinex": lines(lambda r: ",".join(map(str, (r[0], r[1], r[4], r[2], r[3], r[5])))),
    "Coinbase": lines(lambda r: ",".join(map(str, (r[0] // 1000, r[3], r[2], r[1], r[4], r[5])))),
    "Kraken's answers": lines(lambda r: ",".join(map(str, (r[0] // 1000, *r[1:5], r[1] + 0.5, r[5], 17)))),
    "an index of pandas": "".join(
        f"{number - 1 if number else ''},{line}\n"
        for number, line in enumerate(lines(lambda r: f"{r[0]},{commas(r)}", f"ts,{OHLCV}").splitlines())
    ),
    "times as index": lines(lambda r: f"{when(r[0], '%Y-%m-%d %H:%M:%S')}+00:00,{commas(r)}", f",{OHLCV.title()}"),
    "newest first": "".join(
        f"{row[0]},{commas(row)}\n" for row in reversed(TRUTH)
    ),
    "carriage returns and BOM": "\ufeff"
    + lines(lambda r: f"{r[0]},{commas(r)}", OURS).replace("\n", "\r\n"),
    "header twice": lines(lambda r: f"{r[0]},{commas(r)}", OURS).replace(
        f"{TRUTH[20][0]},", f"{OURS}\n{TRUTH[20][0]},"
    ),
    "blank lines and a comma at the end": lines(
        lambda r: f"{r[0]},{commas(r)},\n", OURS
    ),
    "exponents": lines(lambda r: f"{r[0]}," + ",".join(f"{n:.17e}" for n in r[1:]), OURS),
    "spaces": lines(lambda r: "  ".join(map(str, r))),
    "ccxt": json.dumps(TRUTH),
    "objects": json.dumps([dict(zip("tohlcv", map(str, row), strict=True)) for row in TRUTH]),
    "object of arrays": json.dumps(
        {"s": "ok", **{k: list(v) for k, v in zip("tohlcv", zip(*TRUTH, strict=True), strict=True)}}
    ),
    "wrapped": json.dumps({"retCode": 0, "result": {"symbol": "BTC", "list": [list(map(str, row)) for row in TRUTH]}}),
    "JSON lines": "".join(json.dumps(dict(zip("tohlcv", row, strict=True))) + "\n" for row in TRUTH),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_texts_of_many_programs_are_imported_equal_to_what_they_say(shelf: Shelf, name: str) -> None:
    done = shelf.take_text(TEXTS[name])
    assert shelf.rows() == TRUTH
    assert (done.rows, done.added) == (40, 40)


@pytest.mark.parametrize(("form", "separator"), [('"{:,}.00"', ","), ("{:,}.00", ";"), ("{:,},00", ";")])
def test_thousands_may_stand_apart(shelf: Shelf, form: str, separator: str) -> None:
    def number(value: int) -> str:
        text = form.format(value * 1000)
        return text.replace(",", ".", 1) if form.endswith(",00") else text

    text = "".join(separator.join([str(ts), *map(number, numbers)]) + "\n" for ts, *numbers in TRUTH)
    shelf.take_text(separator.join(OURS.split(",")) + "\n" + text)
    assert shelf.rows() == [(ts, *(n * 1000 for n in numbers)) for ts, *numbers in TRUTH]


def test_a_large_volume_is_no_time(shelf: Shelf) -> None:
    text = lines(lambda r: f"{when(r[0], '%Y-%m-%d %H:%M')},{commas(r)}{'0' * 9}")
    shelf.take_text(text)
    assert shelf.rows() == [(*row[:5], row[5] * 10**9) for row in TRUTH]


@pytest.mark.parametrize("pack", ["gzip", "zip", "utf-16"])
def test_packed_and_wide_texts_are_read(shelf: Shelf, pack: str) -> None:
    text = TEXTS["Binance"]
    content = io.BytesIO()
    if pack == "zip":
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("BTCUSDT-1m-2025-01.csv", text)
    packed = {"gzip": gzip.compress(text.encode()), "zip": content.getvalue(), "utf-16": text.encode("utf-16")}
    shelf.take_text(packed[pack])
    assert shelf.rows() == TRUTH


def arrow_table(stamp: pa.DataType | None, price: pa.DataType) -> pa.Table:
    ts, *numbers = zip(*TRUTH, strict=True)
    times = (
        pa.array(ts, pa.int64()) if stamp is None else pa.array([t * 1_000_000 for t in ts]).cast(pa.timestamp("ns"))
    )
    if stamp is not None:
        times = times.cast(stamp)
    names = ("date", "open", "high", "low", "close", "volume")
    return pa.table(dict(zip(names, [times, *(pa.array(n).cast(price) for n in numbers)], strict=True)))


@pytest.mark.parametrize(
    "stamp", [pa.timestamp("ns", "UTC"), pa.timestamp("ms"), pa.timestamp("us", "Europe/Athens"), None]
)
@pytest.mark.parametrize("price", [pa.float64(), pa.float32(), pa.decimal128(30, 4), pa.int64(), pa.string()])
@pytest.mark.parametrize("form", ["parquet", "feather"])
def test_typed_files_are_read(shelf: Shelf, stamp: pa.DataType | None, price: pa.DataType, form: str) -> None:
    table = arrow_table(stamp, price)
    path = shelf.folder / "file"
    if form == "parquet":
        pa.parquet.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    shelf.take(path)
    assert shelf.rows() == TRUTH


@pytest.mark.parametrize("is_index", [True, False])
def test_frames_of_pandas_are_read(shelf: Shelf, is_index: bool) -> None:
    pandas = pytest.importorskip("pandas")
    ts, *numbers = zip(*TRUTH, strict=True)
    frame = pandas.DataFrame(dict(zip(("Open", "High", "Low", "Close", "Volume"), numbers, strict=True)), dtype=float)
    times = pandas.to_datetime(ts, unit="ms", utc=True).tz_convert("America/New_York")
    if is_index:
        frame.index = times
    else:
        frame["Date"] = times
    path = shelf.folder / "frame.parquet"
    frame.to_parquet(path)
    shelf.take(path)
    assert shelf.rows() == TRUTH


def test_stamps_without_a_zone_are_of_the_zone_that_is_named(shelf: Shelf) -> None:
    text = lines(lambda r: f"{when(r[0] + 7_200_000, '%Y-%m-%d %H:%M')},{commas(r)}", f"date,{OHLCV}")
    done = shelf.take_text(text, hints=Hints(zone=parse_zone("Europe/Athens")))
    assert shelf.rows() == TRUTH
    assert "Europe/Athens where none stands there" in done.taken[0]


def test_stamps_of_closes_become_those_of_opens(shelf: Shelf) -> None:
    shelf.take_text(lines(lambda r: f"{r[0] + 60_000},{commas(r)}"), stamps_close=True)
    assert shelf.rows() == TRUTH


UNCLEAR = {
    "month or day": (
        "date,open,high,low,close\n03/04/2025,1,2,1,2\n03/05/2025,1,2,1,2\n", "a month first, or a day", "--dates dmy"
    ),
    "thousand or fraction": (
        'ts;open;high;low;close\n1735689600;1,234;1,234;1,234;1,234\n', "a thousand, or a fraction", "--decimal"
    ),
    "two volumes": (
        "unix,open,high,low,close,Volume A,Volume B\n1735689600,1,2,1,2,3,4\n", "several volumes", "volume=NAME"
    ),
    "no times": ("a,open,high,low,close\nx,1,2,1,2\n", "no column of opening times", "--columns"),
    "no close": ("time,open,high,low,x\n1735689600,1,2,1,2\n", "no column for close", "--columns"),
    "no order": ("1735689600,5,1,9,7\n1735689660,5,1,9,7\n", "no order of the columns", "--columns"),
    "a small number as time": ("time,open,high,low,close\n45658,1,2,1,2\n", "no column of opening times", "--columns"),
    "prose": ("once upon a time\nthere was\n", "no column of opening times", "--columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_unclear_is_asked(shelf: Shelf, name: str) -> None:
    text, what, mend = UNCLEAR[name]
    with pytest.raises(DataError) as caught:
        shelf.take_text(text)
    assert what in caught.value.what
    assert mend in caught.value.mend
    assert str(shelf.folder) in caught.value.where
    assert not shelf.store.has(SERIES)


def test_what_was_unclear_can_be_said(shelf: Shelf) -> None:
    from tradebot.data.names import ColumnRole

    rows = "".join(f"{when(r[0], '%d/%m/%Y %H:%M')};{r[3]};{r[2]};{r[4]};{r[1]};{r[5]}\n" for r in TRUTH)
    columns = {
        ColumnRole.TIME: "1",
        ColumnRole.LOW: "2",
        ColumnRole.HIGH: "3",
        ColumnRole.CLOSE: "4",
        ColumnRole.OPEN: "5",
        ColumnRole.VOLUME: "6",
    }
    shelf.take_text(rows, hints=Hints(columns=columns, dates="dmy"))
    assert shelf.rows() == TRUTH


def cases() -> list[Path]:
    folder = os.environ.get("TRADEBOT_TEST_DATA")
    return sorted(Path(folder, "cases", "foreign").iterdir()) if folder else []


@pytest.mark.parametrize("path", cases(), ids=lambda path: path.name)
def test_recorded_foreign_files_say_the_same(shelf: Shelf, path: Path) -> None:
    shelf.take(path.with_name("truth.csv"))
    assert shelf.take(path).added == 0
