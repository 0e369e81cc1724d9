import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from types import UnionType
from typing import Any, ClassVar, NewType, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tradebot.model.errors import ConfigError, InvariantError
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Message
from tradebot.model.message import KINDS
from tradebot.model.money import Cash
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos
from tradebot.store.codec import BadRecord, decode, decode_message, encode, encode_message
from tradebot.store.fields import record_of

D = Decimal
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(
    places=8, min_value=-(10**9), max_value=10**9
)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of every type a stored field may have."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is tuple and arguments[-1] is not ...:
        return st.tuples(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is list:
        return st.lists(values_of(arguments[0]), max_size=3)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    if hint is Instrument:
        positive = DECIMALS.filter(lambda number: number > 0)
        return st.builds(
            Instrument, symbol=TEXT, tick=positive, lot=positive, min_notional=positive, max_leverage=st.integers(1, 99)
        )
    if dataclasses.is_dataclass(hint) or issubclass(hint, Struct):
        hints = get_type_hints(hint)
        fields = getattr(hint, "__struct_fields__", None) or hint.__dataclass_fields__
        names = [name for name in fields if name != "kind"]
        return st.builds(hint, **{name: values_of(hints[name]) for name in names})
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    scalars = {int: INT64, str: TEXT, bool: st.booleans(), Decimal: DECIMALS, type(None): st.none()}
    return st.floats(allow_nan=False) if hint is float else scalars[hint]


BARS = ("bar", "bars_closed")


class Mode(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Cat:
    kind: ClassVar[str] = "cat"
    lives: int


@dataclass(frozen=True, slots=True)
class Tree:
    kind: ClassVar[str] = "tree"
    children: tuple["Tree", ...]
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Seen:
    count: int
    ratio: float = 0.5
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


Pair = NewType("Pair", tuple[int, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    count: int
    name: str
    ratio: float
    flag: bool
    price: Decimal
    mode: Mode
    closes: tuple[float, ...]
    pairs: list[Pair]
    by_name: dict[str, Decimal]
    by_number: dict[int, list[Cat]]
    by_mode: Mapping[Mode, float]
    animal: Cat | Tree
    maybe: Cat | Tree | None
    tree: Tree


@pytest.mark.parametrize("cls", KINDS.values(), ids=lambda cls: cls.kind)
@given(data=st.data())
def test_every_message_reads_back_as_it_was_and_is_written_field_by_field(
    cls: type[Message], data: st.DataObject
) -> None:
    message = data.draw(values_of(cls))
    assert decode_message(cls.kind, encode_message(message)) == message
    if cls.kind not in BARS:
        assert encode(message) == orjson.dumps(record_of(cls).encode(message), default=str)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"ts_event":1,"id":"d1","amount":"x"}', "Deposit.amount: "),
        (b'{"ts_event":"1","id":"d1","amount":"1"}', "Deposit.ts_event: "),
        (b'{"ts_event":1,"id":"d1"}', "missing fields \\['amount'\\]"),
        (b'{"ts_event":1,"id":"d1","amount":"1","tail":1}', "unknown fields \\['tail'\\]"),
    ],
)
def test_the_place_of_a_wrong_value_in_a_message_is_named(body: bytes, where: str) -> None:
    with pytest.raises(BadRecord, match=where):
        decode(Deposit, body)


def limited(depth: int = 2) -> st.SearchStrategy[Tree]:
    children = st.just(()) if depth == 0 else st.lists(limited(depth - 1), max_size=2).map(tuple)
    return st.builds(Tree, children, st.none() | st.floats(allow_nan=False))


@given(st.data())
def test_every_kind_of_field_reads_back_as_it_was(data: st.DataObject) -> None:
    animal = st.builds(Cat, INT64) | limited()
    hints = get_type_hints(State)
    own = {"animal": animal, "maybe": st.none() | animal, "tree": limited()}
    fields = {name: own[name] if name in own else values_of(hint) for name, hint in hints.items()}
    state = data.draw(st.builds(State, **fields))
    assert decode(State, encode(state)) == state


def test_a_decimal_keeps_its_digits_and_exponent() -> None:
    for text in ("1E+2", "0.10", "-0", "1E-18", "123456789012345678901234567890.1"):
        bar = Bar("BTC", 1, 2, D(text), D(text), D(text), D(text), D(text))
        assert str(decode(Bar, encode(bar)).close) == text


def test_floats_without_a_json_form_survive() -> None:
    @dataclass(frozen=True)
    class Floats:
        values: tuple[float, ...]

    read = decode(Floats, encode(Floats((float("inf"), float("-inf"), float("nan"), 5e-324))))
    assert [repr(value) for value in read.values] == ["inf", "-inf", "nan", "5e-324"]


def test_a_whole_number_is_read_as_the_float_it_should_be() -> None:
    assert type(decode(Tree, b'{"children":[],"ratio":1}').ratio) is float


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"{}", "missing fields \\['lives'\\]"),
        (b'{"lives":1,"tail":2}', "unknown fields \\['tail'\\]"),
        (b'{"lives":"9"}', "Cat.lives: not a Cat: '9' is not of type int"),
        (b'{"lives":true}', "True is not of type int"),
        (b"[]", "not an object"),
        (b"{", "not a Cat"),
        (b"\xff", "not a Cat"),
    ],
)
def test_a_body_that_is_not_the_value_is_refused_and_quoted(body: bytes, what: str) -> None:
    with pytest.raises(BadRecord, match=what) as caught:
        decode(Cat, body)
    assert repr(body)[1:] in str(caught.value)


def test_a_field_that_an_older_version_did_not_know_has_its_default() -> None:
    older = encode(Seen(1, 2.5, {"a": "b"}))
    for name, value in (("ratio", 0.5), ("names", {})):
        tree = orjson.loads(older)
        del tree[name]
        assert getattr(decode(Seen, orjson.dumps(tree)), name) == value
    assert decode(Seen, b'{"count":7}') == Seen(7)
    with pytest.raises(BadRecord, match="missing fields \\['count'\\]"):
        decode(Seen, b'{"ratio":1.0}')
    with pytest.raises(BadRecord, match="unknown fields \\['tail'\\]"):
        decode(Seen, b'{"count":1,"tail":2}')


def state(**changes: object) -> dict[str, object]:
    animal = {"kind": "cat", "lives": 1}
    return {
        "count": 1, "name": "n", "ratio": 1.5, "flag": True, "price": "1", "mode": "up", "closes": [1.0],
        "pairs": [[1, "a"]], "by_name": {}, "by_number": {"1": [{"lives": 1}]}, "by_mode": {"up": 1.0},
        "animal": animal, "maybe": None, "tree": {"children": [], "ratio": None},
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"price": 1}, "State.price"),
        ({"price": "one"}, "State.price"),
        ({"ratio": "1"}, "State.ratio"),
        ({"mode": "sideways"}, "State.mode"),
        ({"mode": []}, "State.mode"),
        ({"closes": 1.0}, "State.closes"),
        ({"closes": [1.0, None]}, r"State.closes\[1\]"),
        ({"pairs": [[1]]}, r"State.pairs\[0\]"),
        ({"pairs": [[1, 2]]}, r"State.pairs\[0\]\[1\]"),
        ({"by_name": []}, "State.by_name"),
        ({"by_number": {"one": []}}, "State.by_number"),
        ({"by_number": {"1": [{"lives": None}]}}, r"State.by_number\[1\]\[0\].lives"),
        ({"animal": {"kind": "dog"}}, "State.animal"),
        ({"animal": None}, "State.animal"),
        ({"tree": {"children": [{}], "ratio": None}}, r"State.tree.children\[0\]"),
    ],
)
def test_the_place_of_a_wrong_value_is_named(changes: dict[str, object], where: str) -> None:
    assert decode(State, orjson.dumps(state()))
    with pytest.raises(BadRecord, match=f"^{where}: "):
        decode(State, orjson.dumps(state(**changes)))


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b"null", b'"abcdefgh"', b'[1,1,1,"1","1","1","1","1"]', b'["B",1,1.0,"1","1","1","1","1"]',
     b'["B",1,1,true,"1","1","1","1"]', b'["B",1,1,"x","1","1","1","1"]', b"["],
)  # fmt: skip
def test_what_is_not_a_bar_is_refused(body: bytes) -> None:
    with pytest.raises(BadRecord, match="not a Bar"):
        decode_message("bar", body)


@given(st.binary(max_size=40), st.sampled_from(sorted(KINDS)))
def test_no_bytes_at_all_raise_anything_else(body: bytes, kind: str) -> None:
    with pytest.raises(BadRecord):
        decode_message(kind, body)


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadRecord, match="no message is of kind 'candle'"):
        decode_message("candle", b"{}")


def test_a_long_body_is_quoted_in_part() -> None:
    with pytest.raises(BadRecord, match="800 bytes more"):
        decode(Cat, b"x" * 1000)


@pytest.mark.parametrize(
    "hint", [object, set[int], dict[float, int], int | str, Any, bytes, Cat | int, type[int], complex]
)
def test_a_field_that_cannot_be_stored_is_refused_by_name(hint: Any) -> None:
    cls = dataclasses.make_dataclass("Mine", [("count", int), ("seen", hint)])
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"^Mine.seen: .*cannot be stored"):
            decode(cls, b"{}")


def test_what_is_no_dataclass_cannot_be_stored() -> None:
    with pytest.raises(ConfigError, match="int is not a dataclass"):
        decode(int, b"{}")


@pytest.mark.parametrize("value", [Cat(object()), Cat(2**70), Tree((Cat(1),), 1.0), Tree(None, 1.0)])
def test_a_value_that_is_not_of_its_type_is_a_bug(value: object) -> None:
    with pytest.raises(InvariantError, match="holds what its types do not say"):
        encode(value)


def test_a_union_refuses_a_value_of_no_member() -> None:
    body = encode(decode(State, orjson.dumps(state())))
    with pytest.raises(InvariantError):
        encode(dataclasses.replace(decode(State, body), animal=object()))


def test_a_class_that_refuses_its_values_is_a_bad_record() -> None:
    @dataclass(frozen=True)
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("odd")

    with pytest.raises(BadRecord, match="odd"):
        decode(Even, b'{"number":1}')


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_no_amount_that_is_no_number_is_recorded(text: str) -> None:
    with pytest.raises(InvariantError, match="holds what its types do not say"):
        encode(Deposit(ts_event=Nanos(0), id="d1", amount=Cash(D(text))))
