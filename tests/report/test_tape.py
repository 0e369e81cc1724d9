"""What a page shows beside the sums: bars that come out of it as they went in, and what each trade was entered on."""

import base64
import sys
import zlib
from array import array
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import price, qty
from tests.report.test_breakdown import bar, trip
from tests.report.test_fold import START, deposit, fill, mark
from tradebot.model.order import PositionSide
from tradebot.model.signal import Action, Approved, Rung, Signal
from tradebot.model.time import HOUR, Nanos
from tradebot.report.curve import Curve
from tradebot.report.drawn_curve import drawn_curve
from tradebot.report.fold import ReportFold
from tradebot.report.packing import PriceColumns, packed
from tradebot.report.page_document import page_document
from tradebot.report.tape import Tape

MINUTE_MS = 60_000


def unpacked(series: dict[str, Any]) -> list[tuple[int, ...]]:
    """The bars of a series, prices in whole last digits: as ``page.js`` reads them."""
    found = []
    for segment in series["segments"]:
        raw, count = zlib.decompress(base64.b64decode(segment["data"]), -15), segment["bars"]
        columns = []
        for number in range(5):
            planes = [raw[(number * 4 + place) * count : (number * 4 + place + 1) * count] for place in range(4)]
            column = array("i", bytes(byte for four in zip(*planes, strict=True) for byte in four))
            if sys.byteorder == "big":
                column.byteswap()
            columns.append(column)
        ts, close = segment["from"], 0
        for steps, opens, bodies, highs, lows in zip(*columns, strict=True):
            ts, opened = ts + steps * series["timeframe_ms"], close + opens
            close = opened + bodies
            found.append((ts, opened, max(opened, close) + highs, min(opened, close) - lows, close))
        assert ts == segment["to"]
    return found


BARS = st.lists(
    st.tuples(st.integers(1, 5), *[st.integers(1, 10**6)] * 4).map(
        lambda bar: (bar[0], bar[1], max(bar[1:]), min(bar[1:]), bar[4])
    ),
    min_size=1,
    max_size=60,
)


def columns_of(bars: Sequence[tuple[int, ...]], digits: int) -> PriceColumns:
    columns, ts = PriceColumns.empty(), 0
    for steps, *prices in bars:
        ts += steps * MINUTE_MS
        for column, value in zip(columns, (ts, *(value / 10**digits for value in prices)), strict=True):
            column.append(value)
    return columns


@given(BARS, st.integers(0, 3))
def test_bars_come_out_of_a_page_as_they_went_in(bars: list[tuple[int, ...]], digits: int) -> None:
    columns = columns_of(bars, digits)
    series: Any = packed(columns, MINUTE_MS)
    scale = 10 ** series["digits"]
    assert series["bars"] == len(bars)
    assert unpacked(series) == [
        (ts, *(round(value * scale) for value in prices)) for ts, *prices in zip(*columns, strict=True)
    ]
    # No digit that a price has is lost.
    assert [value / scale for _, *prices in unpacked(series) for value in prices] == [
        value for _, *prices in zip(*columns, strict=True) for value in prices
    ]
    assert [row[0] for row in series["overview"]] == list(columns.ts)


def test_a_long_history_has_an_overview_in_usual_candles_that_loses_no_extreme() -> None:
    bars = [(1, 100 + number % 7, 110 + number % 11, 90 - number % 13, 100) for number in range(40_000)]
    series: Any = packed(columns_of(bars, 1), MINUTE_MS)
    assert len(series["segments"]) == 3
    assert unpacked(series)[20_000][1:] == (100 + 20_000 % 7, 110 + 20_000 % 11, 90 - 20_000 % 13, 100)
    assert series["step_ms"] == 30 * MINUTE_MS
    assert len(series["overview"]) <= 2_000
    assert max(row[2] for row in series["overview"]) == 12.0
    assert min(row[3] for row in series["overview"]) == 7.8


def test_prices_beyond_32_bits_lose_their_last_digits_and_no_price_is_no_bar() -> None:
    series: Any = packed(columns_of([(1, 9 * 10**12 + 1, 9 * 10**12 + 3, 9 * 10**12, 9 * 10**12 + 2)], 4), MINUTE_MS)
    assert series["digits"] == 0
    assert unpacked(series)[0][1] == 9 * 10**8
    none: Any = packed(PriceColumns.empty(), MINUTE_MS)
    assert (none["segments"], none["overview"], none["bars"]) == ([], [], 0)
    tiny: Any = packed(columns_of([(1, 1234, 1236, 1230, 1231)], 9), MINUTE_MS)
    assert [value / 10 ** tiny["digits"] for value in unpacked(tiny)[0][1:]] == [1.234e-6, 1.236e-6, 1.23e-6, 1.231e-6]


def approved(number: int, hour: int = 0, action: Action = Action.ENTER, **more: Any) -> Approved:
    ts = Nanos(START + hour * HOUR)
    signal = Signal(
        id=f"s{number}", ts_event=ts, strategy="cross", symbol="BTC", action=action, side=PositionSide.LONG,
        close=price(100), **more,
    )  # fmt: skip
    return Approved(ts_event=ts, signal=signal, qty=qty(1))


def test_a_trade_is_told_with_the_signal_that_it_was_entered_on() -> None:
    tape = Tape()
    plan = {"stop": price(90), "target": price("120.0"), "pattern": "fvg", "levels": {"top": price(99)}}
    for message in (
        approved(1, stop=price(80)),  # approved, and never filled
        approved(0, **plan),
        fill(0),
        approved(3, action=Action.EXIT),
        trip("1", 0, hours=3),
        # A reversal in one fill: the next trip is entered before the last one ends.
        approved(
            5, ladder=(Rung(price=price(110), fraction=Decimal("0.5")), Rung(price=price(115), fraction=Decimal(1)))
        ),
        approved(9, stop=price(70)),
        fill(5),
        fill(9),
        trip("2", 5, hours=4),
        trip("3", 9, hours=1),
        trip("4", 20),
    ):
        tape.add(message)
    deals: Any = tape.document()["deals"]
    assert deals[0] == {"stop": "90", "targets": ["120"], "pattern": "fvg", "levels": {"top": "99"}, "regime": []}
    assert [deal["targets"] for deal in deals] == [["120"], ["110", "115"], [], []]
    assert [deal["stop"] for deal in deals] == ["90", None, "70", None]


def test_deals_and_trips_have_one_order_and_one_window() -> None:
    trips = [trip("1", 5), trip("2", 1), trip("3", 5), trip("4", 0)]
    window = Nanos(START + 2 * HOUR), Nanos(START + 6 * HOUR)
    for since, until in ((None, None), window):
        fold, tape = ReportFold(since, until), Tape(since, until)
        for message in trips:
            fold.add(message)
            tape.add(message)
        found: Any = page_document(fold.result(), fold.trips, tape)
        assert len(found["trades"]) == len(found["deals"]) == found["report"]["trades"]
    for hour in (1, 2, 3, 6, 7):
        tape.add(bar("BTC", hour, 100, 100))
    series: Any = tape.document()["series"]
    assert [row[0] for row in series[0]["overview"]] == [(START + hour * HOUR) // 10**6 for hour in (2, 5)]


def test_of_several_timeframes_the_finest_is_kept() -> None:
    tape = Tape()
    hourly = [bar("BTC", hour, 100, 101) for hour in range(1, 4)]
    tape.take([hourly[0]])
    tape.take(
        [type(hourly[0])("BTC", type(hourly[0].timeframe)(HOUR // 2), Nanos(START + HOUR), *map(price, "1111"), qty(1))]
    )
    tape.take(hourly[1:])
    series: Any = tape.document()["series"]
    assert [(row["symbol"], row["timeframe"], row["bars"]) for row in series] == [("BTC", "30m", 1)]


def test_trips_are_told_by_the_market_they_were_entered_in() -> None:
    tape = Tape()
    rising = [bar("BTC", hour, 100 + hour, 101 + hour) for hour in range(1, 200)]
    tape.take(rising)
    for message in (trip("1", 1), trip("-2", 180), trip("3", 190)):
        tape.add(message)
    groups: Any = tape.by_regime()
    assert {name: row["trades"] for name, row in groups.items()} == {"trend_up": 2, "unknown": 1, "usual": 2}
    # The hour that is under way at the entry is not known yet.
    deals: Any = tape.document()["deals"]
    assert [deal["regime"] for deal in deals] == [[], ["trend_up", "usual"], ["trend_up", "usual"]]


@given(st.lists(st.integers(50, 150), max_size=4000))
@example(list(range(50, 150)) * 50)
def test_a_drawn_curve_keeps_its_extremes_and_invents_none(values: list[int]) -> None:
    curve = Curve()
    for number, value in enumerate(values):
        curve.append(Nanos(START + number * HOUR), Decimal(value))
    found: Any = drawn_curve(curve)
    assert found["points"] == len(values)
    assert len(found["equity"]) <= 3_001
    points = {START // 10**9 + number * 3600: float(value) for number, value in enumerate(values)}
    assert all(points[ts] == value for ts, value in found["equity"])
    if values:
        drawn = [value for _, value in found["equity"]]
        assert (min(drawn), max(drawn), drawn[0], drawn[-1]) == (min(values), max(values), values[0], values[-1])
        assert found["equity"] == sorted(found["equity"])
        peak, worst = values[0], 0.0
        for value in values:
            peak = max(peak, value)
            worst = min(worst, (value / peak - 1) * 100)
        assert min(value for _, value in found["underwater"]) == pytest.approx(worst)


def test_a_deposit_is_no_way_out_of_the_water() -> None:
    fold = ReportFold()
    marks = [mark(hour, equity) for hour, equity in ((2, "180"), (3, "180"), (4, "180"))]
    for message in (deposit(0, "100"), mark(0, "100"), mark(1, "80"), deposit(2, "100"), *marks):
        fold.add(message)
    curve = fold.result()["equity_curve"]
    assert isinstance(curve, Curve)
    found: Any = drawn_curve(curve)
    assert [value for _, value in found["underwater"]] == pytest.approx([0, -20, -20, -20, -20])
