"""Gates on how much of the market an entry is, how near its liquidation lies, and how often a strategy enters."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MINUTE, bar, bars_closed, cash, command, fill, instrument, minute, order_request, signal
from tradebot.model.command import Alert, Verb
from tradebot.model.errors import InvariantError
from tradebot.model.order import OrderFound, OrderSide, OrderType, PositionSide
from tradebot.model.signal import Approved, Refused, Signal, StrategyDisabled
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.risk.gates.base import GateConfig
from tradebot.pipeline.risk.gates.entry_rate import EntryRateGate, EntryRateState
from tradebot.pipeline.risk.gates.volume import VolumeGate, VolumeState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.store.codec import decode, encode

LONG, SHORT = PositionSide


def stage(size: str = "10", equity: str = "10000", *, lot: str = "0.001", **limits: str) -> RiskStage:
    """A book at prices of 100 where 1 trades a minute."""
    instruments = {symbol: instrument(symbol, lot=lot, max_leverage=50) for symbol in ("BTC", "ETH")}
    set_ = Limits({name: Decimal(limit) for name, limit in limits.items()})
    risk = RiskStage(instruments, cash(equity), SizeRule(SizeKind.QTY, Decimal(size)), set_)
    for symbol in instruments:
        risk.handle(bars_closed(bar(symbol=symbol)))
    return risk


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


def test_an_entry_is_at_most_a_part_of_what_traded_in_a_day() -> None:
    risk = stage(max_volume_pct="10")
    for number in range(2, 31):
        risk.handle(bars_closed(bar(number)))
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert decision.qty == 3
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit, round(cut.value, 4)) == ("max_volume_pct", 10, Decimal("33.3333"))
    (use,) = risk.limits_view()
    assert (use.value, use.scope) == (10, "BTC")
    again = stage(max_volume_pct="10")
    again.load(decode(RiskStage.STATE, encode(risk.save())))
    assert again.save() == risk.save()
    assert again.limits_view() == risk.limits_view()


def test_volume_is_of_the_shortest_bars_of_the_last_24_hours() -> None:
    risk = stage(max_volume_pct="100", size="1000")
    for hour in range(1, 30):
        hourly, last = bar(hour, timeframe=Timeframe(MINUTE * 60), volume="60"), bar(hour * 60, volume="2")
        risk.handle(bars_closed(hourly, last))
    decision = decide(risk, signal(ts_event=minute(29 * 60), entry_type=OrderType.LIMIT, entry_price="90"))
    assert isinstance(decision, Approved)
    assert decision.qty == 48


def test_where_nothing_traded_nothing_is_entered() -> None:
    risk = stage(max_volume_pct="10")
    decision = decide(risk, signal("cross-SOL-1", symbol="SOL"))
    assert isinstance(decision, Refused)
    assert (decision.gate, decision.limit, decision.value) == ("max_volume_pct", 10, 1000)
    found = order_request("old-SOL-1-entry", symbol="SOL", type_=OrderType.LIMIT, limit="100")
    risk.handle(OrderFound(ts_event=minute(1), order=found, venue_order_id="7"))
    assert [use.value for use in risk.limits_view()] == [0]


@pytest.mark.parametrize(("side", "stop"), [(LONG, "90"), (SHORT, "110")])
@pytest.mark.parametrize("limit", ["1", "2", "5"])
def test_the_liquidation_lies_so_many_stops_away(side: PositionSide, stop: str, limit: str) -> None:
    risk = stage("1000", liquidation_stops=limit)
    decision = decide(risk, signal(side=side, stop=stop))
    assert isinstance(decision, Approved)
    (cut,) = decision.cuts
    assert (cut.gate, cut.limit) == ("liquidation_distance", Decimal(limit))
    # By hand: at so many stops away the equity is what maintenance wants there, but for a lot.
    at = 100 - side.sign * 10 * Decimal(limit)

    def left(qty: Decimal) -> Decimal:
        return 10_000 - qty * abs(at - 100) - qty * at / 100

    assert left(decision.qty) >= 0 > left(decision.qty + Decimal("0.001"))


def test_what_others_hold_is_kept_for_their_maintenance() -> None:
    risk = stage("1000", liquidation_stops="1")
    alone = decide(risk, signal(stop="90"))
    risk = stage("1000", liquidation_stops="1")
    risk.handle(fill("t9", OrderSide.SELL, "500", symbol="ETH", signal_id="cross-ETH-1"))
    beside = decide(risk, signal(stop="90"))
    assert isinstance(alone, Approved)
    assert isinstance(beside, Approved)
    assert beside.qty == alone.qty * Decimal("0.95") // Decimal("0.001") * Decimal("0.001")


def test_a_small_entry_and_one_without_a_stop_pass() -> None:
    risk = stage("1000", liquidation_stops="5")
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert not decision.cuts
    risk = stage("10", liquidation_stops="5")
    decision = decide(risk, signal(stop="90", entry_type=OrderType.LIMIT, entry_price="95"))
    assert isinstance(decision, Approved)
    assert not decision.cuts


def test_where_the_equity_is_needed_for_others_nothing_is_entered() -> None:
    risk = stage("10", liquidation_stops="5")
    risk.handle(fill("t9", size="15000", symbol="ETH", signal_id="cross-ETH-1"))
    decision = decide(risk, signal(stop="90"))
    assert isinstance(decision, Refused)
    assert (decision.gate, decision.limit, decision.value) == ("liquidation_distance", 5, 0)


def test_an_entry_is_of_at_most_so_much_of_its_symbol() -> None:
    limits = {"max_order_qty.BTC": "2.0005", "max_order_qty.ETH": "50"}
    risk = stage(**limits)
    (use,) = risk.limits_view()
    assert (use.limit, use.value, use.pct_used, use.scope) == ("max_order_qty", 0, 0, "BTC")
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert decision.qty == 2
    assert [(cut.gate, cut.limit, cut.value) for cut in decision.cuts] == [("max_order_qty", Decimal("2.0005"), 10)]
    whole = decide(risk, signal("cross-ETH-1", symbol="ETH"))
    assert isinstance(whole, Approved)
    assert (whole.qty, whole.cuts) == (10, ())
    decide(risk, signal("cross-SOL-1", symbol="SOL"))
    (use,) = risk.limits_view()
    assert (use.value, use.max, use.scope) == (2, Decimal("2.0005"), "BTC")
    assert use.pct_used == Decimal("99.9750")
    refused = decide(stage(**{"max_order_qty.BTC": "0.0009"}), signal())
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.value) == ("max_order_qty", 10)


def test_a_cut_whose_division_is_rounded_up_is_a_lot_smaller() -> None:
    # 4 of 7 * (1/6 + 1/7 * 5/6) is 2, and in 28 digits two of it are more than 4.
    fine = {"BTC": instrument(lot="0.01", min_notional="0", max_leverage=3)}
    risk = RiskStage(fine, cash(4), SizeRule(SizeKind.QTY, Decimal(100)), Limits(liquidation_stops=Decimal(1)))
    risk.handle(bars_closed(bar(close="7")))
    decision = decide(risk, signal(close="7", stop="6"))
    assert isinstance(decision, Approved)
    assert decision.qty == Decimal("1.99")


def test_the_view_shows_the_position_whose_liquidation_is_nearest_to_its_stop() -> None:
    risk = stage("100", liquidation_stops="2")
    (use,) = risk.limits_view()
    assert (use.value, use.pct_used, use.scope) == (0, 0, "account")
    decide(risk, signal(stop="90"))
    risk.handle(fill(size="100"))
    decide(risk, signal("cross-ETH-1", symbol="ETH", stop="95"))
    risk.handle(fill("t2", size="100", symbol="ETH", signal_id="cross-ETH-1"))
    (use,) = risk.limits_view()
    # (10,000 - 100 - 100) of 9,900: by 0.9899 the price may fall, and 10 % is the wider stop.
    assert (use.value, use.max, use.scope) == (Decimal("9.899"), 2, "BTC")
    assert use.pct_used == round(2 / (Decimal(9800) / 9900 * 10) * 100, 4)
    risk.handle(bars_closed(bar(2, "90")))
    (use,) = risk.limits_view()
    assert (use.value, use.pct_used, use.scope) == (0, 100, "BTC")


@given(
    st.decimals("0.5", "20", places=1),
    st.decimals("100", "20000", places=2),
    st.integers(1, 60),
    st.sampled_from(PositionSide),
    st.integers(-90, 90),
)
def test_an_entry_cut_for_its_liquidation_is_the_largest_that_passes(
    limit: Decimal, equity: Decimal, distance: int, side: PositionSide, other: int
) -> None:
    risk = stage("500", str(equity), liquidation_stops=str(limit))
    if other:
        risk.handle(fill("t9", OrderSide.SELL if other < 0 else OrderSide.BUY, abs(other), symbol="ETH"))
    wish = signal(side=side, stop=str(100 - side.sign * distance))

    def passes(size: Decimal) -> bool:
        at = 100 - side.sign * distance * limit
        needed = Decimal(abs(other)) + size * at / 100
        return equity - size * distance * limit >= needed

    decision = decide(risk, wish)
    if isinstance(decision, Refused):
        assert decision.gate == "liquidation_distance"
        assert not passes(Decimal("0.1"))
        return
    assert passes(decision.qty)
    assert decision.qty == 500 or not passes(decision.qty + Decimal("0.001"))


def test_no_rounding_of_a_division_lets_a_lot_too_many_through() -> None:
    risk = stage("20", lot="1", max_order_notional="98.99999999999999999999999999")
    decision = decide(risk, signal(close="9"))
    assert isinstance(decision, Approved)
    assert decision.qty == 10


def at(minutes: int) -> Nanos:
    return minute(minutes)


def test_a_strategy_that_enters_too_often_within_an_hour_is_halted_until_an_operator_resumes() -> None:
    risk = stage("1", max_entries_per_hour="2")

    def enter(number: int, minutes: int, strategy: str = "cross") -> str:
        wish = signal(f"{strategy}-BTC-{number}", strategy=strategy, ts_event=at(minutes))
        decision = next(one for one in risk.handle(wish) if isinstance(one, Approved | Refused))
        risk.handle(fill(f"t{number}", signal_id=f"{strategy}-BTC-{number}", strategy=strategy))
        risk.handle(fill(f"u{number}", OrderSide.SELL, strategy=strategy))
        return decision.gate if isinstance(decision, Refused) else ""

    minutes = (1, 30, 61, 90, 91, 200, 300)
    passed, late = [""] * 4, ["entry_rate"] * 3
    # An hour and a minute after the first there is room again; after the refusal there is none, however late it is.
    assert [enter(number, when) for number, when in enumerate(minutes)] == passed + late
    assert enter(9, 300, "other") == ""
    again = stage("1", max_entries_per_hour="2")
    again.load(decode(RiskStage.STATE, encode(risk.save())))
    assert again.save() == risk.save()
    # Without the limit it stays halted: only a word brings it back.
    again.set_limits(Limits())
    refused, disabled, alert = again.handle(signal("cross-BTC-10", ts_event=at(301)))
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.limit, refused.value) == ("entry_rate", None, None)
    assert isinstance(disabled, StrategyDisabled)
    assert (disabled.strategy, disabled.by_limit) == ("cross", True)
    assert isinstance(alert, Alert)
    assert alert.about == "max_entries_per_hour cross"
    again.handle(command(Verb.PAUSE))
    again.handle(command(Verb.RESUME))
    risk = again
    risk.set_limits(Limits(max_entries_per_hour=Decimal(2)))
    assert [enter(number, 302) for number in (11, 12, 13)] == ["", "", "entry_rate"]
    assert enter(14, 302, "other") == ""


def test_the_one_too_many_says_how_many_there_were() -> None:
    risk = stage("1", max_entries_per_hour="1")
    decide(risk, signal(ts_event=at(1)))
    risk.handle(fill("t1"))
    risk.handle(fill("u1", OrderSide.SELL))
    refused, disabled, _ = risk.handle(signal("cross-BTC-2", ts_event=at(60)))
    assert isinstance(refused, Refused)
    assert (refused.limit, refused.value) == (1, 1)
    assert refused.detail.startswith("cross entered 1 times within an hour and wants more: it is halted")
    assert isinstance(disabled, StrategyDisabled)
    assert disabled.reason == f"max_entries_per_hour: {refused.detail}"


def test_a_gate_does_not_become_what_another_remembers() -> None:
    config = GateConfig(rule=SizeRule(SizeKind.QTY, Decimal(1)))
    with pytest.raises(InvariantError):
        VolumeGate(config).load(EntryRateState())
    with pytest.raises(InvariantError):
        EntryRateGate(config).load(VolumeState())


@given(st.integers(1, 5), st.lists(st.integers(0, 40), max_size=40))
def test_no_hour_has_more_entries_than_the_limit(limit: int, waits: list[int]) -> None:
    risk, now, entered = stage("1", max_entries_per_hour=str(limit)), 1, []
    for number, wait in enumerate(waits):
        now += wait
        decision, *_ = risk.handle(signal(f"cross-BTC-{number}", ts_event=at(now)))
        if isinstance(decision, Approved):
            entered.append(now)
            risk.handle(fill(f"t{number}", signal_id=f"cross-BTC-{number}"))
            risk.handle(fill(f"u{number}", OrderSide.SELL))
        else:
            assert isinstance(decision, Refused)
            assert decision.gate == "entry_rate"
            assert sum(now - 60 < one <= now for one in entered) == limit
            risk.handle(command(Verb.RESUME))
            entered = []
    assert all(sum(start <= one < start + 60 for one in entered) <= limit for start in entered)
