"""What a strategy may keep, and that it comes back exactly."""

import math
import socket
from array import array
from collections import deque
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import StrategyError
from tradebot.model.order import PositionSide
from tradebot.pipeline.strategy.base import Params
from tradebot.pipeline.strategy.state import freeze, thaw


class Keeper:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("count", "params")

    def __init__(self) -> None:
        self.count = 0
        self.params = Params()


plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.lists(inner).map(lambda items: deque(items, maxlen=len(items) + 2))
        | st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(lambda items: array("d", items))
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc_", min_size=1), values, max_size=4))
def test_what_was_frozen_comes_back_exactly(fields):
    restored = Keeper()
    thaw(restored, freeze(Keeper(**fields)))
    assert repr(restored.__dict__) == repr(fields)


def test_decimals_keep_their_exponents_and_deques_their_length():
    restored = Keeper()
    thaw(restored, freeze(Keeper(a=Decimal("1.500"), b=deque([1], maxlen=3))))
    assert str(restored.__dict__["a"]) == "1.500"
    assert restored.__dict__["b"].maxlen == 3


def test_parameters_stay_those_of_the_fresh_object():
    fresh = Slotted()
    old = Slotted()
    old.count = 7
    mine = fresh.params
    thaw(fresh, freeze(old))
    assert fresh.count == 7
    assert fresh.params is mine


def test_a_field_that_was_not_saved_is_gone():
    fresh = Keeper(a=1, b=2)
    thaw(fresh, freeze(Keeper(b=3)))
    assert fresh.__dict__ == {"b": 3}


def itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(60):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "the value nan"),
        (-math.inf, "the value -inf"),
        (Decimal("NaN"), "the value NaN"),
        ({1, 2}, "type set"),
        (PositionSide.LONG, "type PositionSide"),
        (lambda: 1, "type function"),
        ({"deep": [object()]}, r"y\['deep'\]\[0\]' of type object"),
        ({1.5: 1}, "a dict key of type float"),
        (array("f", [1.0]), "an array of type 'f'"),
        (array("d", [math.nan]), "the value nan"),
        (itself(), "the same list as field 'y'"),
        (deep(), "nested more than"),
    ],
)
def test_a_field_that_cannot_be_kept_is_named(value, said):
    with pytest.raises(StrategyError, match=rf"strategy Keeper keeps field '.*{said}.*cannot be saved"):
        freeze(Keeper(x=1, y=value))


def test_a_number_too_long_for_text_is_refused():
    with pytest.raises(StrategyError, match="thousands of digits"):
        freeze(Keeper(y=1 << 20_000))


def test_a_socket_is_named_with_a_mend():
    with socket.socket() as kept, pytest.raises(StrategyError) as caught:
        freeze(Keeper(y=kept))
    assert "field 'y' of type socket" in caught.value.what
    assert "keep only int, float" in caught.value.mend


def test_a_list_kept_in_two_fields_is_refused_for_it_would_come_back_as_two():
    shared = [1]
    with pytest.raises(StrategyError, match="field 'b' that is the same list as field 'a'"):
        freeze(Keeper(a=shared, b=shared))


@pytest.mark.parametrize("text", ["", "[]", '{"a":{"strange":1}}', '{"a":{"decimal":"x"}}', '{"a":{}}'])
def test_a_saved_state_that_makes_no_sense_is_an_error(text):
    with pytest.raises(StrategyError, match="cannot be read"):
        thaw(Keeper(), text)
