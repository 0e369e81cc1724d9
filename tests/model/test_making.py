"""A maker gives exactly what its dataclass gives."""

from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from tradebot.model.instrument import Instrument
from tradebot.model.making import maker
from tradebot.model.market import Bar
from tradebot.model.message import KINDS


@dataclass(frozen=True, slots=True)
class Plain:
    first: int
    second: str = "b"
    third: list[int] = field(default_factory=list)
    fourth: int = field(default=4, kw_only=True)


def test_a_made_value_is_one_of_the_class() -> None:
    made = maker(Plain)(1, "c", fourth=5)
    assert type(made) is Plain
    assert made == Plain(1, "c", fourth=5)
    assert repr(made) == repr(Plain(1, "c", fourth=5))


def test_defaults_are_those_of_the_class_and_lists_are_fresh() -> None:
    make = maker(Plain)
    assert make(1) == Plain(1)
    assert make(1).third is not make(1).third


def test_a_made_value_is_frozen() -> None:
    made = maker(Plain)(1)
    with pytest.raises(FrozenInstanceError):
        made.first = 2  # type: ignore[misc]


def test_a_missing_field_is_refused() -> None:
    with pytest.raises(TypeError):
        maker(Plain)()  # type: ignore[call-arg]


def test_a_class_that_checks_its_fields_has_no_maker() -> None:
    with pytest.raises(TypeError, match="Instrument checks"):
        maker(Instrument)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_message_can_be_made(kind: str) -> None:
    assert callable(maker(KINDS[kind]))


def test_a_bar_takes_its_fields_by_position() -> None:
    values = ("BTC", 60, 60, 1, 2, 3, 4, 5)
    assert maker(Bar)(*values) == Bar(*values)  # type: ignore[arg-type]
