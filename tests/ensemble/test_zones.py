"""A zone that was entered is not entered again for a while, by whomever it was."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MINUTE, bar, bars_closed, cash, fill, instrument, minute, replace, signal
from tradebot.model.order import OrderDone, OrderRole, OrderSide, OrderState, PositionSide
from tradebot.model.signal import Approved, Refused, Signal
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.gates.base import Cooldown
from tradebot.pipeline.risk.gates.zone import ZoneGate, ZoneState
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.report.why import WhyFold
from tradebot.runtime.wiring import wire
from tradebot.settings.load import load_settings
from tradebot.store.codec import decode, encode

BARS = 10


def stage(*names: str) -> RiskStage:
    """A stage in which these strategies keep off zones for ten minutes."""
    cooldowns = {name: Cooldown(BARS, MINUTE) for name in names}
    rule = SizeRule(SizeKind.QTY, Decimal(1))
    risk = RiskStage({"BTC": instrument()}, cash(10_000), rule, Limits(), cooldowns=cooldowns)
    risk.handle(bars_closed(bar()))
    return risk


def wish(at: int, entry: str = "100", stop: str = "95", **said: str) -> Signal:
    side = PositionSide.LONG if Decimal(stop) < Decimal(entry) else PositionSide.SHORT
    strategy = said.get("strategy", "cross")
    id_ = f"{strategy}-BTC-{at}"
    return signal(id_, side=side, close=entry, stop=stop, strategy=strategy, ts_event=minute(at))


def decide(risk: RiskStage, asked: Signal) -> Approved | Refused:
    (decision,) = risk.handle(asked)
    assert isinstance(decision, Approved | Refused)
    return decision


def done(asked: Signal, state: OrderState = OrderState.CANCELED) -> OrderDone:
    return OrderDone(
        ts_event=asked.ts_event,
        client_order_id=f"{asked.id}-entry",
        signal_id=asked.id,
        strategy=asked.strategy,
        symbol="BTC",
        role=OrderRole.ENTRY,
        state=state,
        filled_qty=fill().qty,
        reason="",
    )


def round_trip(risk: RiskStage, asked: Signal) -> None:
    """Enter with ``asked``, which fills at once, and leave again."""
    assert isinstance(decide(risk, asked), Approved)
    entry = replace(fill(size="1", signal_id=asked.id), strategy=asked.strategy, ts_event=asked.ts_event)
    entry = replace(entry, side=asked.side.entry, trade_id=f"in-{asked.id}")
    risk.handle(entry)
    leave = replace(entry, side=asked.side.entry.opposite, role=OrderRole.STOP, trade_id=f"out-{asked.id}")
    risk.handle(leave)
    assert risk.is_flat


@pytest.mark.parametrize(
    ("again", "passes"),
    [
        (wish(2), False),
        (wish(10), False),
        (wish(11), True),
        (wish(2, "94", "90"), True),
        (wish(2, "95", "90"), False),
        (wish(2, "105", "101"), True),
        (wish(2, "104", "100"), False),
        (wish(2, "95", "100"), True),
    ],
)
def test_an_entry_into_a_zone_that_was_entered_lately_is_refused(again: Signal, passes: bool) -> None:
    risk = stage("cross")
    round_trip(risk, wish(1))
    decision = decide(risk, again)
    if passes:
        assert isinstance(decision, Approved)
    else:
        assert isinstance(decision, Refused)
        assert (decision.gate, decision.limit) == ("duplicate_zone", Decimal(BARS))


def test_the_zone_of_another_strategy_counts_as_well() -> None:
    risk = stage("late")
    round_trip(risk, wish(1, strategy="early"))
    decision = decide(risk, wish(4, strategy="late"))
    assert isinstance(decision, Refused)
    assert decision.detail == "early entered from 95 to 100 3 bars ago"
    assert isinstance(decide(risk, wish(4, strategy="early")), Approved)


def test_what_did_not_fill_took_no_zone() -> None:
    risk = stage("cross")
    asked = wish(1)
    decide(risk, asked)
    risk.handle(done(asked))
    assert isinstance(decide(risk, wish(2)), Approved)


def test_a_refused_entry_takes_no_zone() -> None:
    risk = stage("cross")
    round_trip(risk, wish(1))
    assert isinstance(decide(risk, wish(9)), Refused)
    assert isinstance(decide(risk, wish(12)), Approved)


def test_an_entry_without_a_stop_has_no_zone() -> None:
    risk = stage("cross")
    round_trip(risk, wish(1))
    assert isinstance(decide(risk, signal("cross-BTC-2", ts_event=minute(2))), Approved)


def test_why_shows_the_bars_as_numbers() -> None:
    risk, why = stage("cross"), WhyFold()
    round_trip(risk, wish(1))
    why.add(decide(risk, wish(4)))
    (row,) = why.rows()
    assert (row["gate"], row["limit"], row["value"]) == ("duplicate_zone", 10, 3)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(90, 110), st.integers(1, 8)), max_size=12), st.data())
def test_zones_survive_a_restart_anywhere_and_are_forgotten_in_time(
    asked: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(asked)))
    risk, again = stage("cross"), stage("cross")
    number = 0
    for place, (wait, entry, distance) in enumerate(asked):
        if place == cut:
            again.load(decode(RiskState, encode(risk.save())))
        number += wait
        entered = wish(number, str(entry), str(entry - distance))
        for each in (risk, again) if place >= cut else (risk,):
            answer = decide(each, entered)
            if isinstance(answer, Approved):
                buy = replace(fill(size="1", signal_id=entered.id), ts_event=entered.ts_event, trade_id=f"i{number}")
                each.handle(buy)
                each.handle(replace(buy, side=OrderSide.SELL, role=OrderRole.STOP, trade_id=f"o{number}"))
        if place >= cut:
            assert again.save() == risk.save()
    kept = risk.save().gates["duplicate_zone"]
    assert isinstance(kept, ZoneState)
    assert kept.offered == {}
    assert all(Nanos(zone.ts_event) > minute(number) - (BARS + 30) * MINUTE for zone in kept.taken)


def test_the_cooldown_is_counted_in_the_strategys_own_bars(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(
        '[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "generated"\n'
        '[[strategy]]\nkind = "sma_cross"\ntimeframe = "15m"\nzone_cooldown = 4\n'
        '[[strategy]]\nkind = "donchian_breakout"\n'
    )
    risk = wire(load_settings(home=tmp_path, config_files=[path], environ={})).risk
    assert risk._desk.gates.one(ZoneGate)._cooldowns == {"sma_cross": Cooldown(4, parse_timeframe("15m"))}
