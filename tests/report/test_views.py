"""What a daemon says about itself: the keys scripts rely on, and the text people read."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.builders import replace
from tradebot.model.failure import LineFailed
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import OrderRequest, OrderRole, OrderSide, OrderState, OrderType
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.pipeline.orders.state import Protection
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.holdings import OpenPosition
from tradebot.pipeline.risk.limits import LimitUse
from tradebot.report import text, views
from tradebot.report.document import document
from tradebot.report.health import health
from tradebot.report.risk import RiskFacts, risk_document
from tradebot.report.risk_text import risk_text

TS = Nanos(1_767_225_600_000_000_000)
FACTS = views.RuntimeFacts(
    bot="demo",
    state="running",
    mode="paper",
    pid=4711,
    uptime_s=3725.5,
    version="0.1.0",
    config_hash="abc",
    venue=views.VenueFacts(
        kind="simulated", network="paper", connected=True, last_message_age_s=0.5, budget=None,
        margin_used=Cash(Decimal("40.000")),
    ),
    feed=views.FeedFacts(kind="generated", state="running", last_ts=TS),
    tasks=(views.TaskFacts(name="feed", state="running", restarts=0, queue=3, when_full="waits", lag_ms=0.25),),
    errors_last_hour=0,
    stops_expected=frozenset({"cross"}),
)  # fmt: skip


DIFFERS = views.Mismatch(symbol="BTC", book=Decimal("0.01"), venue=Decimal("0.006"), mend="tradebot halt")
POORER = views.Mismatch(symbol="", book=Decimal(10), venue=Decimal(7), mend="wait")


def position(qty: str = "-2") -> OpenPosition:
    return OpenPosition(
        symbol="BTC",
        strategy="cross",
        qty=Qty(Decimal(qty)),
        cost=Cash(Decimal(qty) * 100),
        entry_ts=TS,
        entry_qty=Qty(abs(Decimal(qty))),
        entry_notional=Cash(Decimal(200)),
        low=Price(Decimal(99)),
        high=Price(Decimal(101)),
    )


def stop_order(state: OrderState = OrderState.OPEN) -> Order:
    request = OrderRequest(
        client_order_id="cross-BTC-1-stop", symbol="BTC", strategy="cross", signal_id="cross-BTC-1",
        role=OrderRole.STOP, side=OrderSide.BUY, type=OrderType.STOP_MARKET, qty=Qty(Decimal(2)), ts_event=TS,
        trigger=Price(Decimal("102.50")), reduce_only=True,
    )  # fmt: skip
    return Order(request=request, qty=Qty(Decimal(2)), state=state)


def books(covered: str = "2") -> views.BookFacts:
    orders = [stop_order(), stop_order(OrderState.SUBMITTED)]
    return views.BookFacts(
        risk=RiskState(
            starting_cash=Cash(Decimal(10_000)),
            cash=Cash(Decimal("9999.910")),
            fees=Cash(Decimal("0.09")),
            marks={"BTC": Price(Decimal("99.50"))},
            positions={"BTC": position()},
            peak_equity=Cash(Decimal("10000.91")),
        ),
        orders=orders,
        unknown=1,
        protection=(
            Protection(
                symbol="BTC",
                qty=Qty(Decimal(2)),
                stop_price=Price(Decimal("102.5")),
                covered_qty=Qty(Decimal(covered)),
                moved_by="swing_high",
            ),
        ),
        limits=(
            LimitUse(limit="max_order_notional", value=Decimal(0), max=Decimal("5000.0"), pct_used=Decimal(0)),
            LimitUse(limit="max_leverage", value=Decimal("0.0199"), max=Decimal(3), pct_used=Decimal("0.6633")),
        ),
    )


def read(value: Any) -> Any:
    return orjson.loads(document(value))


def test_status_has_the_keys_of_the_contract_in_plain_notation() -> None:
    found = read(views.status(FACTS, books()))
    assert set(found) == set(
        """bot state reason mode pid uptime_s version config_hash venue feed account positions protected orders tasks
        risk breakers disabled untraded mismatches set_aside backup secrets drift errors_last_hour log_failures
        last_signal last_trade""".split()  # noqa: SIM905
    )
    assert set(found["venue"]) == {"kind", "network", "connected", "last_message_age_s", "budget", "actions_left"}
    assert found["feed"] == {"kind": "generated", "state": "running", "last_ts": 1_767_225_600_000}
    assert found["account"] == {
        "equity": "10000.91",
        "cash": "9999.91",
        "realized_pnl": "0",
        "unrealized_pnl": "1",
        "fees": "0.09",
        "funding": "0",
        "drawdown_pct": 0.0,
        "margin_used": "40",
        "venue_equity": None,
        "residual": None,
        "residual_qty": {},
    }
    (held,) = found["positions"]
    assert {
        "symbol": "BTC", "strategy": "cross", "side": "short", "qty": "2", "entry_price": "100", "mark_price": "99.5",
        "unrealized_pnl": "1", "stop_price": "102.5", "stop_moved_by": "swing_high", "protected": True,
    }.items() <= held.items()  # fmt: skip
    assert found["protected"] == {"protected": 1, "total": 1}
    assert found["orders"] == {"open": 2, "unknown": 1}
    assert set(found["tasks"][0]) == {"name", "state", "restarts", "queue", "when_full", "lag_ms"}
    assert found["risk"] == [
        {"limit": "max_order_notional", "value": "0", "max": "5000", "pct_used": 0.0, "scope": "account"},
        {"limit": "max_leverage", "value": 0.0199, "max": 3.0, "pct_used": 0.6633, "scope": "account"},
    ]


def test_the_other_views_are_parts_of_status() -> None:
    whole = read(views.status(FACTS, books()))
    assert read(views.balance(FACTS, books())) == whole["account"]
    assert read(views.positions(books())) == {key: whole[key] for key in ("positions", "protected")}
    assert read(risk_document(RiskFacts(risk=books().risk, limits=books().limits)))["risk"] == whole["risk"]


def test_what_a_real_venue_says_of_the_account_stands_beside_ours() -> None:
    told = replace(FACTS, venue_equity=Cash(Decimal("10000.40")), residual=Cash(Decimal("-0.5100")))
    found = read(views.balance(told, books()))
    assert (found["venue_equity"], found["residual"]) == ("10000.4", "-0.51")
    assert "at the venue  10,000.40\nresidual      -0.51" in text.balance_text(found)
    assert "residual" not in text.balance_text(read(views.balance(FACTS, books())))


def test_orders_lists_those_that_still_work() -> None:
    found = read(views.orders(books()))
    assert [row["state"] for row in found] == ["open", "submitted"]
    assert (found[0]["trigger"], found[0]["price"], found[0]["side"]) == ("102.5", None, "buy")


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        (replace(FACTS, state="halted"), "state"),
        (replace(FACTS, journal_error="disk full"), "journal"),
        (replace(FACTS, progress_age_s=90.0), "progress"),
        (replace(FACTS, venue=replace(FACTS.venue, connected=False)), "venue"),
        (replace(FACTS, feed=replace(FACTS.feed, state="failed")), "feed"),
        (replace(FACTS, tasks=(replace(FACTS.tasks[0], state="waiting"),)), "task feed"),
        (replace(FACTS, mismatches=(DIFFERS,)), "agreement"),
    ],
)
def test_health_names_what_is_not_well(facts: views.RuntimeFacts, check: str) -> None:
    assert read(health(FACTS, books()))["well"] is True
    found = read(health(facts, books()))
    assert found["well"] is False
    assert [row["check"] for row in found["checks"] if not row["ok"]] == [check]
    assert f"FAIL  {check}" in text.health_text(found)


def test_a_book_that_differs_from_the_venue_is_shown_in_state_residual_and_health_with_what_ends_it() -> None:
    facts = replace(FACTS, residual=Cash(Decimal("-3")), mismatches=(DIFFERS, POORER))
    found = read(views.status(facts, books()))
    # The state is one that scripts know.
    assert found["state"] == "running"
    assert found["mismatches"] == [
        {"what": "position", "symbol": "BTC", "book": "0.01", "venue": "0.006", "difference": "-0.004",
         "mend": "tradebot halt"},
        {"what": "cash", "symbol": "", "book": "10", "venue": "7", "difference": "-3", "mend": "wait"},
    ]  # fmt: skip
    assert found["account"]["residual_qty"] == {"BTC": "-0.004"}
    page = text.status_text(found)
    assert "demo is running (mismatch BTC, cash) (paper)" in page
    assert "BTC: the venue has 0.006, the book 0.01; tradebot halt" in page
    assert any(line.split() == ["residual", "-3.00", "and", "-0.004", "BTC"] for line in page.splitlines())
    (check,) = [row for row in read(health(facts, books()))["checks"] if row["check"] == "agreement"]
    assert check["detail"] == "BTC: the venue has 0.006, the book 0.01; cash: the venue has 7, the book 10"
    assert read(health(replace(facts, mismatches=(POORER,)), books()))["well"] is True


def test_a_book_that_agrees_says_so_and_a_simulated_venue_has_nobody_to_agree_with() -> None:
    agreed = read(health(replace(FACTS, residual=Cash(Decimal(0))), books()))
    assert [row["ok"] for row in agreed["checks"] if row["check"] == "agreement"] == [True]
    assert "agreement" not in {row["check"] for row in read(health(FACTS, books()))["checks"]}
    assert read(views.status(FACTS, books()))["mismatches"] == []


def test_a_position_that_needs_a_stop_and_has_none_is_not_well() -> None:
    naked = books(covered="1.5")
    assert read(health(FACTS, naked))["well"] is False
    assert read(health(replace(FACTS, stops_expected=frozenset()), naked))["well"] is True
    assert read(views.status(FACTS, naked))["protected"] == {"protected": 0, "total": 1}


def test_before_recovery_nothing_is_invented() -> None:
    starting = replace(FACTS, state="starting")
    found = read(views.status(starting, None))
    assert found.keys() == read(views.status(FACTS, books())).keys()
    assert (found["account"], found["positions"], found["risk"]) == (None, [], [])
    assert "equity       -" in text.status_text(found)
    assert read(health(starting, None))["well"] is False


def test_status_reads_as_a_page() -> None:
    page = text.status_text(read(views.status(FACTS, books())))
    assert page.startswith("demo is running (paper), pid 4711, up 1h 2m, version 0.1.0\n")
    assert "equity       10,000.91" in page
    assert "stops        PROTECTED 1/1" in page
    assert "is not protected" not in page
    assert "last trade   none yet" in page
    assert "BTC     cross     short" in page
    assert "max_leverage" in page
    assert "\x1b" not in page
    assert "\x1b[32mrunning\x1b[0m" in text.status_text(read(views.status(FACTS, books())), colour=True)
    assert text.status_text({"state": "stopped"}) == "stopped"


def test_status_shows_the_last_decision_and_what_is_wrong() -> None:
    document_ = read(views.status(FACTS, books(covered="1")))
    document_["last_signal"] = {
        "ts": 1_767_225_600_000, "strategy": "cross", "symbol": "BTC", "action": "enter", "side": "long",
        "outcome": "refused", "gate": "paused",
    }  # fmt: skip
    document_["last_trade"] = {
        "exit_ts": 1_767_225_600_000, "strategy": "cross", "symbol": "BTC", "side": "long", "exit_reason": "stop",
        "net_pnl": "-12.345",
    }  # fmt: skip
    document_ |= {"errors_last_hour": 2, "log_failures": 3, "venue": {**document_["venue"], "connected": False}}
    page = text.status_text(document_, colour=True)
    assert "2026-01-01 00:00:00 cross BTC enter long refused (paused)" in page
    assert "cross BTC long stop \x1b[31m-12.3" in page
    assert "\x1b[31mPROTECTED 0/1\x1b[0m" in page
    assert "\x1b[31mBTC is not protected: no stop of it rests at the venue\x1b[0m" in page
    assert "\x1b[31mnot connected\x1b[0m" in page
    assert "\x1b[31m2\x1b[0m in the last hour" in page
    assert "3 lines could not be written" in page


def test_a_position_shows_how_far_its_stop_and_its_liquidation_are_away() -> None:
    # Short at a mark of 99.5, its stop at 102.5.
    at = {"BTC": Price(Decimal(130))}
    (row,) = read(views.positions(replace(books(), liquidations=at)))["positions"]
    assert (row["stop_distance_pct"], row["liquidation_price"], row["liquidation_distance_pct"]) == (
        3.0151,
        "130",
        30.6533,
    )
    assert (row["protected"], row["why_unprotected"]) == (True, None)
    page = text.positions_text(read(views.positions(replace(books(), liquidations=at))))
    assert "102.5 (3.02 %)" in page
    assert "130 (30.65 %)" in page
    (unknown,) = read(views.positions(replace(books(), risk=replace(books().risk, marks={}))))["positions"]
    assert (unknown["stop_distance_pct"], unknown["liquidation_price"], unknown["liquidation_distance_pct"]) == (
        None,
    ) * 3


def test_a_stop_beyond_the_liquidation_protects_nothing() -> None:
    for liquidation, is_clear in ((Decimal("103.02"), True), (Decimal("102.9"), False), (Decimal(101), False)):
        facts = replace(books(), liquidations={"BTC": Price(liquidation)})
        found = read(views.positions(facts))
        assert found["protected"] == {"protected": int(is_clear), "total": 1}
        (row,) = found["positions"]
        assert row["protected"] is is_clear
        expected = f"its stop does not lie clearly before the liquidation at {liquidation}"
        assert row["why_unprotected"] == (None if is_clear else expected)
        checks = {check["check"]: check for check in read(health(FACTS, facts))["checks"]}
        assert checks["protected"]["ok"] is is_clear


def test_every_text_stands_a_document_that_lacks_everything() -> None:
    for render in (text.status_text, text.health_text, text.positions_text, text.balance_text, risk_text):
        assert isinstance(render({}), str)
    assert text.orders_text([]) == "no open order"
    assert "stop_market" in text.orders_text(read(views.orders(books())))


def test_text_of_a_daemon_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import tradebot.report.text;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}"
        " & {'orjson', 'rich', 'typer', 'pydantic', 'decimal', 'dataclasses', 'asyncio', 'inspect', 'datetime'}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_status_says_what_was_set_aside_and_why_there_is_no_line() -> None:
    failed = LineFailed(
        ts_event=Nanos(0), first=7, last=7, input="fill_report", symbol="BTC", about="t1", why="KeyError: x"
    )
    facts = replace(FACTS, state="starting", reason="the line failed", set_aside=[failed] * 12)
    found = read(views.status(facts, books()))
    assert (found["reason"], len(found["set_aside"])) == ("the line failed", 10)
    assert found["set_aside"][0] == {
        "ts": 0,
        "input": "fill_report",
        "symbol": "BTC",
        "about": "t1",
        "rows": [7, 7],
        "reason": "KeyError: x",
    }
    shown = text.status_text(found)
    assert "the line failed" in shown
    assert "fill_report BTC t1 was set aside: KeyError: x" in shown
    assert health(facts, None)["well"] is False
