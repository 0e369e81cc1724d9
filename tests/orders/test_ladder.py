"""The targets of a ladder: whole lots, none too small for the venue, and together what was asked."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import approved, instrument, price, replace, signal
from tradebot.model.order import OrderRequest, OrderRole
from tradebot.model.signal import Rung
from tradebot.pipeline.orders.brackets import bracket

D = Decimal


def targets(size: str | Decimal, *parts: str | Decimal, lot: str = "0.1", least: str = "10") -> list[OrderRequest]:
    """The targets of an entry at 100, of which each rung is one higher than the one before."""
    ladder = tuple(Rung(price=price(100 + number), fraction=D(part)) for number, part in enumerate(parts, 1))
    orders = bracket(approved(replace(signal(stop="90"), ladder=ladder), size), instrument(lot=lot, min_notional=least))
    return [order for order in orders if order.role is OrderRole.TARGET]


@pytest.mark.parametrize(
    ("size", "parts", "expected"),
    [
        ("1", ("0.5", "0.25", "0.25"), {"rung1": "0.5", "rung2": "0.2", "rung3": "0.3"}),
        # A part below a lot, or below the smallest order, goes with the next one.
        ("1", ("0.05", "0.45", "0.5"), {"rung2": "0.4", "rung3": "0.6"}),
        ("0.2", ("0.5", "0.5"), {"rung1": "0.1", "rung2": "0.1"}),
        ("0.1", ("0.5", "0.5"), {"rung2": "0.1"}),
        # The last has no next one.
        ("1", ("0.95", "0.05"), {"rung1": "0.9", "rung2": "0.1"}),
        ("1", ("0.5", "0.45", "0.04"), {"rung1": "0.5", "rung2": "0.4"}),
        ("1", ("0.05", "0.04"), {}),
    ],
)
def test_a_rung_too_small_for_the_venue_goes_with_its_neighbour(
    size: str, parts: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert {one.client_order_id[-5:]: one.qty for one in targets(size, *parts)} == {
        name: D(qty) for name, qty in expected.items()
    }


def test_the_last_one_too_small_goes_with_the_one_before_it() -> None:
    made = targets("1", "0.5", "0.45", "0.05", lot="0.01", least="20")
    assert [(one.client_order_id[-5:], one.qty) for one in made] == [("rung1", D("0.5")), ("rung2", D("0.5"))]


@given(
    st.integers(1, 300),
    st.lists(st.integers(1, 100), min_size=1, max_size=8),
    st.sampled_from(["0.01", "0.1", "1"]),
    st.integers(0, 500),
)
def test_no_rung_is_refused_for_its_size_and_none_closes_more_than_was_asked(
    lots: int, weights: list[int], lot: str, least: int
) -> None:
    whole = sum(weights)
    parts = [D(weight) / 128 if whole <= 128 else D(weight) / 1024 for weight in weights]
    size, rules = lots * D(lot), instrument(lot=lot, min_notional=str(least))
    made = targets(size, *parts, lot=lot, least=str(least))
    assert all(one.qty % D(lot) == 0 for one in made)
    assert not any(rules.below_minimum(one.qty, one.price or D(0)) for one in made)
    assert sum(one.qty for one in made) <= min(size, size * sum(parts))
