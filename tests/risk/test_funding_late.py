"""Funding that comes late, again or out of order is booked once."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.money import Cash
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, Nanos
from tradebot.pipeline.risk.ledger import Ledger


def paid(hour: int, symbol: str = "BTC") -> FundingPaid:
    return FundingPaid(
        ts_event=Nanos(hour * HOUR),
        symbol=symbol,
        rate=Decimal("0.00001"),
        amount=Cash(Decimal(-hour - 1)),
        is_estimate=False,
    )


def booked(hours: list[int]) -> Ledger:
    ledger = Ledger(Cash(Decimal(1000)))
    for message in map(paid, hours):
        if ledger.is_due(message):
            ledger.fund(message)
    return ledger


@given(st.lists(st.integers(0, 40), max_size=80))
def test_each_hour_is_booked_once_in_whatever_order_it_comes(hours: list[int]) -> None:
    assert booked(hours).funding == sum((paid(hour).amount for hour in set(hours)), Decimal(0))


def test_what_is_older_than_all_that_is_remembered_is_a_repeat() -> None:
    ledger = booked(list(range(100)))
    assert not ledger.is_due(paid(3))
    assert not ledger.is_due(paid(99))
    assert ledger.is_due(paid(100))
    assert ledger.is_due(paid(3, "ETH"))
