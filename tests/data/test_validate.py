"""What is wrong with bars is named, with its time; what is right is left alone."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.shelf import START_MS, Shelf, bars, columns_of, when
from tradebot.data.validate import Subject, read_subject, validate
from tradebot.model.time import parse_timeframe, to_ms
from tradebot.settings.dataspec import parse_stored
from tradebot.store.candles import BAR_COLUMNS, BarFile, check_files

FOLDER = os.environ.get("TRADEBOT_TEST_DATA", "")
MINUTE = 60_000
Row = tuple[float, ...]


def market(count: int = 600, step: int = MINUTE, start: int = START_MS) -> list[Row]:
    """A market that moves a little, on steps of 0.1."""
    rows: list[Row] = []
    price = 1500.0
    for number in range(count):
        close = round(price + ((number * 7919) % 13 - 6) / 10, 1)
        high, low = round(max(price, close) + 0.3, 1), round(min(price, close) - 0.2, 1)
        rows.append((start + number * step, price, high, low, close, number % 5 + 1))
        price = close
    return rows


def found(shelf: Shelf, rows: list[Row], timeframe: str = "1m") -> list[tuple[str, int, int]]:
    text = ",".join(BAR_COLUMNS) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    subject = read_subject(shelf.write(text), "BTC", parse_timeframe(timeframe))
    return [(str(flaw.kind), flaw.ts, flaw.until) for _, flaw in validate([subject])]


def at(place: int, *, bars: int = 1) -> tuple[int, int]:
    return START_MS + place * MINUTE, START_MS + (place + bars) * MINUTE


def scaled(row: Row, factor: float, columns: tuple[int, ...]) -> Row:
    return tuple(round(value * factor, 1) if place in columns else value for place, value in enumerate(row))


def put(change: Callable[[Row], Row]) -> Callable[[list[Row], int], list[Row]]:
    return lambda rows, n: [*rows[:n], change(rows[n]), *rows[n + 1 :]]


FAULTS: dict[str, tuple[Callable[[list[Row], int], list[Row]], str]] = {
    "a bar is missing": (lambda rows, n: rows[:n] + rows[n + 1 :], "gap"),
    "a bar stands there twice": (lambda rows, n: [*rows[:n], rows[n], *rows[n:]], "duplicate"),
    "two bars of one time": (
        lambda rows, n: [*rows[: n + 1], scaled(rows[n], 1.001, (2,)), *rows[n + 1 :]],
        "duplicate",
    ),
    "a bar comes late": (lambda rows, n: [*rows[:n], rows[n + 1], rows[n], *rows[n + 2 :]], "disorder"),
    "a bar is ten times as high": (put(lambda row: scaled(row, 10, (1, 2, 3, 4))), "outlier"),
    "a bar is a tenth": (put(lambda row: scaled(row, 0.1, (1, 2, 3, 4))), "outlier"),
    "a high is off": (put(lambda row: scaled(row, 1.2, (2,))), "outlier"),
    "a low is off": (put(lambda row: scaled(row, 0.8, (3,))), "outlier"),
    "a close is off": (put(lambda row: scaled(row, 1.1, (2, 4))), "outlier"),
    "an open is off": (put(lambda row: scaled(row, 0.9, (1, 3))), "outlier"),
    "high below low": (put(lambda row: scaled(row, 0.5, (2,))), "outlier"),
    "no trade": (lambda rows, n: [*rows[:n], (rows[n][0], *[rows[n - 1][4]] * 4, 0), *rows[n + 1 :]], "flat"),
    "a price between the steps": (put(lambda row: (*row[:4], round(row[4] + 0.03, 2), 1)), "grid"),
    "a time off the grid": (put(lambda row: (row[0] + 7000, *row[1:])), "grid"),
}


def test_a_sound_market_has_nothing(shelf: Shelf) -> None:
    assert found(shelf, market()) == []
    assert found(shelf, market()[::-1]) == []


@settings(deadline=None, max_examples=8)
@given(place=st.integers(4, 590))
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_at_its_time_wherever_it_is(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int
) -> None:
    spoil, kind = FAULTS[name]
    told = found(Shelf(tmp_path_factory.mktemp("f")), spoil(market(), place))
    first = START_MS + place * MINUTE
    assert kind in {each for each, ts, _ in told if first <= ts < first + MINUTE}
    # A bar off the grid leaves a gap, and so does one that cannot be.
    assert {each for each, _, _ in told} <= {kind, "gap"}


def test_a_bar_that_cannot_be_read_is_named(shelf: Shelf) -> None:
    rows = market()
    lines = [",".join(map(str, row)) for row in rows]
    lines[40] = f"{rows[40][0]},nan,nan,nan,nan,0"
    lines[50] = "something else"
    subject = read_subject(shelf.write("\n".join([",".join(BAR_COLUMNS), *lines, ""])), "BTC", parse_timeframe("1m"))
    flaws = [flaw for _, flaw in validate([subject])]
    assert [(str(flaw.kind), flaw.ts) for flaw in flaws] == [
        ("gap", rows[40][0]), ("outlier", rows[40][0]), ("disorder", rows[49][0]), ("gap", rows[50][0]),
    ]  # fmt: skip
    assert flaws[1].detail == "line 42: 'nan' is not a number"


def test_coarse_bars_are_held_against_fine_ones() -> None:
    fine = market(600)

    def coarse_of(step: int) -> list[Row]:
        groups = [fine[n : n + step] for n in range(0, len(fine), step)]
        return [
            (g[0][0], g[0][1], max(r[2] for r in g), min(r[3] for r in g), g[-1][4], sum(r[5] for r in g))
            for g in groups
        ]

    spoiled = coarse_of(15)
    spoiled[3] = scaled(spoiled[3], 1.001, (2,))
    given = {"1m": fine, "5m": coarse_of(5), "15m": spoiled}
    subjects = [Subject("BTC", parse_timeframe(name), name, columns_of(rows), ()) for name, rows in given.items()]  # type: ignore[arg-type]
    [(subject, flaw)] = validate(subjects)
    assert (subject.where, str(flaw.kind), flaw.ts) == ("15m", "mismatch", START_MS + 45 * MINUTE)
    assert "of the 5m bars" in flaw.detail
    assert validate([subjects[2], replace(subjects[1], symbol="ETH")]) == []


def week_of(session: Callable[[int], bool], weeks: int, step: int) -> list[Row]:
    return [row for row in market(weeks * 7 * 86_400_000 // step, step) if session(int(row[0]))]


def is_currency_open(ts: int) -> bool:
    weekday, hour = (ts // 86_400_000 + 3) % 7, ts // 3_600_000 % 24
    return weekday < 4 or (weekday == 4 and hour < 22) or (weekday == 6 and hour >= 22)


def is_exchange_open(ts: int) -> bool:
    weekday, minute = (ts // 86_400_000 + 3) % 7, ts // 60_000 % 1440
    return weekday < 5 and 14 * 60 + 30 <= minute < 21 * 60


def is_weekday(ts: int) -> bool:
    return (ts // 86_400_000 + 3) % 7 < 5


@pytest.mark.parametrize(
    ("session", "step"),
    [(is_currency_open, 3_600_000), (is_exchange_open, 1_800_000), (is_weekday, 86_400_000)],
    ids=["currencies", "an exchange", "days"],
)
def test_closures_are_no_gaps_but_what_is_missing_in_a_session_is(
    shelf: Shelf, session: Callable[[int], bool], step: int
) -> None:
    rows = week_of(session, 8, step)
    name = {3_600_000: "1h", 1_800_000: "30m", 86_400_000: "1d"}[step]
    assert found(shelf, rows, name) == []
    # A Wednesday of February, three hours in.
    day = next(n for n, row in enumerate(rows) if when(int(row[0]), "%m-%d") == "02-12")
    wednesday = day + (3 if step < 86_400_000 else 0)
    ts = int(rows[wednesday][0])
    assert found(shelf, rows[:wednesday] + rows[wednesday + 1 :], name) == [("gap", ts, ts + step)]


def test_holidays_are_no_gaps() -> None:
    from tradebot.store.closures import irregular
    from tradebot.store.series import Missing

    day = 86_400_000
    weekends = [Missing(START_MS + (3 + 7 * week) * day, 2) for week in range(52)]
    independence = Missing(START_MS + 184 * day, 1)  # 2025-07-04, with the weekend behind it kept apart
    good_friday = Missing(START_MS + 107 * day, 1)
    nothing = Missing(START_MS + 132 * day, 1)
    gaps = sorted([*weekends, independence, good_friday, nothing])
    assert irregular(gaps, day, START_MS, START_MS + 364 * day) == [nothing]


def test_config_check_and_backtest_say_what_was_found(shelf: Shelf) -> None:
    rows = market()
    rows[300] = scaled(rows[300], 1.2, (2,))
    rows[400] = (rows[400][0], *[rows[399][4]] * 4, 0)
    path = shelf.write(",".join(BAR_COLUMNS) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    [summary] = check_files([BarFile(path, "BTC", parse_timeframe("1m"))])
    assert [str(flaw.kind) for flaw in summary.flaws] == ["outlier", "flat"]
    assert summary.notes[0].startswith("outlier at 2025-01-01 05:00:00: high")
    assert summary.notes[1].startswith("flat at 2025-01-01 06:40:00: 1 bar without a trade")


@pytest.mark.skipif(not FOLDER, reason="TRADEBOT_TEST_DATA does not name a folder of real data")
class TestRealData:
    """One false finding in 10,000 sound bars at most."""

    def read(self, name: str, symbol: str, timeframe: str) -> Subject:
        return read_subject(Path(FOLDER) / f"{name}.csv.gz", symbol, parse_timeframe(timeframe))

    @pytest.mark.parametrize(
        ("name", "timeframe", "expected"),
        [
            ("btpy_GOOG_1d", "1d", []),
            ("btpy_EURUSD_1h", "1h", []),
            ("smc_EURUSD_15m", "15m", []),
            ("fx_EURUSD_4h", "4h", []),
            # Hours in which others traded, and the crash of 2016-10-07.
            ("fx_GBPUSD_1h", "1h", ["gap 1398916800000", "outlier 1475805600000", "gap 1476374400000"]),
            ("ft_ETH_BTC_5m", "5m", []),
            ("hl_ETH_15m", "15m", []),
            ("hl_SOL_1h", "1h", []),
        ],
    )  # fmt: skip
    def test_only_true_faults_are_found(self, name: str, timeframe: str, expected: list[str]) -> None:
        findings = validate([self.read(name, "X", timeframe)])
        assert [f"{flaw.kind} {flaw.ts}" for _, flaw in findings] == expected

    @pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL", "XRP", "DOGE", "AVAX", "LINK", "BNB"])
    def test_the_fault_of_20_april_and_the_outage_of_25_may_are_named(self, coin: str) -> None:
        subjects = [self.read(f"hl_{coin}_{name}", coin, name) for name in ("5m", "15m")]
        told = [(subject.timeframe, str(flaw.kind), flaw.ts) for subject, flaw in validate(subjects)]
        fine, coarse = (parse_timeframe(name) for name in ("5m", "15m"))
        assert (fine, "flat", 1_748_183_100_000) in told
        assert (coarse, "mismatch", 1_745_145_900_000) in told

    @pytest.mark.soak
    def test_every_hole_of_bitfinex_is_a_gap(self) -> None:
        subject = self.read("bitfinex_BTCUSD_1m_2019", "BTC", "1m")
        gaps = [flaw for _, flaw in validate([subject]) if flaw.kind == "gap"]
        step = to_ms(parse_timeframe("1m"))
        assert (len(gaps), sum((gap.until - gap.ts) // step for gap in gaps)) == (6753, 9191)


def test_a_series_of_the_store_is_validated_too(shelf: Shelf) -> None:
    from tradebot.data.validate import stored_subject

    series = parse_stored("a:BTC:1m")
    text = ",".join(BAR_COLUMNS) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in bars(30) + bars(60)[40:])
    shelf.take_text(text, series=series)
    [(_, flaw)] = validate([stored_subject(shelf.store, series)])
    assert (str(flaw.kind), flaw.ts, flaw.until) == ("gap", *at(30, bars=10))


def test_a_file_of_which_no_line_can_be_read_is_named_line_by_line(shelf: Shelf) -> None:
    text = ",".join(BAR_COLUMNS) + "\n" + "".join(f"{START_MS + n * MINUTE},x,x,x,x,x\n" for n in range(3))
    subject = read_subject(shelf.write(text), "BTC", parse_timeframe("1m"))
    assert [str(flaw.kind) for _, flaw in validate([subject])] == ["outlier"] * 3


def test_twice_the_price_is_an_outlier_in_the_wildest_market(shelf: Shelf) -> None:
    # Bars that go 12 % from low to high: 25 times as far is no price at all.
    rows: list[Row] = [(ts, 1000, 1060, 950, 1010, 1) for ts, *_ in bars(300, step_ms=86_400_000)]
    assert found(shelf, rows, "1d") == []
    ts = int(rows[150][0])
    rows[150] = (ts, 1000, 2150, 950, 1010, 1)
    assert found(shelf, rows, "1d") == [("outlier", ts, ts + 86_400_000)]
