"""The report's sums: what a window holds, how groups add up, and what has no value."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.market import Gap, Message
from tradebot.model.money import ZERO, Cash, Price, Qty, book_fee
from tradebot.model.order import Fill, Liquidity, OrderRole, OrderSide, PositionSide
from tradebot.model.position import Deposit, EquityMark, FundingPaid, RoundTrip
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.model.time import DAY, HOUR, Nanos, parse_timeframe, to_ms
from tradebot.pipeline.risk.ledger import Ledger
from tradebot.report.curve import Curve
from tradebot.report.document import document
from tradebot.report.fold import ReportFold
from tradebot.report.gaps import ends_text, gap_row, gaps_text, gaps_words
from tradebot.report.tally import By

START = 1_767_225_600_000_000_000  # 2026-01-01
CASH = Cash(Decimal(10_000))
OWNERS = {"BTC": "cross", "ETH": "breakout", "SOL": "cross"}
MONEY = ("gross_pnl", "fees", "funding", "net_pnl")


def fill(hour: int, symbol: str = "BTC", qty: str = "1", price: str = "100", fee: str = "0.045") -> Fill:
    return Fill(
        ts_event=Nanos(START + hour * HOUR),
        trade_id=f"t{hour}{symbol}",
        client_order_id=f"o{hour}",
        signal_id=f"s{hour}",
        strategy=OWNERS[symbol],
        symbol=symbol,
        role=OrderRole.ENTRY,
        side=OrderSide.BUY if Decimal(qty) > 0 else OrderSide.SELL,
        qty=Qty(abs(Decimal(qty))),
        price=Price(Decimal(price)),
        fee=Cash(Decimal(fee)),
        liquidity=Liquidity.TAKER,
        reason="signal",
    )


def funding(hour: int, amount: str, symbol: str = "BTC", is_estimate: bool = False) -> FundingPaid:
    ts = Nanos(START + hour * HOUR)
    rate = Decimal("0.0000125")
    return FundingPaid(ts_event=ts, symbol=symbol, rate=rate, amount=Cash(Decimal(amount)), is_estimate=is_estimate)


def deposit(hour: int, amount: str) -> Deposit:
    return Deposit(ts_event=Nanos(START + hour * HOUR), id=f"d{hour}", amount=Cash(Decimal(amount)))


def mark(hour: int, equity: str, is_exposed: bool = False) -> EquityMark:
    return EquityMark(ts_event=Nanos(START + hour * HOUR), equity=Cash(Decimal(equity)), is_exposed=is_exposed)


def report(story: Sequence[Message], since: int | None = None, until: int | None = None, **more: Any) -> dict[str, Any]:
    fold = ReportFold(
        None if since is None else Nanos(START + since * HOUR),
        None if until is None else Nanos(START + until * HOUR),
        by=more.pop("by", None),
    )
    for message in story:
        fold.add(message)
    parsed: dict[str, Any] = orjson.loads(document(fold.result(**more)))
    return parsed


@st.composite
def stories(draw: st.DrawFn) -> list[Message]:
    """A coherent run: an hour a step, each with funding, fills and the curve's point at its close."""
    ledger = Ledger(CASH)
    story: list[Message] = [mark(0, str(CASH))]
    for hour in range(draw(st.integers(1, 60))):
        for symbol in OWNERS:
            if symbol in ledger.trips and draw(st.booleans()):
                paid = funding(hour, f"{draw(st.integers(-500, 500)) / 100}", symbol)
                ledger.fund(paid)
                story.append(paid)
        if draw(st.booleans()):
            symbol = draw(st.sampled_from(sorted(OWNERS)))
            price = f"{draw(st.integers(9_000, 11_000)) / 100}"
            qty = draw(st.integers(-4, 4).filter(bool))
            fee = str(book_fee(abs(qty) * Decimal(price) * Decimal("0.00045")))
            filled = fill(hour, symbol, str(qty), price, fee)
            story.append(filled)
            story.extend(each for each in ledger.fill(filled) if isinstance(each, RoundTrip))
            ledger.marks[symbol] = Price(Decimal(price))
        story.append(mark(hour + 1, str(ledger.equity()), is_exposed=bool(ledger.trips)))
    return story


def total(rows: Any, key: str) -> Decimal:
    return sum((Decimal(row[key]) for row in rows), ZERO)


@given(stories())
def test_net_is_gross_less_fees_plus_funding_in_every_group(story: list[Message]) -> None:
    found = report(story)
    for row in [found, *found["by_symbol"].values(), *found["by_strategy"].values()]:
        gross, fees, paid, net = (Decimal(row[key]) for key in MONEY)
        assert net == gross - fees + paid


@given(stories(), st.sampled_from(["by_symbol", "by_strategy"]))
def test_groups_add_up_to_the_whole(story: list[Message], group: str) -> None:
    found = report(story)
    for key in ("trades", *MONEY):
        assert total(found[group].values(), key) == Decimal(found[key])


@given(stories(), st.integers(-1, 62), st.sampled_from([By.DAY, By.WEEK, By.MONTH]))
def test_windows_that_meet_share_nothing_and_miss_nothing(story: list[Message], cut: int, by: By) -> None:
    whole, before, after = report(story, by=by), report(story, until=cut), report(story, since=cut)
    for key in ("trades", *MONEY):
        assert Decimal(before[key]) + Decimal(after[key]) == Decimal(whole[key])
        assert total(whole["rows"], key) == Decimal(whole[key])
    if before["equity_curve"]:
        assert after["starting_equity"] == before["ending_equity"]
        assert before["equity_curve"] + after["equity_curve"][1:] == whole["equity_curve"]


@given(stories())
def test_equity_moves_by_what_was_booked_and_what_is_open(story: list[Message]) -> None:
    marks = {message.symbol: message.price for message in story if isinstance(message, Fill)}
    found = report(story, marks=marks)
    unrealized = total(found["open_positions"], "unrealized_pnl")
    moved = Decimal(found["ending_equity"]) - Decimal(found["starting_equity"])
    assert abs(moved - Decimal(found["net_pnl"]) - unrealized) <= Decimal("1e-7")


@given(stories())
def test_the_pending_point_is_the_same_as_one_that_came(story: list[Message]) -> None:
    last = story[-1]
    assert isinstance(last, EquityMark)
    assert report(story[:-1], pending=last) == report(story)
    assert report(story, pending=last) | {"exposure_pct": None} == report(story) | {"exposure_pct": None}


METRICS = ("max_drawdown_pct", "sharpe", "sortino", "calmar", "var95", "cvar95")


@given(
    st.lists(st.integers(-20, 20), min_size=8, max_size=40),
    st.dictionaries(st.integers(2, 37), st.tuples(st.integers(-2_000, 20_000), st.booleans()), max_size=4),
)
def test_money_that_comes_is_no_return_however_late_the_curve_shows_it(
    moves: list[int], deposits: dict[int, tuple[int, bool]]
) -> None:
    # Where a deposit comes, and at the point after it, the market stands still: so it can be told from a return.
    still = {day + later for day in deposits for later in (0, 1)}
    plain_story: list[Message] = [deposit(0, "10000"), mark(0, "10000")]
    story = list(plain_story)
    worth, equity, due = Decimal(10_000), Decimal(10_000), ZERO
    for day, move in enumerate(moves, start=1):
        change = ZERO if day in still else Decimal(move) / 1000
        worth, equity = worth * (1 + change), (equity + due) * (1 + change)
        due = ZERO
        if day in deposits:
            amount, is_in_this_point = deposits[day]
            story.append(deposit(24 * day - 1, str(amount)))
            equity, due = (equity + amount, ZERO) if is_in_this_point else (equity, Decimal(amount))
        plain_story.append(mark(24 * day, str(worth)))
        story.append(mark(24 * day, str(equity)))
    found, expected = report(story), report(plain_story)
    for key in METRICS:
        assert found[key] == (None if expected[key] is None else pytest.approx(expected[key], rel=1e-5, abs=1e-5))
    assert Decimal(found["deposits"]) == sum(deposits[day][0] for day in deposits if day <= len(moves))
    assert found["net_pnl"] == "0"


def test_the_first_deposit_is_what_the_account_starts_with() -> None:
    story = [deposit(0, "500"), mark(0, "500"), mark(1, "500"), deposit(1, "250"), mark(2, "500"), mark(3, "750")]
    found = report(story)
    assert (found["starting_equity"], found["ending_equity"], found["deposits"]) == ("500", "750", "250")
    assert (found["net_pnl"], found["max_drawdown_pct"]) == ("0", 0.0)


def test_a_deposit_that_is_told_again_came_once() -> None:
    story = [deposit(0, "500"), mark(0, "500"), deposit(1, "250"), deposit(0, "500"), deposit(1, "250")]
    found = report([*story, mark(1, "500"), mark(2, "750"), mark(3, "750")])
    assert (found["deposits"], found["max_drawdown_pct"]) == ("250", 0.0)


def test_a_deposit_belongs_to_one_window_and_is_a_return_of_none() -> None:
    story: list[Message] = [deposit(0, "1000"), mark(0, "1000")]
    for hour in range(1, 200):
        story += [deposit(hour, "-600")] if hour == 48 else []
        story.append(mark(hour, "1000" if hour <= 48 else "400"))
    for cut in (47, 48, 49, 50):
        before, after = report(story, until=cut), report(story, since=cut)
        assert Decimal(before["deposits"]) + Decimal(after["deposits"]) == -600
        assert before["max_drawdown_pct"] == after["max_drawdown_pct"] == 0
        assert before["equity_curve"] + after["equity_curve"][1:] == report(story)["equity_curve"]


def test_a_report_has_every_key_a_script_may_rely_on() -> None:
    keys = [
        "since",
        "until",
        "starting_equity",
        "ending_equity",
        "net_pnl",
        "gross_pnl",
        "fees",
        "funding",
        "deposits",
        "residual",
        "trades",
        "win_rate",
        "profit_factor",
        "expectancy",
        "avg_win",
        "avg_loss",
        "max_drawdown_pct",
        "sharpe",
        "sortino",
        "calmar",
        "var95",
        "cvar95",
        "kelly",
        "exposure_pct",
        "open_positions",
        "by_symbol",
        "by_strategy",
        "equity_curve",
    ]
    assert set(keys) <= set(report([]))


def test_a_run_of_nothing_is_null_where_there_is_no_value() -> None:
    found = report([])
    assert found["starting_equity"] is found["since"] is found["win_rate"] is found["exposure_pct"] is None
    assert (found["trades"], found["net_pnl"], found["equity_curve"]) == (0, "0", [])


def test_a_small_run_reads_as_it_happened() -> None:
    story: list[Message] = [mark(0, "10000"), fill(0, qty="2"), mark(1, "9999.955", True)]
    ledger = Ledger(CASH)
    for message in [story[1], fill(2, qty="-2", price="101")]:
        assert isinstance(message, Fill)
        ended = [each for each in ledger.fill(message) if isinstance(each, RoundTrip)]
    story += [funding(2, "-0.01", is_estimate=True), fill(2, qty="-2", price="101"), *ended, mark(3, "10001.9")]
    found = report(story, venue_equity=Cash(Decimal("10001.90")))
    assert found["equity_curve"] == [
        [START // 10**6, "10000"],
        [(START + HOUR) // 10**6, "9999.955"],
        [(START + 3 * HOUR) // 10**6, "10001.9"],
    ]
    assert [found[key] for key in MONEY] == ["2", "0.09", "-0.01", "1.9"]
    assert (found["residual"], found["trades"], found["win_rate"], found["profit_factor"]) == ("0", 1, 1.0, None)
    assert (found["expectancy"], found["avg_win"], found["avg_loss"]) == ("1.91", "1.91", None)
    assert (found["exposure_pct"], found["funding_estimates"]) == (50.0, 1)
    assert found["since"] == START // 10**6
    assert found["by_symbol"].keys() == {"BTC"}


def test_funding_goes_to_the_strategy_that_holds_the_symbol() -> None:
    found = report([fill(0, "ETH"), funding(1, "3", "ETH")])
    assert found["by_strategy"]["breakout"]["funding"] == "3"


def test_an_open_position_without_a_price_has_no_open_profit() -> None:
    held = report([fill(0, qty="-2")])["open_positions"]
    assert held[0]["unrealized_pnl"] is held[0]["mark_price"] is None
    assert (held[0]["side"], held[0]["qty"], held[0]["entry_price"]) == ("short", "2", "100")
    assert report([fill(0)], until=5, marks={"BTC": Price(Decimal(1))})["open_positions"][0]["mark_price"] is None


def test_a_position_opened_before_the_window_realizes_in_it() -> None:
    story = [mark(0, "10000"), fill(0), mark(1, "10000", True), fill(30, qty="-1", price="110"), mark(31, "10010")]
    found = report(story, since=24)
    assert (found["gross_pnl"], found["fees"], found["open_positions"]) == ("10", "0.045", [])


def test_periods_are_named_and_carry_the_equity_at_their_end() -> None:
    story = [mark(0, "10000"), mark(24, "10010"), mark(30, "10020"), fill(50), mark(24 * 40, "9000")]
    days = report(story, by=By.DAY)["rows"]
    assert [row["day"] for row in days] == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-02-09"]
    assert [row["equity"] for row in days] == ["10010", "10020", "10020", "9000"]
    assert [row["week"] for row in report(story, by=By.WEEK)["rows"]] == ["2026-W01", "2026-W07"]
    assert [row["month"] for row in report(story, by=By.MONTH)["rows"]] == ["2026-01", "2026-02"]
    assert [row["symbol"] for row in report(story, by=By.SYMBOL)["rows"]] == ["BTC"]


@pytest.mark.parametrize("equity", ["123456789012345.12345678", "-5.5", "0.00000001", "1E+12"])
def test_a_curve_takes_any_amount_of_money(equity: str) -> None:
    found = report([mark(0, "1"), mark(1, equity), mark(2, "3")])
    assert Decimal(found["equity_curve"][1][1]) == Decimal(equity)
    assert "E" not in found["equity_curve"][1][1]


def test_a_million_points_take_16_bytes_each() -> None:
    fold = ReportFold()
    sink = fold.sinks()[EquityMark]
    for number in range(1000):
        sink(EquityMark(ts_event=Nanos(START + number * DAY), equity=CASH, is_exposed=False))
    curve = fold.result()["equity_curve"]
    assert sum(column.itemsize * len(column) for column in (curve.ts, curve.units)) == 16_000  # type: ignore[union-attr]


def test_a_long_curve_is_written_whole() -> None:
    fold = ReportFold()
    for number in range(20_000):
        fold.add(mark(number, f"{number}.5"))
    points = orjson.loads(document(fold.result()))["equity_curve"]
    assert [equity for _, equity in points] == [f"{number}.5" for number in range(20_000)]


def test_a_curve_is_a_sequence_of_points() -> None:
    curve = Curve()
    for number in range(5):
        curve.append(Nanos(number * 1_000_000), Decimal(number))
    assert curve[-1] == (4, "4")
    assert curve[1:3] == [(1, "1"), (2, "2")]
    assert curve.equity_at(-1) is None


def test_a_window_that_has_not_begun_starts_from_the_newest_point() -> None:
    found = report([mark(0, "1"), mark(1, "2")], since=100, pending=mark(2, "3"))
    assert (found["starting_equity"], found["ending_equity"], len(found["equity_curve"])) == ("3", "3", 1)
    early = report([mark(0, "1"), mark(1, "2")], until=1, pending=mark(2, "3"))
    assert early["ending_equity"] == "2"


def test_signals_are_those_that_became_orders_and_those_refused() -> None:
    assert ReportFold().run_counts(10, 0.5) == {
        "bars": 10, "wall_s": 0.5, "bars_per_s": 20.0, "orders": 0, "signals": 0, "refused": 0,
    }  # fmt: skip
    assert ReportFold().run_counts(10, 0.0)["bars_per_s"] is None


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        document(object())  # type: ignore[arg-type]


def test_counts_are_of_the_window() -> None:
    wish = Signal(
        id="s", ts_event=Nanos(START), strategy="cross", symbol="BTC", action=Action.ENTER, side=PositionSide.LONG,
        close=Price(Decimal(1)),
    )  # fmt: skip
    fold = ReportFold(since=Nanos(START + HOUR))
    for hour in range(3):
        fold.add(Approved(ts_event=Nanos(START + hour * HOUR), signal=wish, qty=Qty(Decimal(1))))
    fold.add(Refused(ts_event=Nanos(START + HOUR), signal=wish, gate="paused"))
    counts = fold.run_counts(10, 0.5)
    assert (counts["orders"], counts["refused"], counts["signals"]) == (2, 1, 3)


def gap(hour: int, missing: int, symbol: str = "BTC", timeframe: str = "1h") -> Gap:
    since = START + hour * HOUR
    length = parse_timeframe(timeframe)
    until = Nanos(since + missing * length)
    return Gap(symbol=symbol, timeframe=length, ts_from=Nanos(since), ts_to=until, missing=missing)


def test_gaps_are_counted_by_series_with_the_first_and_the_largest() -> None:
    story = [gap(3, 2), gap(4, 1, "ETH"), gap(9, 7), gap(20, 7), gap(30, 1)]
    first, other = report(story)["gaps"]
    assert first == {
        "symbol": "BTC",
        "timeframe": "1h",
        "gaps": 4,
        "missing": 17,
        "first_ts": to_ms(START + 3 * HOUR),
        "first_missing": 2,
        "largest_ts": to_ms(START + 9 * HOUR),
        "largest_missing": 7,
    }
    assert (other["symbol"], other["gaps"], other["missing"]) == ("ETH", 1, 1)
    # A gap belongs to the window in which it begins.
    assert [row["missing"] for row in report(story, since=4, until=20)["gaps"]] == [7, 1]
    assert report(story, since=31)["gaps"] == []


def test_gaps_are_said_in_words() -> None:
    found = report([gap(0, 10, timeframe="1m"), gap(5, 1, "ETH"), gap(9, 1200, "ETH")])
    start = "from 2026-01-01"
    assert gaps_text(found).splitlines() == [
        f"BTC 1m: one gap of 10 bars {start} 00:00:00",
        f"ETH 1h: 2 gaps, 1,201 bars: the first 1 bar {start} 05:00:00, the largest 1,200 bars {start} 09:00:00",
    ]
    assert gaps_words(gap_row(0, 0, None, None)) == "no gap"


def test_an_early_end_is_said_with_what_stays_open() -> None:
    row = {"symbol": "ETH", "ts": to_ms(START), "until": to_ms(START + HOUR), "side": None, "qty": "0"}
    assert ends_text({"ended_early": [row]}).endswith("go on to 2026-01-01 01:00:00; nothing is open")
    assert ends_text({"ended_early": [{**row, "side": "short", "qty": "2"}]}).endswith(
        "; short 2 stays open at the mark of then"
    )
