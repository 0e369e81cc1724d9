"""Which signals pass, at what size, and what the gate says that stopped the others."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.builders import bar, bars_closed, cash, command, fill, instrument, minute, price, qty, replace, signal
from tradebot.model.command import Verb
from tradebot.model.instrument import Instrument
from tradebot.model.order import ActionsLeft, Fill, OrderDone, OrderRole, OrderSide, OrderState, OrderType, PositionSide
from tradebot.model.signal import Action, Approved, Refused, Rung, Signal
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage

ONE_LOT_OF = SizeRule(SizeKind.QTY, Decimal(1))
RISK_1_PCT = SizeRule(SizeKind.RISK_FRACTION, Decimal("0.01"))
NO_LIMITS = Limits()


def stage(
    size: SizeRule = ONE_LOT_OF,
    limits: Limits = NO_LIMITS,
    *,
    equity: str = "10000",
    require_stop: bool = False,
    instruments: Mapping[str, Instrument] | None = None,
) -> RiskStage:
    known = {"BTC": instrument(), "ETH": instrument("ETH")} if instruments is None else instruments
    risk = RiskStage(known, cash(equity), size, limits, require_stop)
    risk.handle(bars_closed(bar()))
    return risk


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


def size_of(risk: RiskStage, wish: Signal) -> Decimal:
    decision = decide(risk, wish)
    assert isinstance(decision, Approved)
    return decision.qty


def gate_of(risk: RiskStage, wish: Signal) -> str:
    decision = decide(risk, wish)
    return decision.gate if isinstance(decision, Refused) else "passed"


def leave(id_: str = "cross-BTC-9", *, side: PositionSide = PositionSide.LONG, fraction: str = "1") -> Signal:
    return signal(id_, Action.EXIT, side, fraction=fraction)


def done(
    signal_id: str = "cross-BTC-1", role: OrderRole = OrderRole.ENTRY, state: OrderState = OrderState.CANCELED
) -> OrderDone:
    return OrderDone(
        ts_event=minute(1),
        client_order_id=f"{signal_id}-{role}",
        signal_id=signal_id,
        strategy="cross",
        symbol="BTC",
        role=role,
        state=state,
        filled_qty=qty(0),
        reason="",
    )


def holding(size: str = "1", limits: Limits = NO_LIMITS) -> RiskStage:
    """A stage with a long position of ``cross`` in BTC."""
    risk = stage(limits=limits)
    decide(risk, signal())
    risk.handle(fill(size=size))
    return risk


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (SizeKind.QTY, "0.0129", "0.012"),
        (SizeKind.NOTIONAL, "1001", "10.01"),
        (SizeKind.EQUITY_FRACTION, "0.95", "95"),
        (SizeKind.RISK_FRACTION, "0.01", "33.333"),
    ],
)
def test_the_size_follows_from_its_rule_and_is_floored_to_the_lot(kind: SizeKind, value: str, expected: str) -> None:
    fine = {"BTC": instrument(min_notional="1")}
    risk = stage(SizeRule(kind, Decimal(value)), instruments=fine)
    assert size_of(risk, signal(stop="97")) == Decimal(expected)


def test_risk_is_measured_at_equity_with_open_losses() -> None:
    risk = stage(RISK_1_PCT)
    risk.handle(fill(symbol="ETH", size="10", at="200"))
    risk.handle(bars_closed(bar(symbol="ETH", close="100")))
    assert size_of(risk, signal(stop="90")) == 9


def test_a_symbol_without_an_instrument_is_sized_on_the_finest_grid() -> None:
    risk = stage(SizeRule(SizeKind.NOTIONAL, Decimal(1)), instruments={})
    assert size_of(risk, signal(close="3")) == Decimal("0.33333333")


@pytest.mark.parametrize(
    ("side", "entry_type", "entry_price", "stop", "expected"),
    [
        (PositionSide.LONG, OrderType.STOP_MARKET, "110", "90", 5),
        (PositionSide.LONG, OrderType.LIMIT, "95", "90", 10),
        (PositionSide.SHORT, OrderType.LIMIT, "105", "110", 10),
    ],
)
def test_a_resting_entry_risks_the_wider_of_both_distances(
    side: PositionSide, entry_type: OrderType, entry_price: str, stop: str, expected: int
) -> None:
    wish = signal(side=side, entry_type=entry_type, entry_price=entry_price, stop=stop)
    assert size_of(stage(RISK_1_PCT), wish) == expected


def test_a_resting_entry_is_valued_at_the_higher_price() -> None:
    risk = stage(SizeRule(SizeKind.NOTIONAL, Decimal(1100)))
    assert size_of(risk, signal(entry_type=OrderType.STOP_MARKET, entry_price="110")) == 10


@pytest.mark.parametrize(
    ("limits", "gate", "limit", "value", "size"),
    [
        (Limits(max_order_notional=cash(500)), "max_order_notional", 500, 1000, 5),
        (Limits(max_position_notional=cash(400)), "max_position_notional", 400, 1000, 4),
        (Limits(max_exposure_notional=cash(2300)), "max_exposure_notional", 2300, 3000, 3),
        (Limits(max_leverage=Decimal("0.21")), "max_leverage", Decimal("0.21"), Decimal("0.3"), 1),
    ],
)
def test_each_limit_cuts_and_says_what_was_asked(
    limits: Limits, gate: str, limit: Decimal, value: Decimal, size: int
) -> None:
    risk = stage(SizeRule(SizeKind.QTY, Decimal(10)), limits)
    risk.handle(fill(symbol="ETH", size="20", at="100"))
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert decision.qty == size
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit, cut.value) == (gate, limit, value)


def test_several_limits_cut_one_after_the_other() -> None:
    limits = Limits(max_order_notional=cash(500), max_position_notional=cash(400))
    decision = decide(stage(SizeRule(SizeKind.QTY, Decimal(10)), limits), signal())
    assert isinstance(decision, Approved)
    assert [(cut.gate, cut.value) for cut in decision.cuts] == [
        ("max_order_notional", 1000),
        ("max_position_notional", 500),
    ]


def test_what_a_limit_cuts_to_nothing_is_refused_by_that_limit() -> None:
    risk = stage(limits=Limits(max_exposure_notional=cash(1000)))
    risk.handle(fill(symbol="ETH", size="20", at="100"))
    decision = decide(risk, signal())
    assert isinstance(decision, Refused)
    assert (decision.gate, decision.limit, decision.value) == ("max_exposure_notional", 1000, 2100)


def test_entries_at_work_count_as_exposure_until_they_fill_or_end() -> None:
    limits = Limits(max_exposure_notional=cash(250))
    risk = stage(SizeRule(SizeKind.QTY, Decimal(2)), limits)
    assert size_of(risk, signal()) == 2
    assert size_of(risk, signal("cross-ETH-1", symbol="ETH")) == Decimal("0.5")
    risk.handle(fill(size="1.5"))
    assert risk.save().entries["cross-BTC-1"].qty == Decimal("0.5")
    risk.handle(done())
    risk.handle(done("cross-ETH-1"))
    assert not risk.save().entries
    assert not risk.is_flat


@pytest.mark.parametrize(
    ("size", "wish", "gate"),
    [
        (RISK_1_PCT, signal(), "no_stop"),
        (ONE_LOT_OF, signal(stop="100"), "bad_stop"),
        (ONE_LOT_OF, signal(side=PositionSide.SHORT, stop="99"), "bad_stop"),
        (ONE_LOT_OF, signal(entry_type=OrderType.LIMIT, entry_price="90", stop="95"), "bad_stop"),
        (SizeRule(SizeKind.QTY, Decimal("0.0009")), signal(), "below_minimum"),
        (SizeRule(SizeKind.NOTIONAL, Decimal("9.9")), signal(), "below_minimum"),
        (ONE_LOT_OF, leave(), "no_position"),
    ],
)
def test_the_gates_of_a_flat_book(size: SizeRule, wish: Signal, gate: str) -> None:
    risk = stage(size)
    assert gate_of(risk, wish) == gate
    assert (risk.save().signals, risk.save().refused) == (1, 1)


@pytest.mark.parametrize(("size", "limit", "value"), [("0.0009", "0.001", "0.0009"), ("0.01", "10", "1")])
def test_too_small_says_which_minimum(size: str, limit: str, value: str) -> None:
    decision = decide(stage(SizeRule(SizeKind.QTY, Decimal(size))), signal())
    assert isinstance(decision, Refused)
    assert (decision.limit, decision.value) == (Decimal(limit), Decimal(value))


def test_a_stop_may_be_required_whatever_the_size() -> None:
    assert gate_of(stage(require_stop=True), signal()) == "no_stop"
    assert gate_of(stage(require_stop=True), signal(stop="99")) == "passed"


def test_without_equity_there_is_nothing_to_trade_with() -> None:
    assert gate_of(stage(equity="0"), signal()) == "no_equity"


@pytest.mark.parametrize(
    ("verb", "gate", "exit_gate"),
    [
        (Verb.PAUSE, "paused", "passed"),
        (Verb.REDUCE_ONLY, "reduce_only", "passed"),
        (Verb.HALT, "halted", "halted"),
    ],
)
def test_the_trading_state_stops_entries_and_a_halt_exits_too(verb: Verb, gate: str, exit_gate: str) -> None:
    risk = holding()
    risk.handle(command(verb))
    assert gate_of(risk, signal("cross-ETH-1", symbol="ETH")) == gate
    assert gate_of(risk, leave()) == exit_gate


def test_a_symbol_has_one_owner_from_the_entry_on() -> None:
    risk = stage()
    decide(risk, signal())
    assert gate_of(risk, signal("break-BTC-1", strategy="break")) == "symbol_taken"
    assert gate_of(risk, signal("cross-BTC-2")) == "already_open"
    risk.handle(fill())
    assert gate_of(risk, signal("break-BTC-2", strategy="break")) == "symbol_taken"
    assert gate_of(risk, signal("cross-BTC-3")) == "already_open"
    assert gate_of(risk, signal("cross-ETH-1", symbol="ETH")) == "passed"


def test_a_reversal_passes_in_the_turn_of_its_exit() -> None:
    risk = holding(limits=Limits(max_exposure_notional=cash(100)))
    assert gate_of(risk, leave()) == "passed"
    assert size_of(risk, signal("cross-BTC-3", side=PositionSide.SHORT)) == 1


def test_a_partial_exit_does_not_make_room() -> None:
    risk = holding()
    assert gate_of(risk, leave(fraction="0.5")) == "passed"
    assert gate_of(risk, signal("cross-BTC-3")) == "already_open"


def test_one_exit_at_a_time() -> None:
    risk = holding()
    decide(risk, leave())
    assert gate_of(risk, leave("cross-BTC-10")) == "already_closing"
    risk.handle(done("cross-BTC-8", OrderRole.EXIT))
    assert gate_of(risk, leave("cross-BTC-11")) == "already_closing"
    risk.handle(done("cross-BTC-9", OrderRole.EXIT))
    assert gate_of(risk, leave("cross-BTC-12")) == "passed"


def test_the_end_of_a_stop_or_of_an_exit_without_position_frees_nothing() -> None:
    risk = stage()
    risk.handle(done(role=OrderRole.STOP))
    risk.handle(done(role=OrderRole.EXIT))
    assert gate_of(risk, leave()) == "no_position"


def test_only_the_owner_leaves_and_only_its_own_side() -> None:
    risk = holding()
    assert gate_of(risk, leave(side=PositionSide.SHORT)) == "no_position"
    assert gate_of(risk, signal("break-BTC-1", Action.EXIT, strategy="break")) == "no_position"


@pytest.mark.parametrize(
    ("held", "fraction", "expected"),
    [("1", "1", "1"), ("1", "0.3337", "0.333"), ("0.15", "0.5", "0.15"), ("1", "5", "1")],
)
def test_an_exit_takes_its_fraction_and_all_when_the_rest_were_too_small(
    held: str, fraction: str, expected: str
) -> None:
    assert size_of(holding(held), leave(fraction=fraction)) == Decimal(expected)


@pytest.mark.parametrize("fraction", ["0.01", "0", "-1"])
def test_a_part_that_is_too_small_is_refused(fraction: str) -> None:
    assert gate_of(holding(), leave(fraction=fraction)) == "below_minimum"


def test_limits_in_use_are_those_configured() -> None:
    limits = Limits(
        max_order_notional=cash(200),
        max_position_notional=cash(400),
        max_exposure_notional=cash(0),
        max_leverage=Decimal("0.1"),
    )
    risk = stage(limits=limits)
    risk.handle(fill(size="3", side=OrderSide.SELL))
    uses = {use.limit: use for use in risk.limits_view()}
    assert {name: (use.value, use.pct_used) for name, use in uses.items()} == {
        "max_order_notional": (0, 0),
        "max_position_notional": (300, 75),
        "max_exposure_notional": (300, 0),
        "max_leverage": (Decimal("0.03"), 30),
    }
    assert stage().limits_view() == ()
    assert stage(equity="0", limits=Limits(max_leverage=Decimal(1))).limits_view()[0].value == 0


def test_a_fill_of_another_role_takes_nothing_off_an_entry() -> None:
    risk = stage()
    decide(risk, signal())
    exit_fill: Fill = fill(role=OrderRole.EXIT)
    risk.handle(exit_fill)
    assert set(risk.save().entries) == {"cross-BTC-1"}


def test_limits_can_be_changed_while_trading() -> None:
    risk = stage(SizeRule(SizeKind.QTY, Decimal(10)))
    risk.set_limits(Limits(max_order_notional=cash(300)))
    assert size_of(risk, signal()) == 3
    assert risk.limits_view()[0].max == 300


def test_an_entry_takes_its_orders_of_the_actions_and_leaves_the_reserve() -> None:
    risk = stage()
    assert risk.actions_left is None
    risk.handle(ActionsLeft(ts_event=minute(1), left=508, reserve=500))
    assert gate_of(risk, signal(stop="90", target="120")) == "passed"
    assert risk.actions_left == 505
    ladder = tuple(Rung(price=price(to), fraction=Decimal("0.25")) for to in (110, 120, 130, 140))
    refused = decide(risk, replace(signal("cross-ETH-1", symbol="ETH", stop="90"), ladder=ladder))
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit, refused.value) == ("action_allowance", 500, 499)
    other = stage()
    other.load(risk.save())
    # An exit takes what it needs.
    other.handle(ActionsLeft(ts_event=minute(1), left=-3, reserve=500))
    other.handle(fill(size="1"))
    assert gate_of(other, leave()) == "passed"
    assert other.actions_left == -3
