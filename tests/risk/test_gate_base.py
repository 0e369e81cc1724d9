"""What a gate does that says nothing of its own."""

from decimal import Decimal
from typing import Any, cast

from tests.builders import order_request, signal
from tradebot.model.money import Price, Qty
from tradebot.pipeline.risk.gates.base import Gate, GateConfig
from tradebot.pipeline.risk.limits import SizeKind, SizeRule
from tradebot.pipeline.risk.order_gates.base import OrderGate


def test_a_gate_that_says_nothing_stops_and_bounds_nothing() -> None:
    gate = Gate(GateConfig(rule=SizeRule(SizeKind.QTY, Decimal(1))))
    book: Any = None
    assert gate.check(signal(), book) is None
    assert gate.bound(signal(), book) is None
    assert gate.room(signal(), Qty(Decimal(1)), Price(Decimal(1)), book) is None


def test_an_order_gate_that_says_nothing_stops_nothing_and_remembers_nothing() -> None:
    gate, book, order = OrderGate(), cast("Any", None), order_request()
    assert gate.check((order,), book) is None
    assert gate.check_exit(order, book) is None
    assert gate.save() is None
