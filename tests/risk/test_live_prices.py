"""What a live market tells between bars: what leaves is held against it, and breakers look at it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, minute, price, qty, replace, signal
from tests.risk.test_last_gate import World, pages, stopped
from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.command import StateChanged, TradingState
from tradebot.model.market import Message, PricesSeen, SymbolPrices
from tradebot.model.order import OrderRejected, OrderSide, OrderType, PositionSide
from tradebot.model.position import Deposit
from tradebot.model.signal import Approved, Refused
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.store.codec import decode, encode

D = Decimal
LONG, SHORT = PositionSide


def told(symbol: str = "BTC", mark: str = "100", mid: str | None = "100", age_ms: int = 0, **offered: str) -> Any:
    return SymbolPrices(
        symbol=symbol,
        age_ms=age_ms,
        mark=price(mark),
        mid=None if mid is None else price(mid),
        **{side: qty(size) for side, size in offered.items()},
    )


def seen(*prices: SymbolPrices, ts: Nanos | None = None) -> PricesSeen:
    return PricesSeen(ts_event=minute(1) if ts is None else ts, prices=prices)


def entry_into(world: World, *prices: SymbolPrices, late_s: int = 0) -> Sequence[Message]:
    """What is answered to an entry ``late_s`` after the market told its prices."""
    ts = minute(1)
    world.risk.handle(seen(*prices, ts=Nanos(ts - late_s * NANOS_PER_S)))
    (entry,) = world.approve(signal(ts_event=ts))
    return world.send(entry, at=ts)


@pytest.mark.parametrize(
    ("prices", "late_s", "why"),
    [
        ([told()], 0, ""),
        ([told(age_ms=10_000)], 0, ""),
        ([told(age_ms=10_001)], 0, "stale_price: the mark of BTC is so many seconds old (10.001, limit 10)"),
        ([told(age_ms=9_000)], 1, ""),
        ([told(age_ms=9_001)], 1, "stale_price: the mark of BTC is so many seconds old (10.001, limit 10)"),
        ([told("ETH")], 0, "stale_price: the market has told no price of BTC"),
        ([told(mid=None)], 0, "stale_price: a side of the book of BTC is empty"),
    ],
)
def test_nothing_enters_a_market_that_has_not_told_its_prices_lately(
    prices: list[SymbolPrices], late_s: int, why: str
) -> None:
    world = World(max_price_age_s="10")
    answers = entry_into(world, *prices, late_s=late_s)
    assert [one.reason for one in answers if isinstance(one, OrderRejected)] == ([why] if why else [])
    assert pages(answers) == []
    assert len(world.venue.taken) == (not why)


def test_a_market_told_before_its_bar_closed_is_no_younger_for_it() -> None:
    world = World(max_price_age_s="10")
    assert entry_into(world, told(age_ms=10_001), late_s=-5) != ()


def test_a_market_of_bars_alone_is_asked_for_nothing_between_them() -> None:
    world = World(max_price_age_s="10", price_collar_pct="1", max_book_pct="1")
    (entry,) = world.approve(signal())
    assert world.send(entry) == ()


def test_without_a_limit_prices_may_be_of_any_age() -> None:
    assert entry_into(World(), told(age_ms=10**9, mid=None)) == ()


def test_what_reduces_is_not_asked_how_fresh_the_market_is() -> None:
    world = World(max_price_age_s="10", price_collar_pct="1")
    _, stop = world.approve(signal(stop="90"))
    world.risk.handle(fill())
    world.risk.handle(seen(told(mark="50", mid=None, age_ms=10**9)))
    assert world.send(replace(stop, parent_id=None)) == ()


@pytest.mark.parametrize(
    ("mark", "mid", "what"),
    [
        ("102", "102", ""),
        ("98", "98", ""),
        ("97.9", "100", "2.145"),
        ("100", "97.9", "2.145"),
        ("102.1", "100", "2.0568"),
        ("100", "102.1", "2.0568"),
    ],
)
def test_an_entry_was_decided_near_the_mark_and_near_the_middle_of_the_book(mark: str, mid: str, what: str) -> None:
    answers = entry_into(World(price_collar_pct="2.05"), told(mark=mark, mid=mid))
    assert stopped(answers) == ("price_collar" if what else "")
    if what:
        rejected = answers[0]
        assert isinstance(rejected, OrderRejected)
        name, at = ("mark", mark) if mark != "100" else ("mid", mid)
        assert rejected.reason == f"price_collar: percent away from the {name} of {at} ({what}, limit 2.05)"


@pytest.mark.parametrize("prices", [(), (told("ETH", "50"),), (told(mid=None),)])
def test_a_collar_goes_by_what_it_has(prices: tuple[SymbolPrices, ...]) -> None:
    assert entry_into(World(price_collar_pct="1"), *prices) == ()


def test_a_limit_is_held_against_both_prices_on_its_costly_side() -> None:
    world = World(price_collar_pct="1")
    world.risk.handle(seen(told(mark="100", mid="98")))
    (entry,) = world.approve(signal(entry_type=OrderType.LIMIT, entry_price="99.5"))
    assert stopped(world.send(entry)) == "price_collar"
    world.risk.handle(seen(told(mark="100", mid="99")))
    assert world.send(entry) == ()


# The share of the book ---------------------------------------------------------------------------------------


def book_stage(pct: str = "50", size: str = "10") -> RiskStage:
    world = World(size, max_book_pct=pct)
    return world.risk


@pytest.mark.parametrize(("side", "cut_to"), [(LONG, "4"), (SHORT, "2")])
def test_an_entry_is_at_most_a_part_of_what_the_other_side_offers(side: PositionSide, cut_to: str) -> None:
    risk = book_stage()
    risk.handle(seen(told(bid_qty="4", ask_qty="8")))
    (decision,) = risk.handle(signal(side=side))
    assert isinstance(decision, Approved)
    assert decision.qty == D(cut_to)
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit) == ("max_book_pct", 50)
    assert round(cut.value, 4) == round(10 / D(cut_to) * 50, 4)
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (50, "BTC")


def test_what_nobody_offers_is_not_entered() -> None:
    risk = book_stage()
    for prices in ([told()], [told(ask_qty="0")], [told("ETH", ask_qty="100")]):
        risk.handle(seen(*prices))
        (refused,) = risk.handle(signal())
        assert isinstance(refused, Refused)
        assert (refused.gate, refused.limit) == ("max_book_pct", 50)
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (0, "account")


def test_without_a_live_book_nothing_is_bounded_nor_used() -> None:
    risk = book_stage()
    (decision,) = risk.handle(signal())
    assert isinstance(decision, Approved)
    assert decision.qty == 10
    (use,) = risk.limits_view()
    assert use.value == 0


# Breakers between bars ---------------------------------------------------------------------------------------


def holding(size: int = 50, **tiers: tuple[str, ...]) -> RiskStage:
    """A book of 10,000 with ``size`` of BTC at 100, and none of ETH."""
    instruments = {symbol: instrument(symbol) for symbol in ("BTC", "ETH")}
    breakers = {name: tuple(map(D, values)) for name, values in tiers.items()}
    limits = Limits(max_price_age_s=D(10))
    risk = RiskStage(instruments, cash(10_000), SizeRule(SizeKind.QTY, D(1)), limits, breakers=breakers)
    for symbol in instruments:
        risk.handle(bars_closed(bar(symbol=symbol)))
    risk.handle(fill(size=size))
    for symbol in instruments:
        risk.handle(bars_closed(bar(2, symbol=symbol)))
    return risk


def trips(outputs: Sequence[Message]) -> list[tuple[str, int]]:
    return [(one.name, one.tier) for one in outputs if isinstance(one, BreakerChanged)]


@pytest.mark.parametrize("name", ["drawdown_pct", "daily_loss_pct"])
def test_a_fall_between_two_bars_trips_at_once_and_closes_what_is_held(name: str) -> None:
    risk = holding(**{name: ("5", "10")})
    assert trips(risk.handle(seen(told(mark="90.01")))) == []
    assert not risk.acts_at([told(mark="90.01")])
    assert risk.acts_at([told(mark="90")])
    outputs = risk.handle(seen(told(mark="90"), ts=Nanos(minute(2) + 30)))
    (changed,) = [one for one in outputs if isinstance(one, BreakerChanged)]
    assert (changed.name, changed.tier, changed.act, changed.value) == (name, 1, Act.REDUCE_ONLY, 5)
    assert changed.ts_event == minute(2) + 30
    # The next tier is further down, and the first does not act twice.
    assert not risk.acts_at([told(mark="90")])
    assert risk.handle(seen(told(mark="90"))) == []
    outputs = risk.handle(seen(told(mark="80")))
    assert trips(outputs) == [(name, 2)]
    assert [one.state for one in outputs if isinstance(one, StateChanged)] == [TradingState.HALTED]
    (closing,) = [one for one in outputs if isinstance(one, Approved)]
    assert closing.qty == 50
    # Until an operator looked there is nothing left to act on.
    assert not risk.acts_at([told(mark="1")])


def test_marks_sizes_and_the_curve_stay_those_of_closes() -> None:
    risk, other = holding(drawdown_pct=("20",)), holding(drawdown_pct=("20",))
    risk.handle(seen(told(mark="70"), told("ETH", "130")))
    risk.handle(seen(told(mark="150")))
    assert risk.marks == other.marks
    assert risk.equity == other.equity
    for one in (risk, other):
        one.handle(bars_closed(bar(3, close="101")))
    before, after = risk.save(), other.save()
    assert before.seen == seen(told(mark="150"))
    assert replace_seen(before) == replace_seen(after)
    assert before.breakers == after.breakers, "a rise between bars is no peak"


def replace_seen(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__slots__ if name != "seen"}


def test_all_prices_are_looked_at_together_and_what_is_old_counts_by_its_close() -> None:
    risk = holding(drawdown_pct=("5",))
    risk.handle(fill("t2", OrderSide.SELL, 50, symbol="ETH", signal_id="cross-ETH-1"))
    # What one side loses the other has earned.
    both = told(mark="50"), told("ETH", "50", age_ms=10_000)
    assert not risk.acts_at(both)
    assert risk.handle(seen(*both)) == []
    old = told(mark="50"), told("ETH", "50", age_ms=10_001)
    assert risk.acts_at(old)
    assert trips(risk.handle(seen(*old))) == [("drawdown_pct", 1)]


def test_without_a_position_or_a_breaker_of_falls_nothing_is_alarming() -> None:
    instruments = {"BTC": instrument()}
    flat = RiskStage(instruments, cash(100), SizeRule(SizeKind.QTY, D(1)), Limits(), breakers={"drawdown_pct": (D(1),)})
    flat.handle(bars_closed(bar()))
    assert not flat.acts_at([told(mark="1")])
    assert flat.handle(seen(told(mark="1"))) == []
    without = holding(max_trades_per_day=("5",))
    assert not without.acts_at([told(mark="1")])
    assert without.handle(seen(told(mark="1"))) == []


def test_what_a_stop_has_cost_is_seen_before_the_bar_closes() -> None:
    risk = holding(drawdown_pct=("10", "20"))
    risk.handle(fill("t2", OrderSide.SELL, 50, at="80"))
    assert not risk.positions
    assert risk.acts_at([told()])
    assert trips(risk.handle(seen(told()))) == [("drawdown_pct", 1)]
    assert not risk.acts_at([told()])


def test_money_from_outside_is_no_fall_between_bars_either() -> None:
    risk = holding(drawdown_pct=("10",))
    risk.handle(Deposit(ts_event=minute(2), id="d1", amount=cash(-5_000)))
    # 5,000 are left, of which a tenth is lost at 90.
    assert not risk.acts_at([told(mark="90.1")])
    assert risk.acts_at([told(mark="90")])


def test_what_was_told_survives_a_restart() -> None:
    risk = holding(drawdown_pct=("10",))
    risk.handle(seen(told(mark="95", bid_qty="1")))
    again = holding(drawdown_pct=("10",))
    again.load(decode(RiskStage.STATE, encode(risk.save())))
    assert again.save() == risk.save()
    assert again.save().seen == seen(told(mark="95", bid_qty="1"))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(60, 130)), max_size=30),
    st.integers(2, 30),
)
def test_between_bars_a_fall_acts_exactly_when_it_was_said_to_and_no_tier_is_missed(
    steps: list[tuple[bool, int]], threshold: int
) -> None:
    risk, number, peak, tripped = holding(drawdown_pct=(str(threshold),)), 2, 10_000, False
    for is_bar, at in steps:
        equity = 10_000 + 50 * (at - 100)
        if is_bar:
            number += 1
            outputs = risk.handle(bars_closed(bar(number, close=str(at))))
            peak = max(peak, equity)
        else:
            is_said = risk.acts_at([told(mark=str(at))])
            outputs = risk.handle(seen(told(mark=str(at)), ts=minute(number)))
            assert is_said == bool(trips(outputs))
        is_due = D(equity) <= peak * (100 - D(threshold)) / 100
        assert bool(trips(outputs)) == (is_due and not tripped)
        if trips(outputs):
            # What is closed is the bot's to fill; here it stays as it is.
            tripped = True
            peak = max(peak, 0)
