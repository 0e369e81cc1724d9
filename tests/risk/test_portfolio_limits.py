"""Limits on sides, strategies and symbols: what counts, what is left, and that a cut is the largest that passes."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.builders import bar, bars_closed, cash, fill, instrument, order_request, replace, signal
from tradebot.model.order import OrderFound, OrderSide, OrderType, PositionSide
from tradebot.model.signal import Approved, Refused, Signal
from tradebot.pipeline.risk.gates.base import Limit
from tradebot.pipeline.risk.gates.sequence import LIMITS
from tradebot.pipeline.risk.gates.tail import TailGate
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage

LONG, SHORT = PositionSide
SYMBOLS = ("BTC", "ETH", "SOL")


def stage(size: str = "10", equity: str = "10000", **limits: str) -> RiskStage:
    """A book at prices of 100 with a limit or two."""
    instruments = {symbol: instrument(symbol) for symbol in SYMBOLS}
    set_ = Limits({name: Decimal(limit) for name, limit in limits.items()})
    risk = RiskStage(instruments, cash(equity), SizeRule(SizeKind.QTY, Decimal(size)), set_)
    for symbol in SYMBOLS:
        risk.handle(bars_closed(bar(symbol=symbol)))
    return risk


def hold(risk: RiskStage, symbol: str, size: str, strategy: str = "cross") -> None:
    side = OrderSide.SELL if size.startswith("-") else OrderSide.BUY
    risk.handle(
        fill(
            f"t-{symbol}", side, size.lstrip("-"), symbol=symbol, strategy=strategy, signal_id=f"{strategy}-{symbol}-0"
        )
    )


def decide(risk: RiskStage, wish: Signal) -> Approved | Refused:
    (decision,) = risk.handle(wish)
    assert isinstance(decision, Approved | Refused)
    return decision


@pytest.mark.parametrize(
    ("setting", "limit", "held", "side", "size", "value"),
    [
        ("max_net_notional", "1500", "10", LONG, 5, 2000),
        ("max_net_notional", "1500", "-10", LONG, 10, None),
        ("max_net_notional", "1500", "-10", SHORT, 5, 2000),
        ("max_net_notional", "400", "-3", LONG, 7, 700),
        ("max_long_notional", "1500", "10", LONG, 5, 2000),
        ("max_long_notional", "1500", "10", SHORT, 10, None),
        ("max_long_notional", "700", "-10", LONG, 7, 1000),
        ("max_short_notional", "1500", "-10", SHORT, 5, 2000),
        ("max_short_notional", "1500", "10", LONG, 10, None),
        ("max_strategy_notional", "1500", "10", LONG, 5, 2000),
        ("max_strategy_notional", "1500", "-10", LONG, 5, 2000),
        ("max_concentration_pct", "4", "10", LONG, 4, 10),
    ],
)
def test_what_is_held_leaves_so_much(
    setting: str, limit: str, held: str, side: PositionSide, size: int, value: int | None
) -> None:
    risk = stage(**{setting: limit})
    hold(risk, "ETH", held)
    decision = decide(risk, signal(side=side))
    assert isinstance(decision, Approved)
    assert decision.qty == size
    assert [(cut.gate, cut.limit, cut.value) for cut in decision.cuts] == (
        [] if value is None else [(setting, Decimal(limit), value)]
    )


def test_what_is_at_work_counts_on_its_own_side_and_takes_nothing_off_the_other() -> None:
    risk = stage(max_net_notional="1500")
    assert isinstance(decide(risk, signal("cross-ETH-1", symbol="ETH", side=SHORT)), Approved)
    other = decide(risk, signal(side=LONG))
    assert isinstance(other, Approved)
    assert other.qty == 10
    decision = decide(risk, signal("cross-SOL-1", symbol="SOL", side=SHORT))
    assert isinstance(decision, Approved)
    assert decision.qty == 5


def test_the_strategy_of_another_leaves_all() -> None:
    risk = stage(max_strategy_notional="1500")
    hold(risk, "ETH", "15", "other")
    decision = decide(risk, signal())
    assert isinstance(decision, Approved)
    assert decision.qty == 10
    assert [(use.scope, use.value) for use in risk.limits_view()] == [("other", 1500)]


def test_an_entry_found_at_the_venue_counts_on_its_side() -> None:
    risk = stage(max_long_notional="1500", max_short_notional="1500")
    for name, symbol, side in (("a", "ETH", OrderSide.BUY), ("b", "SOL", OrderSide.SELL)):
        found = order_request(
            f"cross-{symbol}-1-entry", symbol=symbol, side=side, type_=OrderType.LIMIT, size="4", limit="100"
        )
        risk.handle(OrderFound(ts_event=found.ts_event, order=found, venue_order_id=name))
    assert [(use.limit, use.value) for use in risk.limits_view()] == [
        ("max_long_notional", 400),
        ("max_short_notional", 400),
    ]


def test_an_entry_of_an_earlier_version_counts_on_both_sides() -> None:
    risk = stage(max_long_notional="1500", max_short_notional="1500")
    decide(risk, signal())
    state = risk.save()
    (name,) = state.entries
    risk.load(replace(state, entries={name: replace(state.entries[name], side=None)}))
    assert [use.value for use in risk.limits_view()] == [1000, 1000]


def test_the_view_names_who_uses_most() -> None:
    every = {gate.setting: "10000" for gate in LIMITS if not issubclass(gate, TailGate)}
    risk = stage(**every)
    hold(risk, "BTC", "3")
    hold(risk, "ETH", "-8", "other")
    decide(risk, signal("cross-SOL-1", symbol="SOL", side=SHORT))
    assert {use.limit: (use.value, use.scope) for use in risk.limits_view()} == {
        "max_order_notional": (1000, "SOL"),
        "live_cap_notional": (1000, "SOL"),
        "max_position_notional": (800, "ETH"),
        "max_concentration_pct": (10, "SOL"),
        "max_exposure_notional": (2100, "account"),
        "max_leverage": (Decimal("0.21"), "account"),
        "max_net_notional": (1500, "short"),
        "max_long_notional": (300, "long"),
        "max_short_notional": (1800, "short"),
        "max_strategy_notional": (1300, "cross"),
        "max_cluster_notional": (1000, "SOL"),
        # Of the 1 that traded of it.
        "max_volume_pct": (1000, "SOL"),
        # There is no book.
        "max_book_pct": (0, "account"),
    }


def test_nothing_is_used_of_an_empty_book_or_one_without_equity() -> None:
    every = {gate.setting: "10000" for gate in LIMITS}
    assert {use.value for use in stage(**every).limits_view()} == {0}
    assert {use.value for use in stage(equity="0", **every).limits_view()} == {0}


HELD = st.dictionaries(st.sampled_from(("ETH", "SOL")), st.integers(-2000, 2000).filter(bool))


@given(
    st.sampled_from([gate for gate in LIMITS if not issubclass(gate, TailGate)]),
    st.decimals("0.01", "5000", places=2),
    st.decimals("0.001", "40", places=3),
    HELD,
    st.sampled_from(PositionSide),
    st.decimals("1", "300", places=1),
)
def test_a_cut_is_the_largest_that_passes_and_nothing_passes_beyond(
    gate: type[Limit], limit: Decimal, size: Decimal, held: dict[str, int], side: PositionSide, close: Decimal
) -> None:
    setting = gate.setting
    risk = stage(str(size), **{setting: str(limit)})
    risk.handle(bars_closed(bar(2, close)))
    for symbol, lots in held.items():
        hold(risk, symbol, f"{Decimal(lots) / 100}")
    assume(size * close >= 10)
    wish = signal(side=side, close=close)
    book = risk._desk
    bound = risk._desk.gates.one(gate).bound(wish, book)
    decision = decide(risk, wish)
    if bound is None:
        assert isinstance(decision, Approved)
        assert decision.qty == size
        return
    room = bound.limit * bound.unit - bound.open_notional
    lot = instrument().lot
    if isinstance(decision, Approved):
        assert decision.qty * close <= room
        assert decision.qty == size or (decision.qty + lot) * close > room
        assert bool(decision.cuts) is (decision.qty < size)
    else:
        assert decision.gate == setting
        smallest = max(lot, instrument().qty_up(10 / close))
        assert smallest * close > room
