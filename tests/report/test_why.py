"""Each decision explained: what stopped it, or what it became."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.builders import replace
from tradebot.model.market import Message
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import (
    Fill,
    Liquidity,
    OrderDone,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderState,
    OrderType,
    PositionSide,
    SubmitOrders,
)
from tradebot.model.signal import Action, Approved, Cut, Refused, Rung, Signal
from tradebot.model.time import Nanos
from tradebot.report.document import document
from tradebot.report.result_text import no_decision_text, signals_text, why_text
from tradebot.report.why import WhyFold
from tradebot.store.codec import decode_message, encode_message

TS = Nanos(1_767_225_600_000_000_000)


def signal(number: int = 1, symbol: str = "BTC", **changes: Any) -> Signal:
    values: dict[str, Any] = {
        "id": f"cross-{symbol}-{number}",
        "ts_event": TS,
        "strategy": "cross",
        "symbol": symbol,
        "action": Action.ENTER,
        "side": PositionSide.LONG,
        "close": Price(Decimal(100)),
        "stop": Price(Decimal(98)),
        "confidence": 0.7,
        "factors": {"trend": 0.9},
    }
    return Signal(**{**values, **changes})


def approved(wish: Signal, cuts: tuple[Cut, ...] = ()) -> Approved:
    return Approved(ts_event=TS, signal=wish, qty=Qty(Decimal("0.50")), cuts=cuts)


def refused(wish: Signal, gate: str = "max_exposure_notional", limit: str = "20000", value: str = "21000") -> Refused:
    return Refused(ts_event=TS, signal=wish, gate=gate, limit=Decimal(limit), value=Decimal(value))


def order(wish: Signal, role: OrderRole = OrderRole.ENTRY) -> OrderRequest:
    is_stop = role is OrderRole.STOP
    return OrderRequest(
        client_order_id=f"{wish.id}-{role}",
        symbol=wish.symbol,
        strategy=wish.strategy,
        signal_id=wish.id,
        role=role,
        side=OrderSide.SELL if is_stop else OrderSide.BUY,
        type=OrderType.STOP_MARKET if is_stop else OrderType.MARKET,
        qty=Qty(Decimal("0.5")),
        ts_event=TS,
        trigger=Price(Decimal(98)) if is_stop else None,
    )


def submitted(wish: Signal) -> SubmitOrders:
    return SubmitOrders(ts_event=TS, orders=(order(wish), order(wish, OrderRole.STOP)))


def filled(wish: Signal, qty: str = "0.5", price: str = "100.1") -> Fill:
    return Fill(
        ts_event=TS,
        trade_id=f"t-{qty}-{price}",
        client_order_id=f"{wish.id}-entry",
        signal_id=wish.id,
        strategy=wish.strategy,
        symbol=wish.symbol,
        role=OrderRole.ENTRY,
        side=OrderSide.BUY,
        qty=Qty(Decimal(qty)),
        price=Price(Decimal(price)),
        fee=Cash(Decimal("0.02")),
        liquidity=Liquidity.TAKER,
        reason="",
    )


def done(wish: Signal, state: OrderState, reason: str = "", qty: str = "0") -> OrderDone:
    return OrderDone(
        ts_event=TS,
        client_order_id=f"{wish.id}-entry",
        signal_id=wish.id,
        strategy=wish.strategy,
        symbol=wish.symbol,
        role=OrderRole.ENTRY,
        state=state,
        filled_qty=Qty(Decimal(qty)),
        reason=reason,
    )


def why(*story: Message, about: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    fold = WhyFold(about, limit)
    for message in story:
        fold.add(message)
    rows: list[dict[str, Any]] = orjson.loads(document(fold.rows()))
    return rows


def test_a_refusal_names_its_gate_with_limit_and_value() -> None:
    (row,) = why(refused(signal()))
    expected = {"outcome": "refused", "gate": "max_exposure_notional", "limit": "20000", "value": "21000"}
    assert expected.items() <= row.items()
    assert row["confidence"] == 0.7
    assert row["orders"] == []
    text = why_text([row])
    assert "refused" in text
    assert "stopped by max_exposure_notional: value 21000, limit 20000" in text
    assert "confidence 0.7" in text


def test_a_row_has_every_key_a_script_may_rely_on() -> None:
    keys = [
        "ts",
        "symbol",
        "strategy",
        "signal_id",
        "side",
        "confidence",
        "outcome",
        "gate",
        "limit",
        "value",
        "orders",
        "factors",
    ]
    assert set(keys) <= set(why(refused(signal(confidence=None)))[0])


def test_leverage_is_a_number_because_it_is_no_money() -> None:
    (row,) = why(refused(signal(), "max_leverage", "3", "3.25"))
    assert (row["limit"], row["value"]) == (3.0, 3.25)


def test_an_order_that_filled_tells_how() -> None:
    wish = signal()
    (row,) = why(
        approved(wish), submitted(wish), filled(wish, "0.2", "100"), filled(wish, "0.3", "101"),
        done(wish, OrderState.FILLED, qty="0.5"),
    )  # fmt: skip
    entry, stop = row["orders"]
    assert row["outcome"] == "ordered"
    assert (entry["state"], entry["filled_qty"], entry["fill_price"], entry["fees"]) == (
        "filled",
        "0.5",
        "100.6",
        "0.04",
    )
    assert (stop["state"], stop["trigger"], stop["fill_price"]) == ("working", "98", None)
    assert "entry buy 0.5 market: filled, 0.5 at 100.6, fees 0.04" in why_text([row])
    assert "stop sell 0.5 stop-market trigger 98: working" in why_text([row])


@pytest.mark.parametrize("end", [OrderState.CANCELED, OrderState.REJECTED])
def test_an_entry_waits_until_it_fills_or_expires(end: OrderState) -> None:
    wish = signal()
    assert why(approved(wish))[0]["outcome"] == "waiting"
    assert why(approved(wish), submitted(wish))[0]["outcome"] == "waiting"
    (row,) = why(approved(wish), submitted(wish), done(wish, end, "paused"))
    assert (row["outcome"], row["orders"][0]["reason"]) == ("expired", "paused")
    assert f"{end} (paused)" in why_text([row])
    late = why(approved(wish), submitted(wish), filled(wish, "0.1"), done(wish, end))
    assert late[0]["outcome"] == "ordered"


def test_an_order_that_is_to_be_tried_again_still_waits() -> None:
    wish = signal()
    failed = replace(done(wish, OrderState.REJECTED, "no liquidity"), is_wanted=True)
    story = (approved(wish), submitted(wish), failed)
    assert why(*story)[0]["outcome"] == "waiting"
    assert why(*story, replace(failed, is_wanted=False))[0]["outcome"] == "expired"


def test_a_cut_shows_the_limit_that_made_the_order_smaller() -> None:
    cuts = (
        Cut(gate="max_order_notional", limit=Decimal(500), value=Decimal(800)),
        Cut(gate="max_leverage", limit=Decimal(3), value=Decimal(5)),
    )
    wish = signal()
    (row,) = why(approved(wish, cuts), submitted(wish), filled(wish))
    assert (row["outcome"], row["gate"], row["limit"], row["value"]) == ("ordered", "max_leverage", 3.0, 5.0)
    assert [cut["gate"] for cut in row["cuts"]] == ["max_order_notional", "max_leverage"]
    assert "made smaller by max_order_notional: value 800, limit 500" in why_text([row])


def test_the_newest_decision_comes_first_and_older_ones_go() -> None:
    story = [refused(signal(number)) for number in range(1, 6)]
    assert [row["signal_id"] for row in why(*story, limit=3)] == ["cross-BTC-5", "cross-BTC-4", "cross-BTC-3"]
    gone = signal(1)
    assert len(why(approved(gone), *story[1:], submitted(gone), filled(gone), limit=2)) == 2


@pytest.mark.parametrize(
    ("about", "count"),
    [("BTC", 2), ("ETH", 1), ("cross-BTC-1", 1), ("cross-BTC-1-entry", 1), ("cross-BTC-12", 1), ("DOGE", 0), (None, 3)],
)
def test_a_symbol_a_signal_or_an_order_can_be_asked_for(about: str | None, count: int) -> None:
    story = [refused(signal(1)), refused(signal(12)), refused(signal(1, "ETH"))]
    assert len(why(*story, about=about)) == count


def test_signals_say_what_was_wanted_and_what_came_of_it() -> None:
    fold = WhyFold()
    fold.add(refused(signal(), gate="paused"))
    (row,) = fold.signals()
    assert (row["close"], row["stop"], row["target"], row["outcome"], row["gate"]) == (
        "100", "98", None, "refused", "paused",
    )  # fmt: skip
    assert "paused" in signals_text([row])
    assert why_text([]) == "no decision on that yet"
    assert no_decision_text("X\x1b", ()) == "no decision on X?: nothing was decided yet"
    assert no_decision_text("X", {"ETH", "BTC"}).endswith("there are some on BTC, ETH")
    assert no_decision_text("eth", {"ETH", "BTC"}).endswith("there are some on BTC, ETH; did you mean ETH?")
    assert signals_text([]) == "no signal yet"


def test_a_decision_names_its_pattern_and_all_of_its_prices() -> None:
    rungs = (Rung(price=Price(Decimal(104)), fraction=Decimal("0.5")),)
    levels = {"top": Price(Decimal("99.50")), "bottom": Price(Decimal(97))}
    wish = signal(
        pattern="order_block", levels=levels, ladder=rungs, void_price=Price(Decimal(97)), expires_ts=TS,
        entry_type=OrderType.LIMIT, entry_price=Price(Decimal("99.50")),
    )  # fmt: skip
    (row,) = why(approved(wish), submitted(wish))
    expected = {
        "pattern": "order_block", "levels": {"top": "99.5", "bottom": "97"}, "close": "100", "entry_type": "limit",
        "entry_price": "99.5", "stop": "98", "target": None, "ladder": [{"price": "104", "fraction": 0.5}],
        "void_price": "97", "expires_ts": 1_767_225_600_000,
    }  # fmt: skip
    assert expected.items() <= row.items()
    text = why_text([row])
    assert "pattern: order_block, top 99.5, bottom 97" in text
    assert "prices: close 100, entry 99.5, stop 98, target 104 for 0.5, void beyond 97, until 2026-01-01" in text
    fold = WhyFold()
    fold.add(approved(wish))
    assert fold.signals()[0]["pattern"] == "order_block"


def test_a_decision_without_a_pattern_names_none() -> None:
    (row,) = why(refused(signal()))
    assert (row["pattern"], row["levels"]) == (None, {})
    assert "pattern" not in why_text([row])


def test_a_decision_of_an_older_journal_has_no_pattern() -> None:
    body = orjson.loads(encode_message(approved(signal())))
    del body["signal"]["pattern"], body["signal"]["levels"]
    (row,) = why(decode_message("approved", orjson.dumps(body)))
    assert (row["pattern"], row["levels"], row["stop"]) == (None, {}, "98")


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    (row,) = why(refused(signal(symbol="B\x1b[2J"), gate="x\n\x07"))
    assert all(char.isprintable() or char == "\n" for char in why_text([row]))
    assert "x??" in why_text([row])
