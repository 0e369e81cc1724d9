"""Breakers: each trips at its number, acts in order, says so, and comes back by its way back alone."""

import pkgutil
from collections.abc import Mapping
from decimal import Decimal

import pytest

import tradebot.pipeline.risk.breakers as package
from tests.builders import bar, bars_closed, cash, command, fill, instrument, minute, price, replace, signal
from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.command import Alert, AlertName, CommandDone, StateChanged, TradingState, Verb
from tradebot.model.errors import InvariantError
from tradebot.model.instrument import InstrumentSeen, Listing
from tradebot.model.market import Message
from tradebot.model.money import from_float
from tradebot.model.order import Fill, Liquidity, OrderDone, OrderRole, OrderSide, OrderState, OrderType, RefusalClass
from tradebot.model.position import Deposit, ResidualSeen, RoundTrip
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.model.time import DAY, Nanos
from tradebot.pipeline.risk.breakers.base import (
    BreakerState,
    BreakerView,
    CooldownMemory,
    CountMemory,
    EquityMemory,
    ResidualMemory,
    StormMemory,
    Tiers,
)
from tradebot.pipeline.risk.breakers.cooldown import CooldownBreaker
from tradebot.pipeline.risk.breakers.drawdown import DrawdownBreaker
from tradebot.pipeline.risk.breakers.falls import NO_FLOOR
from tradebot.pipeline.risk.breakers.rejects import RejectsBreaker
from tradebot.pipeline.risk.breakers.sequence import BREAKERS
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.settings.model import RiskSettings
from tradebot.store.codec import decode, encode

D = Decimal
INSTRUMENTS = {symbol: instrument(symbol) for symbol in ("BTC", "ETH")}


def tiers(*values: str | int) -> Tiers:
    return tuple(map(D, values))


class Desk:
    """A risk stage of 10,000, with one bar of each symbol at 100, and what it said."""

    def __init__(self, breakers: Mapping[str, Tiers], size: str = "10") -> None:
        self.breakers, self.size = breakers, size
        self.stage = self._stage()
        self.heard: list[Message] = []
        self.orders = 0
        for symbol in INSTRUMENTS:
            self.bar(1, "100", symbol)

    def _stage(self) -> RiskStage:
        rule = SizeRule(SizeKind.QTY, D(self.size))
        return RiskStage(INSTRUMENTS, cash(10_000), rule, Limits(), breakers=self.breakers)

    def tell(self, message: Message) -> list[Message]:
        said = list(self.stage.handle(message))
        self.heard += said
        return said

    def bar(self, number: int, close: str, symbol: str = "BTC") -> list[Message]:
        return self.tell(bars_closed(bar(number, close, symbol=symbol)))

    def ask(self, symbol: str = "BTC", ts: Nanos | None = None, **arguments: object) -> Approved | Refused:
        self.orders += 1
        at = self.stage.save().market_ts if ts is None else ts
        asked = signal(f"cross-{symbol}-{self.orders}", symbol=symbol, ts_event=at, **arguments)  # type: ignore[arg-type]
        answer = self.tell(asked)[-1]
        assert isinstance(answer, Approved | Refused)
        return answer

    def open(self, symbol: str = "BTC", at: str = "100", ts: Nanos | None = None) -> Signal:
        answer = self.ask(symbol, ts)
        assert isinstance(answer, Approved), answer
        self.fill(answer.signal, OrderRole.ENTRY, str(answer.qty), at, ts)
        return answer.signal

    def close(self, entry: Signal, at: str, ts: Nanos | None = None) -> list[Message]:
        held = self.stage.save().positions[entry.symbol].qty
        return self.fill(entry, OrderRole.STOP, str(held), at, ts)

    def fill(
        self, entry: Signal, role: OrderRole, size: str, at: str, ts: Nanos | None = None, **other: object
    ) -> list[Message]:
        self.orders += 1
        side = OrderSide.BUY if role is OrderRole.ENTRY else OrderSide.SELL
        when = self.stage.save().market_ts if ts is None else ts
        filled = fill(
            f"t{self.orders}",
            side,
            size,
            at,
            symbol=entry.symbol,
            signal_id=entry.id,
            role=role,
            reason=role.value,
            ts_event=when,
        )
        return self.tell(replace(filled, **other))  # type: ignore[arg-type]

    def restart(self) -> None:
        saved = self.stage.save()
        kept = decode(RiskStage.STATE, encode(saved))
        assert kept == saved
        self.stage = self._stage()
        self.stage.load(kept)
        assert self.stage.save() == saved

    @property
    def state(self) -> TradingState:
        return self.stage.trading_state

    def view(self, name: str) -> BreakerView:
        return next(one for one in self.stage.breakers_view() if one.name == name)

    def changes(self) -> list[tuple[str, int, Act | None]]:
        return [(one.name, one.tier, one.act) for one in self.heard if isinstance(one, BreakerChanged)]

    def resume(self, reason: str | None = "looked") -> CommandDone:
        said = self.tell(command(Verb.RESUME, {} if reason is None else {"reason": reason}))
        done = said[-1]
        assert isinstance(done, CommandDone)
        return done


SECOND = minute(2)


def done(state: OrderState = OrderState.REJECTED, ts: Nanos = SECOND) -> OrderDone:
    return OrderDone(
        ts_event=ts,
        client_order_id="x",
        signal_id="x",
        strategy="cross",
        symbol="BTC",
        role=OrderRole.ENTRY,
        state=state,
        filled_qty=cash(0),  # type: ignore[arg-type]
        reason="no",
    )


# The list ---------------------------------------------------------------------------------------------


def test_every_module_is_in_the_list_and_bears_the_name_of_its_key() -> None:
    listed = {breaker.__module__.rpartition(".")[2] for breaker in BREAKERS}
    shared = {"base", "sequence", "falls", "counts", "health"}
    assert {found.name for found in pkgutil.iter_modules(package.__path__)} - shared == listed - shared
    names = [breaker.name for breaker in BREAKERS]
    assert len(set(names)) == len(names)
    assert set(names) <= set(RiskSettings.model_fields)


def test_only_the_drawdown_breaker_is_on_by_default() -> None:
    on = {breaker.name: getattr(RiskSettings(), breaker.name) for breaker in BREAKERS}
    assert {name: value for name, value in on.items() if value} == {"drawdown_pct": (D(20),)}


def test_without_breakers_there_is_nothing_to_see() -> None:
    desk = Desk({})
    assert desk.stage.breakers_view() == ()
    assert desk.stage.save().breakers == {}


@pytest.mark.parametrize("breaker", BREAKERS)
def test_none_becomes_what_another_remembers(breaker: type) -> None:
    one = breaker(tiers(5))
    for memory in (EquityMemory(), CountMemory(), CooldownMemory(), StormMemory(), ResidualMemory()):
        if type(memory) is not type(one.remember()):
            with pytest.raises(InvariantError):
                one.load(BreakerState(memory=memory))
    one.load(BreakerState())
    assert one.tier == 0


def test_one_takes_no_notice_of_what_it_is_not_about() -> None:
    desk = Desk({})
    for one in (RejectsBreaker(tiers(1)), CooldownBreaker(tiers(1))):
        heard = [
            one.on_equity(minute(1), cash(0)),
            one.on_ask(signal(), desk.stage._desk),  # what it may look at
            one.on_fill(fill(), desk.stage._desk),
            one.on_opened(fill()),
        ]
        assert not any(heard)
        assert one.tier == one.value == 0
    assert not CooldownBreaker(tiers(1)).on_done(done())
    desk.close(desk.open(), "99")
    (trip,) = (one for one in desk.heard if isinstance(one, RoundTrip))
    assert not RejectsBreaker(tiers(1)).on_trip(trip)


def test_a_fall_is_measured_from_what_was_seen() -> None:
    fresh = DrawdownBreaker(tiers(20))
    fresh.load(BreakerState(memory=EquityMemory()))
    fresh.begin()
    assert fresh.remember() == EquityMemory()
    assert fresh.silence(cash(100)) == (NO_FLOOR, NO_FLOOR), "a first equity is looked at whatever it is"
    assert not fresh.on_equity(minute(1), cash(0))
    assert not fresh.on_equity(minute(2), cash(-5))


# Drawdown ---------------------------------------------------------------------------------------------


def test_a_drawdown_closes_everything_pages_and_halts() -> None:
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    desk.open("ETH")
    said = desk.bar(2, "60.1")
    assert desk.state is TradingState.RUNNING
    assert said == [said[0]]
    said = desk.bar(2, "60", "ETH")
    assert [type(one) for one in said] == [BreakerChanged, Alert, StateChanged, Approved, Approved]
    changed, alert, state = said[:3]
    assert isinstance(changed, BreakerChanged)
    assert isinstance(alert, Alert)
    assert isinstance(state, StateChanged)
    assert (changed.value, changed.threshold, changed.act) == (D("39.95"), D(20), Act.HALT)
    assert alert.name is AlertName.BREAKER
    assert alert.what == "drawdown_pct is 39.95, tier 1 is 20: every position is closed, and trading is halted"
    assert "tradebot resume --reason TEXT" in alert.mend
    assert (state.state, state.reason) == (TradingState.HALTED, "drawdown_pct is 39.95, tier 1 is 20")
    assert {one.signal.symbol for one in said[3:] if isinstance(one, Approved)} == {"BTC", "ETH"}
    assert desk.stage.is_flattening


@pytest.mark.parametrize(("close", "tier"), [("60.01", None), ("60", 1), ("59.99", 1)])
def test_it_trips_at_its_number_and_not_before(close: str, tier: int | None) -> None:
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    desk.bar(2, close)
    view = desk.view("drawdown_pct")
    assert (view.tier, view.state) == (tier, "ok" if tier is None else "tripped")
    assert view.value == round((100 - D(close)) * 50 / 100, 8)
    assert view.since == (None if tier is None else minute(2))
    assert view.way_back == ("" if tier is None else "once every position is closed: tradebot resume --reason TEXT")


def test_tiers_act_in_order_and_a_new_peak_arms_them_again() -> None:
    desk = Desk({"drawdown_pct": tiers(5, 10, 20)}, size="50")
    entry = desk.open()
    desk.bar(2, "89")
    assert desk.view("drawdown_pct").act is Act.REDUCE_SIZE
    assert desk.view("drawdown_pct").way_back == "at a new peak or tradebot resume --reason TEXT"
    halved = desk.ask("ETH")
    assert isinstance(halved, Approved)
    assert halved.qty == 25
    assert [(cut.gate, cut.limit, cut.value) for cut in halved.cuts] == [("drawdown_pct", D(5), D("5.5"))]
    desk.tell(replace(done(OrderState.CANCELED), signal_id=halved.signal.id))
    desk.bar(3, "80")
    assert desk.state is TradingState.REDUCE_ONLY
    refused = desk.ask("ETH")
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit, refused.value) == ("drawdown_pct", D(10), D(10))
    desk.bar(4, "100.1")
    assert desk.state is TradingState.RUNNING
    assert desk.view("drawdown_pct").tier is None
    desk.bar(5, "58")
    assert desk.changes() == [
        ("drawdown_pct", 1, Act.REDUCE_SIZE),
        ("drawdown_pct", 2, Act.REDUCE_ONLY),
        ("drawdown_pct", 0, None),
        ("drawdown_pct", 3, Act.HALT),
    ]
    desk.close(entry, "58")
    desk.bar(6, "58")
    assert not desk.stage.is_flattening
    assert desk.state is TradingState.HALTED


def test_a_peak_that_is_only_reached_again_is_no_new_one() -> None:
    desk = Desk({"drawdown_pct": tiers(5, 10, 20)}, size="50")
    desk.open()
    desk.bar(2, "101")
    desk.bar(3, "90")
    desk.bar(4, "101")
    assert desk.view("drawdown_pct").tier == 1
    desk.bar(5, "101.01")
    assert desk.view("drawdown_pct").tier is None


def test_what_is_left_of_half_may_be_too_small() -> None:
    desk = Desk({"drawdown_pct": tiers("0.001", 10, 20)}, size="0.15")
    desk.open()
    desk.bar(2, "98")
    refused = desk.ask("ETH")
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit) == ("drawdown_pct", D("0.001"))
    assert refused.detail == "what the breaker leaves is below the smallest order"


@pytest.mark.parametrize("amount", ["90000", "-9000", "-5000"])
def test_money_from_outside_is_no_fall(amount: str) -> None:
    desk = Desk({"drawdown_pct": tiers(20), "daily_loss_pct": tiers(20)}, size="10")
    desk.open()
    desk.bar(2, "90")
    before = desk.view("drawdown_pct").value
    assert before == 1
    desk.tell(Deposit(ts_event=minute(2), id="d", amount=cash(amount)))
    assert desk.view("drawdown_pct").value == before
    desk.bar(3, "90")
    assert desk.view("drawdown_pct").value == desk.view("daily_loss_pct").value == before
    assert desk.changes() == []


def test_an_account_that_was_emptied_begins_anew_with_what_comes() -> None:
    desk = Desk({"drawdown_pct": tiers(20)})
    desk.tell(Deposit(ts_event=minute(1), id="out", amount=cash(-10_000)))
    desk.bar(2, "100")
    assert desk.view("drawdown_pct").value == 0
    desk.tell(Deposit(ts_event=minute(2), id="in", amount=cash(500)))
    desk.bar(3, "100")
    desk.open()
    desk.bar(4, "91")
    assert (desk.view("drawdown_pct").value, desk.state) == (D(18), TradingState.RUNNING)
    desk.bar(5, "90")
    assert desk.state is TradingState.HALTED


def test_a_deposit_arms_nothing() -> None:
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    desk.bar(2, "50")
    desk.tell(Deposit(ts_event=minute(2), id="in", amount=cash(100_000)))
    desk.bar(3, "50")
    assert desk.view("drawdown_pct").tier == 1
    assert desk.state is TradingState.HALTED


def test_a_deposit_before_the_first_bar_is_the_beginning() -> None:
    stage = RiskStage(
        INSTRUMENTS, cash(0), SizeRule(SizeKind.QTY, D(1)), Limits(), breakers={"drawdown_pct": tiers(20)}
    )
    stage.handle(Deposit(ts_event=minute(1), id="first", amount=cash(700)))
    stage.handle(bars_closed(bar(1)))
    assert stage.save().breakers["drawdown_pct"].memory == EquityMemory(cash(700), cash(700))
    assert stage.trading_state is TradingState.RUNNING


def test_an_account_that_is_worth_nothing_yet_trips_nothing() -> None:
    stage = RiskStage(
        INSTRUMENTS, cash(0), SizeRule(SizeKind.QTY, D(1)), Limits(), breakers={"drawdown_pct": tiers(20)}
    )
    stage.handle(bars_closed(bar(1)))
    stage.handle(bars_closed(bar(2)))
    assert stage.trading_state is TradingState.RUNNING


def test_equity_is_looked_at_when_all_that_is_held_has_its_price() -> None:
    """A hedge loses nothing, though the price of one half comes before that of the other."""
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    short = signal("cross-ETH-9", symbol="ETH")
    desk.tell(fill("h1", OrderSide.SELL, "50", "100", symbol="ETH", signal_id=short.id))
    desk.bar(2, "50")
    desk.bar(2, "50", "ETH")
    assert desk.changes() == []
    assert desk.view("drawdown_pct").value == 0
    desk.bar(3, "50")
    desk.bar(3, "90", "ETH")
    assert desk.changes() == [("drawdown_pct", 1, Act.HALT)]


def test_what_has_no_bar_at_a_time_is_waited_for_no_longer_than_to_the_next() -> None:
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    desk.open("ETH")
    desk.bar(2, "50")
    assert desk.changes() == []
    desk.bar(3, "50")
    assert desk.changes() == [("drawdown_pct", 1, Act.HALT)]
    assert desk.view("drawdown_pct").since == minute(2)


# Daily loss -------------------------------------------------------------------------------------------


def test_a_daily_loss_counts_from_midnight_and_is_armed_by_the_next() -> None:
    last = DAY // minute(1)
    desk = Desk({"daily_loss_pct": tiers(2, 4, 6)}, size="50")
    desk.open()
    desk.bar(last, "97")
    assert desk.view("daily_loss_pct").value == D("1.5")
    desk.bar(last + 1, "94")
    assert desk.view("daily_loss_pct").value == round(D(150) / D("98.5"), 8)
    desk.bar(last + 2, "92")
    assert desk.view("daily_loss_pct").act is Act.REDUCE_SIZE
    desk.bar(last + 3, "88")
    assert desk.state is TradingState.REDUCE_ONLY
    assert desk.view("daily_loss_pct").way_back == "when the UTC day is over or tradebot resume --reason TEXT"
    desk.bar(2 * last, "88")
    assert desk.state is TradingState.REDUCE_ONLY
    desk.bar(2 * last + 1, "88")
    assert desk.state is TradingState.RUNNING
    assert [one.reason for one in desk.heard if isinstance(one, BreakerChanged) and not one.tier] == ["a new UTC day"]
    desk.bar(2 * last + 2, "76")
    assert desk.state is TradingState.HALTED


def test_a_day_may_begin_with_a_loss() -> None:
    last = DAY // minute(1)
    desk = Desk({"daily_loss_pct": tiers(2, 50, 60)}, size="50")
    desk.open()
    desk.bar(last, "95")
    desk.bar(last + 1, "90")
    assert [change[1] for change in desk.changes()] == [1, 0, 1]


def test_a_halt_outlasts_its_day() -> None:
    last = DAY // minute(1)
    desk = Desk({"daily_loss_pct": tiers(2)}, size="50")
    entry = desk.open()
    desk.bar(2, "90")
    desk.close(entry, "90")
    desk.bar(last + 5, "90")
    desk.bar(3 * last, "90")
    assert desk.view("daily_loss_pct").tier == 1
    assert desk.state is TradingState.HALTED
    assert desk.resume().error == ""
    desk.bar(3 * last + 1, "90")
    assert desk.view("daily_loss_pct").value == 0
    assert isinstance(desk.ask(), Approved)


@pytest.mark.parametrize("day", [1, 2])
def test_a_loss_of_the_last_bar_of_a_day_is_of_that_day(day: int) -> None:
    last = day * (DAY // minute(1))
    desk = Desk({"daily_loss_pct": tiers(2)}, size="50")
    desk.open()
    desk.bar(last - 1, "97")
    desk.bar(last, "95")
    assert desk.view("daily_loss_pct").value == D("2.5")


def test_a_loss_that_touches_the_number_is_one() -> None:
    desk = Desk({"daily_loss_pct": tiers(2)}, size="50")
    desk.open()
    desk.bar(2, "96.01")
    assert desk.state is TradingState.RUNNING
    desk.bar(3, "96")
    assert desk.state is TradingState.HALTED


def test_equity_below_nothing_is_a_fall_of_more_than_all() -> None:
    desk = Desk({"drawdown_pct": tiers(100)}, size="200")
    desk.open()
    desk.bar(2, "50.1")
    assert (desk.state, desk.view("drawdown_pct").value) == (TradingState.RUNNING, D("99.8"))
    desk.bar(3, "40")
    assert (desk.state, desk.view("drawdown_pct").value) == (TradingState.HALTED, D(120))
    desk.tell(Deposit(ts_event=minute(3), id="in", amount=cash(1_000)))
    assert desk.view("drawdown_pct").value == 0


# Losses, trades, cooldown -----------------------------------------------------------------------------


def test_losses_in_a_row_trip_and_a_winner_begins_anew() -> None:
    desk = Desk({"max_consecutive_losses": tiers(2, 3, 4)})
    for at in ("99", "101", "99", "100", "99"):
        desk.close(desk.open(), at)
    assert desk.changes() == [("max_consecutive_losses", 1, Act.REDUCE_SIZE)]
    desk.close(desk.open(), "101")
    assert desk.changes()[1:] == [("max_consecutive_losses", 0, None)]
    for _ in range(3):
        desk.close(desk.open(), "99")
    assert desk.state is TradingState.REDUCE_ONLY
    assert desk.view("max_consecutive_losses").value == 3


def test_the_last_loss_closes_what_else_is_open() -> None:
    desk = Desk({"max_consecutive_losses": tiers(2)})
    desk.open("ETH")
    desk.close(desk.open(), "99")
    said = desk.close(desk.open(), "99")
    assert [one.signal.symbol for one in said if isinstance(one, Approved)] == ["ETH"]
    assert desk.state is TradingState.HALTED
    # A winner among what is closed arms nothing.
    desk.close(signal(symbol="ETH"), "150")
    assert desk.view("max_consecutive_losses").tier == 1
    assert desk.resume().error == ""
    assert desk.view("max_consecutive_losses").value == 0


def test_a_trip_that_ends_at_0_neither_counts_nor_ends_a_row() -> None:
    desk = Desk({"max_consecutive_losses": tiers(2)})
    for at in ("99", "100", "99"):
        desk.close(desk.open(), at)
    assert desk.changes() == [("max_consecutive_losses", 1, Act.HALT)]


def test_losses_of_other_hands_are_not_ours() -> None:
    desk = Desk({"max_consecutive_losses": tiers(1), "loss_cooldown_min": tiers(1)})
    desk.tell(replace(fill("a", OrderSide.BUY, "1", "100"), strategy="manual"))
    desk.tell(replace(fill("b", OrderSide.SELL, "1", "90", role=OrderRole.EXIT), strategy="manual"))
    assert desk.changes() == []
    assert desk.view("loss_cooldown_min").tier is None


def test_no_more_positions_are_opened_in_a_day_than_may_be() -> None:
    desk = Desk({"max_trades_per_day": tiers(2)})
    desk.close(desk.open(), "101")
    entry = desk.open()
    assert desk.view("max_trades_per_day").value == 2
    assert desk.changes() == []
    taken = desk.ask()
    assert isinstance(taken, Refused)
    assert taken.gate == "already_open"
    assert desk.changes() == []
    refused = desk.ask("ETH")
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit, refused.value) == ("max_trades_per_day", D(2), D(2))
    assert desk.changes() == [("max_trades_per_day", 1, Act.HALT)]
    assert desk.stage.is_flattening
    desk.restart()
    assert "max_trades_per_day is tripped: 2 of 2" in desk.resume(None).error
    desk.close(entry, "101")
    assert desk.resume().error == ""
    assert isinstance(desk.ask("ETH"), Approved)


def test_entries_at_work_count_but_the_rest_of_one_does_not_twice() -> None:
    desk = Desk({"max_trades_per_day": tiers(2, 9)})
    first = desk.ask()
    assert isinstance(first, Approved)
    desk.fill(first.signal, OrderRole.ENTRY, "4", "100")
    second = desk.ask("ETH")
    assert isinstance(second, Approved)
    desk.close(first.signal, "101")
    desk.tell(replace(done(OrderState.CANCELED), signal_id=first.signal.id))
    refused = desk.ask()
    assert isinstance(refused, Refused)
    assert refused.gate == "max_trades_per_day"
    assert desk.state is TradingState.REDUCE_ONLY


def test_what_is_at_work_is_counted_when_it_is_asked_and_not_kept() -> None:
    desk = Desk({"max_trades_per_day": tiers(2, 3, 9)})
    first = desk.ask()
    second = desk.ask("ETH")
    assert desk.view("max_trades_per_day").value == 0
    for one in (first, second):
        desk.tell(replace(done(OrderState.CANCELED), signal_id=one.signal.id))
    assert isinstance(desk.ask(), Approved)
    assert desk.view("max_trades_per_day").value == 0
    assert desk.changes() == []


def test_a_day_of_trades_is_over_at_midnight() -> None:
    last = DAY // minute(1)
    desk = Desk({"max_trades_per_day": tiers(1, 9)})
    desk.close(desk.open(), "101")
    assert isinstance(desk.ask("ETH"), Refused)
    desk.bar(last - 1, "100")
    assert desk.state is TradingState.REDUCE_ONLY
    desk.bar(last, "100")
    assert desk.state is TradingState.RUNNING
    desk.open(ts=Nanos(DAY))
    assert desk.view("max_trades_per_day").value == 1
    refused = desk.ask("ETH", ts=Nanos(2 * DAY - 1))
    assert isinstance(refused, Refused)


def test_a_fill_of_the_next_day_begins_it() -> None:
    desk = Desk({"max_trades_per_day": tiers(2)})
    desk.close(desk.open(), "101")
    desk.open(ts=Nanos(DAY))
    assert desk.view("max_trades_per_day").value == 1


def test_a_symbol_is_left_alone_after_a_loss_longer_after_the_next() -> None:
    desk = Desk({"loss_cooldown_min": tiers(2, 5)})
    desk.close(desk.open(), "99")
    view = desk.view("loss_cooldown_min")
    assert (view.tier, view.act, view.value, view.threshold, view.since) == (1, None, D(2), D(2), minute(1))
    assert view.way_back == "BTC: when the time is over"
    refused = desk.ask()
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit, refused.value) == ("loss_cooldown_min", D(2), D(2))
    assert isinstance(desk.ask("ETH"), Approved)
    assert isinstance(desk.ask(ts=Nanos(minute(3) - 1)), Refused)
    desk.bar(4, "100")
    assert desk.view("loss_cooldown_min").state == "ok"
    desk.close(desk.open(), "99")
    assert desk.view("loss_cooldown_min").threshold == 5
    desk.restart()
    assert isinstance(desk.ask(ts=Nanos(minute(9) - 1)), Refused)
    desk.bar(10, "100")
    desk.close(desk.open(), "101")
    desk.close(desk.open(), "99")
    assert desk.view("loss_cooldown_min").threshold == 2
    assert desk.changes() == []
    assert desk.state is TradingState.RUNNING
    # It needs no word to end, and none ends it.
    assert desk.resume(None).error == ""
    assert desk.view("loss_cooldown_min").tier == 1


def test_the_symbol_that_is_left_alone_for_longest_is_shown_until_its_minute() -> None:
    desk = Desk({"loss_cooldown_min": tiers(2, 5)})
    desk.close(desk.open("ETH"), "99")
    desk.close(desk.open(), "99", Nanos(minute(1) + 1))
    assert desk.view("loss_cooldown_min").way_back.startswith("BTC: ")
    desk.restart()
    desk.bar(3, "100")
    assert (desk.view("loss_cooldown_min").tier, isinstance(desk.ask("ETH"), Approved)) == (1, True)
    desk.bar(4, "100")
    assert desk.view("loss_cooldown_min").tier is None
    desk.close(desk.open(), "101")
    desk.close(desk.open(), "99")
    assert desk.view("loss_cooldown_min").threshold == 2


def test_a_winner_ends_a_cooldown_at_once_however_small() -> None:
    desk = Desk({"loss_cooldown_min": tiers(2, 5)})
    desk.close(desk.open(), "99")
    entry = signal("cross-BTC-77")
    desk.fill(entry, OrderRole.ENTRY, "10", "100")
    desk.close(entry, "100.05")
    assert desk.view("loss_cooldown_min").tier is None
    assert isinstance(desk.ask(), Approved)


def test_a_cooldown_is_over_at_its_minute() -> None:
    desk = Desk({"loss_cooldown_min": tiers(2)})
    desk.close(desk.open(), "99")
    desk.bar(3, "100")
    assert desk.view("loss_cooldown_min").tier is None
    assert isinstance(desk.ask(), Approved)


def test_a_round_trip_that_brings_nothing_changes_no_cooldown() -> None:
    desk = Desk({"loss_cooldown_min": tiers(2, 5)})
    desk.close(desk.open(), "99")
    desk.bar(4, "100")
    desk.close(desk.open(), "100")
    desk.close(desk.open(), "99")
    assert desk.view("loss_cooldown_min").threshold == 5


# Storms -----------------------------------------------------------------------------------------------


def test_refused_orders_within_a_minute_trip() -> None:
    desk = Desk({"max_rejects_per_min": tiers(3)})
    for seconds in (0, 30, 60, 89):
        desk.tell(done(ts=Nanos(minute(2) + seconds * 10**9)))
        desk.tell(done(OrderState.CANCELED, Nanos(minute(2) + seconds * 10**9)))
        desk.tell(done(OrderState.FAILED, Nanos(minute(2) + seconds * 10**9)))
        # One that never came to the venue was not refused by it.
        desk.tell(replace(done(ts=Nanos(minute(2) + seconds * 10**9)), refusal=RefusalClass.UNSENT))
    assert desk.view("max_rejects_per_min").value == 3
    assert desk.state is TradingState.HALTED
    assert desk.changes() == [("max_rejects_per_min", 1, Act.HALT)]
    desk.tell(done(ts=Nanos(minute(2) + 89 * 10**9)))
    assert desk.view("max_rejects_per_min").value == 3
    desk.restart()
    assert desk.view("max_rejects_per_min").value == 3
    assert desk.resume().error == ""
    assert desk.view("max_rejects_per_min").value == 0


def test_a_refusal_is_of_the_minute_before_and_no_older() -> None:
    desk = Desk({"max_rejects_per_min": tiers(2)})
    desk.tell(done())
    desk.tell(done(ts=minute(3)))
    assert desk.state is TradingState.RUNNING
    desk.restart()
    desk.tell(done(ts=Nanos(minute(4) - 1)))
    assert desk.state is TradingState.HALTED


def test_a_tier_of_refusals_comes_back_by_an_operator_alone() -> None:
    desk = Desk({"max_rejects_per_min": tiers(1, 9)})
    desk.tell(done())
    assert desk.view("max_rejects_per_min").way_back == "tradebot resume --reason TEXT"


def test_five_bad_fills_trip_and_good_ones_arm_again() -> None:
    desk = Desk({"max_slippage_bps": tiers(20, 40, 60)})
    for _ in range(4):
        desk.close(desk.open(at="100.5"), "101")
    # A stop is measured against its own price, and has none here.
    assert desk.view("max_slippage_bps").value == 0
    desk.close(desk.open(at="100.25"), "101")
    assert desk.view("max_slippage_bps").value == 45
    assert desk.state is TradingState.REDUCE_ONLY
    for _ in range(3):
        desk.fill(signal("x"), OrderRole.EXIT, "0.001", "100")
    assert desk.view("max_slippage_bps").value == 0
    assert desk.state is TradingState.RUNNING
    assert desk.changes()[-1] == ("max_slippage_bps", 0, None)


@pytest.mark.parametrize(
    ("arguments", "at", "slip"),
    [
        ({}, "101", "100"),
        ({"entry_type": OrderType.STOP_MARKET, "entry_price": "105"}, "105", "0"),
        ({"entry_type": OrderType.STOP_MARKET, "entry_price": "105"}, "106.05", "100"),
        ({}, "99", "-100"),
    ],
)
def test_an_entry_is_measured_against_its_own_price_or_the_last(
    arguments: dict[str, object], at: str, slip: str
) -> None:
    desk = Desk({"max_slippage_bps": tiers(5000)})
    answer = desk.ask(**arguments)
    assert isinstance(answer, Approved)
    desk.fill(answer.signal, OrderRole.ENTRY, "1", at)
    desk.fill(answer.signal, OrderRole.ENTRY, "1", at, liquidity=Liquidity.MAKER)
    memory = desk.stage.save().breakers["max_slippage_bps"].memory
    assert memory == StormMemory(measures=(round(D(slip), 8),))


def test_a_stop_is_measured_against_its_price_and_a_target_is_not() -> None:
    desk = Desk({"max_slippage_bps": tiers(5000)})
    answer = desk.ask(stop="80")
    assert isinstance(answer, Approved)
    desk.fill(answer.signal, OrderRole.ENTRY, "10", "100")
    desk.fill(answer.signal, OrderRole.STOP, "4", "76")
    desk.fill(answer.signal, OrderRole.TARGET, "6", "120")
    memory = desk.stage.save().breakers["max_slippage_bps"].memory
    assert memory == StormMemory(measures=(D(0), D(500)))


def test_a_storm_of_slippage_halts_and_is_measured_no_more() -> None:
    desk = Desk({"max_slippage_bps": tiers(20)})
    for _ in range(6):
        desk.fill(signal("x"), OrderRole.EXIT, "0.001", "99")
    assert desk.state is TradingState.HALTED
    assert desk.view("max_slippage_bps").value == 100
    desk.restart()
    assert desk.view("max_slippage_bps").value == 100


# What is heard of market and venue ---------------------------------------------------------------------


def residual(amount: str) -> ResidualSeen:
    return ResidualSeen(ts_event=minute(3), amount=cash(amount))


def test_money_that_nobody_can_explain_ends_entries_until_it_is_explained() -> None:
    desk = Desk({"max_residual": tiers(1, 100)})
    desk.tell(residual("0.99"))
    assert isinstance(desk.ask(), Approved)
    assert desk.stage.is_news(residual("-1"))
    assert not desk.stage.is_news(residual("0.99"))
    desk.tell(residual("-1"))
    assert (desk.state, desk.view("max_residual").value) == (TradingState.REDUCE_ONLY, 1)
    refused = desk.ask("ETH")
    assert isinstance(refused, Refused)
    assert refused.gate == "max_residual"
    assert desk.resume().error == (
        "max_residual: venue and book still differ by 1; mend: compare tradebot balance with the venue"
    )
    desk.restart()
    assert not desk.stage.is_news(residual("-1"))
    desk.tell(residual("0.5"))
    assert (desk.state, desk.view("max_residual").tier) == (TradingState.RUNNING, None)
    assert [one.reason for one in desk.heard if isinstance(one, BreakerChanged)] == ["", "venue and book agree"]


def test_much_of_it_halts_and_agreement_alone_brings_nothing_back() -> None:
    desk = Desk({"max_residual": tiers(1, 100)})
    desk.tell(residual("100"))
    assert desk.state is TradingState.HALTED
    desk.tell(residual("1"))
    assert desk.view("max_residual").tier == 2
    desk.tell(residual("100"))
    assert "still differ by 100" in desk.resume().error
    desk.tell(residual("0"))
    assert (desk.state, desk.view("max_residual").tier) == (TradingState.HALTED, 2)
    assert desk.resume().error == ""
    assert desk.view("max_residual").tier is None


def test_a_difference_at_the_number_is_one() -> None:
    desk = Desk({"max_residual": tiers(1, 100)})
    desk.tell(residual("2"))
    desk.tell(residual("1"))
    assert desk.state is TradingState.REDUCE_ONLY


def freeze(symbol: str, reason: str, verb: Verb = Verb.FREEZE) -> Message:
    return command(verb, {"symbol": symbol, "reason": reason})


@pytest.mark.parametrize(
    ("name", "reason"), [("max_silent_symbols", "stale"), ("max_unanswered_symbols", "unknown order")]
)
def test_silence_about_many_symbols_lets_nothing_add_and_ends_by_itself(name: str, reason: str) -> None:
    desk = Desk({name: tiers(2)})
    for other in ("doubt", "mismatch", "history"):
        desk.tell(freeze("BTC", other))
    desk.tell(freeze("BTC", reason))
    assert desk.view(name).value == 1
    said = desk.tell(freeze("ETH", reason))
    assert [type(one) for one in said] == [BreakerChanged, Alert, StateChanged, CommandDone]
    assert (desk.state, desk.view(name).act) == (TradingState.REDUCE_ONLY, Act.REDUCE_ONLY)
    assert not desk.stage.is_flattening
    desk.restart()
    desk.tell(freeze("BTC", reason, Verb.THAW))
    assert (desk.state, desk.view(name).tier) == (TradingState.RUNNING, None)


def test_silence_and_a_residual_are_no_drawdown() -> None:
    desk = Desk({"drawdown_pct": tiers(1)})
    desk.tell(freeze("BTC", "stale"))
    desk.tell(residual("9000"))
    assert desk.changes() == []


def test_silence_halves_entries_first_where_there_are_two_tiers() -> None:
    desk = Desk({"max_silent_symbols": tiers(1, 2)})
    desk.tell(freeze("ETH", "stale"))
    assert desk.view("max_silent_symbols").act is Act.REDUCE_SIZE
    answer = desk.ask()
    assert isinstance(answer, Approved)
    assert answer.qty == 5
    # A word brings it back, and it is counted anew with the next that falls silent.
    assert desk.resume().error == ""
    assert desk.view("max_silent_symbols").tier is None
    desk.tell(freeze("ETH", "stale", Verb.THAW))
    assert len(desk.changes()) == 2
    desk.tell(freeze("ETH", "stale"))
    desk.tell(freeze("ETH", "doubt"))
    assert len(desk.changes()) == 3
    desk.tell(freeze("BTC", "stale"))
    assert desk.view("max_silent_symbols").act is Act.REDUCE_ONLY


# The way back -----------------------------------------------------------------------------------------


def tripped(*numbers: str | int) -> Desk:
    desk = Desk({"drawdown_pct": tiers(*(numbers or (20,)))}, size="50")
    desk.entry = desk.open()  # type: ignore[attr-defined]
    desk.bar(2, "60")
    return desk


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_resume_without_a_reason_is_refused(reason: str | None) -> None:
    desk = tripped()
    desk.close(desk.entry, "60")  # type: ignore[attr-defined]
    answer = desk.resume(reason)
    assert answer.error == (
        "drawdown_pct is tripped: 20 of 20; mend: say why it may go on: tradebot resume --reason TEXT"
    )
    assert desk.state is TradingState.HALTED
    assert desk.view("drawdown_pct").tier == 1


def test_resume_is_refused_until_all_is_closed() -> None:
    desk = tripped()
    answer = desk.resume()
    assert answer.error == (
        "drawdown_pct closes every position, and is not done with BTC; mend: wait until tradebot positions shows none"
    )
    assert desk.stage.is_flattening
    desk.close(desk.entry, "60")  # type: ignore[attr-defined]
    answer = desk.resume("bad fee tier")
    assert (answer.error, answer.detail) == ("", "running")
    changed = [one for one in desk.heard if isinstance(one, BreakerChanged)][-1]
    assert (changed.tier, changed.act, changed.reason) == (0, None, "operator: bad fee tier")
    assert (changed.value, changed.threshold) == (D(20), D(20))
    assert desk.view("drawdown_pct").value == 0
    desk.bar(3, "60")
    assert isinstance(desk.ask(), Approved)
    assert desk.state is TradingState.RUNNING


def test_what_the_venue_settles_by_itself_is_not_waited_for() -> None:
    desk = tripped()
    desk.tell(InstrumentSeen(ts_event=minute(2), instrument=instrument("BTC"), listing=Listing.DELISTED))
    assert desk.resume().error == ""


def test_an_entry_that_is_still_at_work_is_waited_for() -> None:
    desk = Desk({"max_rejects_per_min": tiers(1)})
    desk.ask("ETH")
    desk.tell(done())
    assert "not done with ETH" in desk.resume().error


def test_a_lower_tier_comes_back_with_a_reason_though_positions_are_open() -> None:
    desk = tripped(10, 50)
    assert desk.state is TradingState.REDUCE_ONLY
    assert desk.resume(None).error != ""
    assert desk.resume().error == ""
    assert desk.state is TradingState.RUNNING
    desk.bar(3, "60")
    assert desk.view("drawdown_pct").tier is None
    assert isinstance(desk.ask("ETH"), Approved)


@pytest.mark.parametrize(
    ("verb", "state"), [(Verb.PAUSE, TradingState.PAUSED), (Verb.REDUCE_ONLY, TradingState.REDUCE_ONLY)]
)
def test_what_an_operator_asked_for_is_not_taken_back(verb: Verb, state: TradingState) -> None:
    desk = tripped(10, 50)
    desk.tell(command(verb))
    desk.bar(3, "101")
    assert desk.view("drawdown_pct").tier is None
    assert desk.state is state


def test_a_breaker_leaves_a_stricter_state_alone() -> None:
    desk = Desk({"drawdown_pct": tiers(10, 50)}, size="50")
    desk.open()
    desk.tell(command(Verb.PAUSE))
    desk.bar(2, "60")
    assert (desk.state, desk.view("drawdown_pct").tier) == (TradingState.PAUSED, 1)
    desk.bar(3, "101")
    assert (desk.state, desk.view("drawdown_pct").tier) == (TradingState.PAUSED, None)


def test_one_that_is_armed_again_waits_for_the_other() -> None:
    desk = Desk({"drawdown_pct": tiers(10, 90), "daily_loss_pct": tiers(5, 90)}, size="50")
    desk.open()
    desk.bar(2, "60")
    desk.bar(DAY // minute(1) + 1, "60")
    assert desk.view("daily_loss_pct").tier is None
    assert desk.state is TradingState.REDUCE_ONLY
    desk.bar(DAY // minute(1) + 2, "101")
    assert desk.state is TradingState.RUNNING


def test_what_an_operator_halted_is_closed_all_the_same() -> None:
    desk = Desk({"drawdown_pct": tiers(20)}, size="50")
    desk.open()
    desk.tell(command(Verb.HALT))
    said = desk.bar(2, "60")
    assert [type(one) for one in said[1:]] == [BreakerChanged, Alert, Approved]


def test_each_part_survives_a_restart() -> None:
    desk = tripped(10, 50)
    desk.restart()
    assert desk.view("drawdown_pct").tier == 1
    desk.bar(3, "101")
    assert desk.state is TradingState.RUNNING


def test_a_book_of_an_earlier_version_has_armed_breakers() -> None:
    desk = tripped()
    old = replace(desk.stage.save(), breakers={}, trading_state=TradingState.RUNNING, is_flattening=False)
    fresh = Desk({"drawdown_pct": tiers(20)}, size="50")
    fresh.stage = fresh._stage()
    fresh.stage.load(old)
    fresh.bar(3, "60")
    assert (fresh.view("drawdown_pct").tier, fresh.state) == (None, TradingState.RUNNING)


def test_with_fewer_tiers_than_before_the_last_is_reached() -> None:
    desk = tripped(5, 20, 50)
    state = desk.stage.save()
    desk.breakers = {"drawdown_pct": tiers(20)}
    desk.stage = desk._stage()
    desk.stage.load(state)
    assert desk.view("drawdown_pct").act is Act.HALT
    assert isinstance(desk.ask("ETH"), Refused)


def test_exits_pass_every_breaker_but_a_halt() -> None:
    desk = tripped(10, 50)
    answer = desk.ask(action=Action.EXIT)
    assert isinstance(answer, Approved)


def test_numbers_are_told_short() -> None:
    desk = Desk({"drawdown_pct": tiers(from_float(12.5))}, size="50")
    desk.open()
    desk.bar(2, "66.6666")
    alert = next(one for one in desk.heard if isinstance(one, Alert))
    assert alert.what.startswith("drawdown_pct is 16.67, tier 1 is 12.5: ")
    assert price("1") == 1


def test_a_fill_that_opens_nothing_is_no_trade() -> None:
    desk = Desk({"max_trades_per_day": tiers(9)})
    answer = desk.ask()
    assert isinstance(answer, Approved)
    desk.fill(answer.signal, OrderRole.ENTRY, "4", "100")
    desk.fill(answer.signal, OrderRole.ENTRY, "6", "100")
    desk.fill(answer.signal, OrderRole.STOP, "4", "100")
    assert desk.view("max_trades_per_day").value == 1
    assert isinstance(desk.heard[-1], Message)
    assert not isinstance(desk.heard[-1], Fill)
