"""A real account: money from outside, payments told twice, orders found, symbols frozen, and closing until flat."""

from decimal import Decimal

import pytest

from tests.builders import (
    FIRST,
    bar,
    bars_closed,
    cash,
    command,
    fill,
    funding,
    instrument,
    minute,
    order_request,
    price,
    replace,
    signal,
)
from tradebot.model.command import CommandDone, Tick, Verb
from tradebot.model.order import OrderDone, OrderFound, OrderRole, OrderSide, OrderState, OrderType
from tradebot.model.position import Deposit
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.recent import Recent
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.store.codec import decode, encode

TICK = Tick(ts_event=FIRST)


def stage(start: str = "10000", limits: Limits = Limits()) -> RiskStage:  # noqa: B008  # it is frozen
    known = {symbol: instrument(symbol) for symbol in ("BTC", "ETH")}
    return RiskStage(known, cash(start), SizeRule(SizeKind.QTY, Decimal(4)), limits)


def deposit(amount: str, id_: str = "d1") -> Deposit:
    return Deposit(ts_event=FIRST, id=id_, amount=cash(amount))


def decide(risk: RiskStage, asked: Signal | None = None) -> Approved | Refused:
    (decision,) = risk.handle(asked or signal())
    assert isinstance(decision, Approved | Refused)
    return decision


def answer(risk: RiskStage, verb: Verb, symbol: str, reason: str) -> str:
    (done,) = risk.handle(command(verb, {"symbol": symbol, "reason": reason}))
    assert isinstance(done, CommandDone)
    assert done.error == ""
    return done.detail


# Deposits ---------------------------------------------------------------------------------------------------


def test_the_first_deposit_is_the_start_of_the_account_and_of_its_curve() -> None:
    risk = stage("0")
    risk.handle(deposit("500"))
    risk.handle(bars_closed(bar(1)))
    state = risk.save()
    assert (state.starting_cash, state.cash, state.deposits, state.peak_equity) == (500, 500, 0, 500)


def test_what_was_traded_before_the_first_deposit_is_in_it_already() -> None:
    risk = stage("0")
    risk.handle(fill("t1", fee="1"))
    risk.handle(fill("t2", OrderSide.SELL, at="110", role=OrderRole.STOP))
    risk.handle(deposit("500"))
    state = risk.save()
    assert (state.cash, state.starting_cash) == (500, 491)
    assert state.cash == state.starting_cash + state.deposits + state.realized - state.fees + state.funding


def test_later_money_moves_the_cash_and_is_neither_a_gain_nor_a_loss() -> None:
    risk = stage("0")
    risk.handle(deposit("1000"))
    risk.handle(bars_closed(bar(1)))
    risk.handle(deposit("-600", "d2"))
    risk.handle(bars_closed(bar(2)))
    risk.handle(bars_closed(bar(3)))
    state = risk.save()
    assert (state.starting_cash, state.cash, state.deposits) == (1000, 400, -600)
    assert (state.peak_equity, state.max_drawdown, state.drawdown) == (400, 0, 0)
    risk.handle(deposit("100", "d3"))
    risk.handle(bars_closed(bar(4)))
    risk.handle(bars_closed(bar(5)))
    assert (risk.save().peak_equity, risk.save().max_drawdown) == (500, 0)


def test_the_closing_time_of_a_deposit_is_as_it_was_before_it_or_after_it() -> None:
    for bars in ((bar(2),), (bar(1, symbol="ETH"), bar(2))):
        risk = stage("1000")
        risk.handle(bars_closed(bar(1)))
        risk.handle(deposit("-600", "d2"))
        again = stage()
        again.load(decode(RiskState, encode(risk.save())))
        for one in (risk, again):
            for closed in bars:
                one.handle(bars_closed(closed))
            one.handle(bars_closed(bar(3)))
            assert (one.save().peak_equity, one.save().drawdown) == (400, 0)


def test_a_fall_before_a_deposit_stays_a_fall() -> None:
    risk = stage("1000")
    for message in (bars_closed(bar(1)), fill("t1", size="1"), bars_closed(bar(2, "50")), bars_closed(bar(3, "50"))):
        risk.handle(message)
    risk.handle(deposit("1000"))
    state = risk.save()
    assert (state.peak_equity, state.max_drawdown) == (2000, Decimal("0.05"))


def test_a_deposit_told_twice_is_booked_once_also_after_a_restart() -> None:
    risk = stage("0")
    assert risk.is_news(deposit("500"))
    risk.handle(deposit("500"))
    again = stage("0")
    again.load(decode(RiskState, encode(risk.save())))
    for one in (risk, again):
        assert not one.is_news(deposit("500"))
        assert one.is_news(deposit("500", "d2"))
        before = one.save()
        assert one.handle(deposit("500")) == ()
        assert one.save() == before


def test_an_empty_account_has_had_its_first_deposit_too() -> None:
    risk = stage("0")
    risk.handle(deposit("0"))
    risk.handle(deposit("70", "d2"))
    assert (risk.save().starting_cash, risk.save().deposits, risk.save().cash) == (0, 70, 70)


def test_only_the_latest_ids_are_kept() -> None:
    recent = Recent(str(number) for number in range(1_000))
    recent.add("more")
    assert (len(recent), "0" in recent, "1" in recent, "more" in recent) == (1_000, False, True, True)


# Funding ----------------------------------------------------------------------------------------------------


def test_a_payment_told_twice_or_late_is_booked_once_for_each_symbol() -> None:
    risk = stage()
    first, second = funding("-1", ts_event=minute(60)), funding("-2", ts_event=minute(120))
    for paid in (first, second, first, second, funding("-4", symbol="ETH", ts_event=minute(60))):
        risk.handle(paid)
    assert risk.save().funding == -7
    assert not risk.is_news(second)
    assert risk.is_news(funding("-2", ts_event=minute(180)))
    assert risk.is_news(TICK)


# Frozen symbols ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["BTC", ""])
def test_a_frozen_symbol_is_not_entered_until_every_reason_is_gone(symbol: str) -> None:
    risk = stage()
    name = symbol or "all"
    assert answer(risk, Verb.FREEZE, symbol, "unknown order") == f"no entries in {name}: unknown order"
    assert answer(risk, Verb.FREEZE, symbol, "mismatch") == f"no entries in {name}: unknown order, mismatch"
    again = stage()
    again.load(decode(RiskState, encode(risk.save())))
    refused = decide(again)
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.detail) == ("frozen", "unknown order, mismatch")
    assert answer(again, Verb.THAW, symbol, "unknown order") == f"no entries in {name}: mismatch"
    assert isinstance(decide(again), Refused)
    assert answer(again, Verb.THAW, symbol, "mismatch") == f"entries in {name} are free again"
    assert isinstance(decide(again), Approved)


def test_freezing_and_thawing_again_changes_nothing() -> None:
    risk = stage()
    assert "before" in answer(risk, Verb.THAW, "BTC", "mismatch")
    answer(risk, Verb.FREEZE, "BTC", "mismatch")
    before = risk.save()
    assert "before" in answer(risk, Verb.FREEZE, "BTC", "mismatch")
    assert risk.save() == before


def test_what_is_frozen_may_be_left_and_others_entered() -> None:
    risk = stage()
    decide(risk, signal(stop="90"))
    risk.handle(fill(size="4"))
    risk.handle(bars_closed(bar()))
    answer(risk, Verb.FREEZE, "BTC", "mismatch")
    assert isinstance(decide(risk, replace(signal("cross-BTC-2", Action.MOVE_STOP), stop=price(95))), Approved)
    assert isinstance(decide(risk, signal("cross-BTC-3", Action.EXIT)), Approved)
    assert isinstance(decide(risk, signal("cross-ETH-1", symbol="ETH")), Approved)


# The cap of the first days ----------------------------------------------------------------------------------


def test_the_cap_of_the_first_days_cuts_entries_and_is_shown() -> None:
    risk = stage(limits=Limits(live_cap_notional=cash(100)))
    decision = decide(risk)
    assert isinstance(decision, Approved)
    assert decision.qty == 1
    assert [cut.gate for cut in decision.cuts] == ["live_cap_notional"]
    (use,) = risk.limits_view()
    assert (use.limit, use.value, use.max) == ("live_cap_notional", 100, 100)


# Flattening -------------------------------------------------------------------------------------------------


def ended(name: str, state: OrderState = OrderState.REJECTED) -> OrderDone:
    return OrderDone(
        ts_event=FIRST,
        client_order_id=f"{name}-exit",
        signal_id=name,
        strategy="cross",
        symbol="BTC",
        role=OrderRole.EXIT,
        state=state,
        filled_qty=fill(size="1").qty,
        reason="no",
    )


def exits(outputs: object) -> list[str]:
    assert isinstance(outputs, list | tuple)
    return [message.signal.id for message in outputs if isinstance(message, Approved)]


@pytest.mark.parametrize("verb", [Verb.HALT, Verb.STOP])
def test_flattening_sends_refused_exits_again_at_each_tick_until_all_is_flat(verb: Verb) -> None:
    risk = stage()
    risk.handle(fill(size="4"))
    risk.handle(bars_closed(bar()))
    assert risk.handle(TICK) == ()
    assert exits(risk.handle(command(verb, {"flatten": "true"}))) == ["manual-BTC-1"]
    assert risk.is_flattening
    assert exits(risk.handle(TICK)) == []
    risk.handle(ended("manual-BTC-1"))
    assert exits(risk.handle(TICK)) == ["manual-BTC-2"]
    risk.handle(fill("t2", OrderSide.SELL, "4", role=OrderRole.EXIT, signal_id="manual-BTC-2"))
    assert risk.is_flattening
    assert exits(risk.handle(TICK)) == []
    assert not risk.is_flattening


def test_what_fills_while_everything_is_closed_is_closed_too() -> None:
    risk = stage()
    decide(risk)
    risk.handle(command(Verb.HALT, {"flatten": "true"}))
    assert exits(risk.handle(TICK)) == []
    assert risk.is_flattening
    risk.handle(fill(size="4"))
    assert exits(risk.handle(TICK)) == ["manual-BTC-1"]


# Orders found at the venue ----------------------------------------------------------------------------------


def found(role: OrderRole, limit: str | None = "95", trigger: str | None = None) -> OrderFound:
    side = OrderSide.BUY if role is OrderRole.ENTRY else OrderSide.SELL
    order = order_request(
        f"cross-BTC-1-{role}", role=role, side=side, type_=OrderType.LIMIT, limit=limit, trigger=trigger
    )
    return OrderFound(ts_event=FIRST, order=order, venue_order_id="5")


def test_an_entry_that_was_found_holds_its_symbol_and_is_counted_once() -> None:
    risk = stage()
    risk.handle(found(OrderRole.ENTRY))
    before = risk.save()
    risk.handle(found(OrderRole.ENTRY))
    assert risk.save() == before
    assert before.entries["cross-BTC-1"].price == 95
    refused = decide(risk, signal("cross-BTC-2"))
    assert isinstance(refused, Refused)
    assert refused.gate == "already_open"
    risk.handle(fill(size="1"))
    risk.handle(found(OrderRole.ENTRY))
    assert risk.save().entries == {}


def test_a_stop_that_was_found_can_be_moved() -> None:
    risk = stage()
    risk.handle(fill(size="1"))
    risk.handle(bars_closed(bar()))
    risk.handle(found(OrderRole.STOP, None, "90"))
    risk.handle(found(OrderRole.TARGET, "130"))
    assert risk.save().stops == {"BTC": 90}
    assert isinstance(decide(risk, replace(signal("cross-BTC-2", Action.MOVE_STOP), stop=price(95))), Approved)


def test_a_market_order_that_was_found_waits_for_nothing() -> None:
    risk = stage()
    risk.handle(found(OrderRole.ENTRY, None))
    risk.handle(found(OrderRole.STOP, "90"))
    assert (risk.save().entries, risk.save().stops) == ({}, {})
