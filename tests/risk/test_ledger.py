"""Fills, funding and marks become positions, round trips and the equity curve."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MINUTE, bar, bars_closed, cash, fill, funding, instrument, minute, price, qty
from tradebot.model.market import Message, Quote, Trade
from tradebot.model.order import OrderRole, OrderSide, PositionSide
from tradebot.model.position import EquityMark, PositionChanged, RoundTrip
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage

SELL = OrderSide.SELL
EXIT = OrderRole.EXIT


def stage(equity: str = "10000") -> RiskStage:
    return RiskStage({"BTC": instrument()}, cash(equity), SizeRule(SizeKind.QTY, Decimal(1)), Limits())


def trips(outputs: Sequence[Message]) -> list[RoundTrip]:
    return [message for message in outputs if isinstance(message, RoundTrip)]


def test_a_round_trip_says_everything_of_its_position() -> None:
    risk = stage()
    risk.handle(fill("t1", size="2", at="100", fee="0.2", ts_event=minute(1)))
    risk.handle(bars_closed(bar(2, "101", high="112", low="95")))
    risk.handle(funding("-0.5"))
    outputs = risk.handle(fill("t2", SELL, "2", "110", fee="0.3", role=EXIT, reason="target", ts_event=minute(7)))
    trip, changed = outputs
    assert trip == RoundTrip(
        symbol="BTC",
        strategy="cross",
        side=PositionSide.LONG,
        qty=qty(2),
        entry_ts=minute(1),
        entry_price=price(100),
        exit_ts=minute(7),
        exit_price=price(110),
        exit_reason="target",
        gross_pnl=cash(20),
        fees=cash("0.5"),
        funding=cash("-0.5"),
        net_pnl=cash(19),
        mae=cash(10),
        mfe=cash(24),
    )
    assert isinstance(changed, PositionChanged)
    assert changed.position is None
    state = risk.save()
    assert (state.cash, state.realized, state.fees, state.funding) == (10_019, 20, Decimal("0.5"), Decimal("-0.5"))


def test_several_entries_and_exits_are_one_trip_at_size_weighted_prices() -> None:
    risk = stage()
    risk.handle(fill("t1", SELL, "1", "100"))
    (changed,) = risk.handle(fill("t2", SELL, "2", "106"))
    assert isinstance(changed, PositionChanged)
    assert changed.position is not None
    assert (changed.position.qty, changed.position.entry_price, changed.position.side) == (-3, 104, PositionSide.SHORT)
    assert not trips(risk.handle(fill("t3", size="1", at="101", role=EXIT)))
    assert risk.save().realized == 3
    (trip,) = trips(risk.handle(fill("t4", size="2", at="98", role=EXIT, reason="time")))
    assert (trip.side, trip.qty, trip.entry_price, trip.exit_price) == (PositionSide.SHORT, 3, 104, 99)
    assert (trip.gross_pnl, trip.exit_reason) == (15, "time")
    # The first was 6 under water when the others came at 106; the last exit made the most.
    assert (trip.mae, trip.mfe) == (6, 15)


def test_prices_of_a_trip_are_rounded_half_to_even() -> None:
    risk = stage()
    risk.handle(fill("t1", size="1", at="100"))
    risk.handle(fill("t2", size="2", at="101"))
    (trip,) = trips(risk.handle(fill("t3", SELL, "3", "101", role=EXIT)))
    assert (trip.entry_price, trip.gross_pnl) == (Decimal("100.66666667"), 1)


def test_a_fill_past_flat_ends_one_trip_and_begins_the_next() -> None:
    risk = stage()
    risk.handle(fill("t1", size="1", at="100", fee="0.1"))
    outputs = risk.handle(fill("t2", SELL, "3", "110", fee="0.3", strategy="break", ts_event=minute(9)))
    trip, flat, opened = outputs
    assert isinstance(trip, RoundTrip)
    assert (trip.strategy, trip.qty, trip.gross_pnl, trip.fees) == ("cross", 1, 10, Decimal("0.2"))
    assert isinstance(flat, PositionChanged)
    assert (flat.strategy, flat.position) == ("cross", None)
    assert isinstance(opened, PositionChanged)
    assert opened.position is not None
    assert (opened.strategy, opened.position.qty, opened.position.entry_ts) == ("break", -2, minute(9))
    assert risk.save().positions["BTC"].fees == Decimal("0.2")
    assert risk.save().fees == Decimal("0.4")


def test_extremes_count_from_the_bar_of_entry_to_the_exit_price() -> None:
    risk = stage()
    risk.handle(fill("t1", size="1", at="100"))
    risk.handle(bars_closed(bar(1, "100", high="103", low="99")))
    # The bar of the exit is not held to its close: only the exit's own price counts of it.
    (trip,) = trips(risk.handle(fill("t2", SELL, "1", "94", role=EXIT, reason="stop")))
    assert (trip.mae, trip.mfe) == (6, 3)


def test_funding_without_a_position_is_booked_and_estimates_are_counted() -> None:
    risk = stage()
    risk.handle(funding("1.5", is_estimate=True))
    state = risk.save()
    assert (state.cash, state.funding, state.funding_estimates) == (Decimal("10001.5"), Decimal("1.5"), 1)


def test_trades_and_quotes_mark_positions() -> None:
    risk = stage()
    risk.handle(fill())
    trade = Trade(symbol="BTC", ts_event=minute(1), price=price(105), qty=qty(1), is_buy=True)
    risk.handle(trade)
    assert risk.save().equity == 10_005
    risk.handle(Quote(symbol="BTC", ts_event=minute(1), bid=price(107), ask=price(108)))
    assert risk.save().unrealized == Decimal("7.5")
    assert risk.save().positions["BTC"].entry_price == 100


def test_the_curve_begins_at_the_first_opening_and_marks_each_closing_time_once() -> None:
    risk = stage()
    assert risk.save().pending_equity is None
    risk.handle(funding("0"))
    first = risk.handle(bars_closed(bar(2)))
    assert first == (EquityMark(ts_event=MINUTE, equity=cash(10_000), is_exposed=False),)  # type: ignore[arg-type]
    assert risk.handle(bars_closed(bar(2, symbol="ETH"))) == ()
    risk.handle(fill("t1", at="100", fee="1"))
    assert risk.handle(bars_closed(bar(3, "104"))) == (
        EquityMark(ts_event=minute(2), equity=cash(10_000), is_exposed=False),
    )
    pending = EquityMark(ts_event=minute(3), equity=cash(10_003), is_exposed=True)
    assert risk.save().pending_equity == pending
    assert risk.handle(bars_closed(bar(4, "90"))) == (pending,)


def test_a_fill_between_two_bars_of_one_time_belongs_to_that_time() -> None:
    risk = stage()
    risk.handle(bars_closed(bar(1)))
    risk.handle(fill("t1", fee="2", symbol="ETH"))
    risk.handle(bars_closed(bar(1, symbol="ETH")))
    assert risk.handle(bars_closed(bar(2))) == (EquityMark(ts_event=minute(1), equity=cash(9_998), is_exposed=True),)


def test_drawdown_is_measured_from_the_running_peak() -> None:
    risk = stage("100")
    risk.handle(fill("t1", at="100"))
    for number, close in enumerate(["100", "150", "120", "140", "160", "152", "152"], start=1):
        risk.handle(bars_closed(bar(number, close)))
    state = risk.save()
    assert state.peak_equity == 160
    assert state.max_drawdown == Decimal("0.2")
    assert state.drawdown == Decimal("0.05")


def test_without_a_peak_there_is_no_drawdown() -> None:
    state = RiskState(starting_cash=cash(0), cash=cash(0), peak_equity=cash(0))
    assert state.drawdown == 0


AMOUNTS = st.decimals(min_value="0.001", max_value="9", places=3)


@given(st.lists(st.tuples(st.sampled_from(OrderSide), AMOUNTS, AMOUNTS, AMOUNTS), max_size=30), AMOUNTS)
def test_equity_is_what_a_plain_cash_account_says(
    fills: list[tuple[OrderSide, Decimal, Decimal, Decimal]], mark: Decimal
) -> None:
    risk = stage()
    wallet, held = Decimal(10_000), Decimal(0)
    for number, (side, size, at, fee) in enumerate(fills):
        risk.handle(fill(f"t{number}", side, size, at, fee=fee))
        wallet -= side.sign * size * at + fee
        held += side.sign * size
    risk.handle(bars_closed(bar(1, mark)))
    assert abs(risk.save().equity - (wallet + held * mark)) <= Decimal("1e-8") * len(fills)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_position_closed_in_parts_realizes_the_whole(count: int) -> None:
    risk = stage()
    risk.handle(fill("in", size=count, at="33.3"))
    for number in range(count):
        outputs = risk.handle(fill(f"out{number}", SELL, 1, "35.1", role=EXIT))
    (trip,) = trips(outputs)
    assert trip.gross_pnl == risk.save().realized == Decimal("1.8") * count
