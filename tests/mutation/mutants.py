"""What becomes of a true word on a bad day: fields of another value or type, and of another order, coin or time.

``mutated`` changes a message of the line as a parser may let it through; ``beyond`` as none should. ``mangled`` changes
the JSON of a reply or a frame: what is no longer of its type, and what still is and lies.
"""

import contextlib
import dataclasses
import json
import random
import re
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

from msgspec import Struct

from tests.builders import replace
from tradebot.model.instrument import Instrument
from tradebot.model.market import Message
from tradebot.model.order import OrderRequest

D = Decimal
M = TypeVar("M", bound=Message)
HUGE = "x" * 20_000
DAY = 86_400 * 10**9
_LOW, _HIGH = 1_483_228_800 * 10**9, 4_102_444_799 * 10**9
_WORDS = ("", " ", "é\u202e", "a-b-c-entry", "-entry", "0", HUGE)
_NUMBERS = tuple(
    map(D, ("0", "-1", "1", "0.5", "7", "1e-18", "0.123456789012345678", "999999999999", "9999999999999999"))
)
_WILD = tuple(map(D, ("NaN", "sNaN", "Infinity", "-Infinity", "1e40", "-1e40", "-0")))
_PRICE = (D(0), D(10**12))
_BOUNDS = {"qty": (D(0), D(10**16)), "price": _PRICE, "trigger": _PRICE, "rate": (D(-1), D(1))}
_TIMES = (_LOW, _HIGH)
_WILD_TIMES = (0, -1, 1, 2**62, 2**63 - 1, -(2**63))


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """Names that are ours, of which a lie may speak."""

    symbols: Sequence[str]
    orders: Sequence[str]
    trades: Sequence[str]


class Mutator:
    """Changes messages by chance; ``is_wild``: also to what no parser lets through."""

    def __init__(self, chance: random.Random, *, is_wild: bool = False) -> None:
        self._chance, self._is_wild = chance, is_wild
        self.kinds: dict[str, int] = {}

    def mutated(self, message: M, known: Known) -> M:
        """Return ``message`` with one field changed, seldom two."""
        for _ in range(1 if self._chance.random() < 0.85 else 2):
            message = self._changed(message, known)
        return message

    def _changed(self, value: Any, known: Known) -> Any:
        cls = type(value)
        hints = typing.get_type_hints(cls)
        names = list(cls.__struct_fields__ if issubclass(cls, Struct) else cls.__dataclass_fields__)
        name = self._chance.choice(names)
        self._count(f"{getattr(cls, 'kind', cls.__name__)}.{name}")
        old = getattr(value, name)
        return replace(value, **{name: self._other(name, hints[name], old, known)})

    def _other(self, name: str, hint: Any, old: Any, known: Known) -> Any:
        choice = self._chance.choice
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        if type(None) in options and choice((True, False, False)):
            return None
        kind = next(one for one in options if one is not type(None))
        kind = getattr(kind, "__supertype__", kind)
        match old:
            case OrderRequest() | Instrument():
                # An instrument says by itself what cannot be.
                with contextlib.suppress(ValueError):
                    return self._changed(old, known)
                return old
            case bool():
                return not old
            case Enum():
                return choice(list(type(old)))
            case str():
                return self._word(name, old, known)
            case Mapping():
                return {key: self._word(key, word, known) for key, word in old.items()}
        return self._value(name, kind, old, known)

    def _value(self, name: str, kind: Any, old: Any, known: Known) -> Any:
        if kind is str:
            return self._word(name, "", known)
        if kind is Decimal or isinstance(old, Decimal):
            return self._number(name, old)
        return self._time(old) if kind is int or isinstance(old, int) else old

    def _word(self, name: str, old: str, known: Known) -> str:
        choice = self._chance.choice
        if name == "symbol":
            return choice([*known.symbols, "DOGE", old.lower(), *_WORDS])
        if name.endswith("trade_id"):
            return choice([*known.trades, *_WORDS])
        return choice([*known.orders, *known.orders, "foreign-7", f"{old}x", *known.symbols, *_WORDS])

    def _number(self, name: str, old: Decimal | None) -> Decimal:
        choice = self._chance.choice
        near = [] if old is None or not old.is_finite() else [old * 2, old / 2, -old, old * 1000, old + D("1e-9")]
        numbers = [*near, *_NUMBERS]
        if self._is_wild:
            return choice([*numbers, *_WILD])
        low, high = _BOUNDS.get(name, (-D(10**16), D(10**16)))
        return choice([number for number in numbers if low < number < high])

    def _time(self, old: int | None) -> int:
        choice = self._chance.choice
        near = [] if old is None else [old - DAY, old + DAY, old + 1, old - 1]
        times = [*near, *_TIMES, *(_WILD_TIMES if self._is_wild else ())]
        return int(choice([time for time in times if self._is_wild or _LOW <= time <= _HIGH] or [0]))

    def _count(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


# Replies and frames -----------------------------------------------------------------------------------


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


DROP = object()
BROKEN: tuple[Any, ...] = (
    DROP,
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    2**62,
    2**70,
    "",
    "NaN",
    "Infinity",
    "-1",
    "0",
    "0.0",
    "1e400",
    "9" * 60,
    "0x",
    "unheardOf",
    "\u0660\u0661",
    "\u0000",
    HUGE,
    [],
    {},
    [[]],
    {"px": "1"},
    # As deep as can be read, and deeper than can be written.
    _nested(300),
)
Place = tuple[str | int, ...]
_PLAIN = re.compile(r"-?\d{1,12}(\.\d{1,8})?", re.ASCII)


def places(value: Any, path: Place = ()) -> list[Place]:
    """Return where something stands within a body; of a long list the first and the last few."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, member in value.items():
            found += places(member, (*path, key))
    elif isinstance(value, list):
        for index in {*range(len(value))[:3], *range(len(value))[-2:]}:
            found += places(value[index], (*path, index))
    return found


class Mangler:
    """Changes the JSON of the venue by chance: into what cannot be, and into what can and is not so.

    ``ids`` are numbers and cloids heard before, by key: a lie may name another one of ours.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.ids: dict[str, list[Any]] = {}
        self.kinds: dict[str, int] = {}

    def mangled(self, body: Any, *, is_lie: bool | None = None) -> Any:
        """Return ``body`` changed in one place, seldom in two; ``is_lie``: so that it still reads, as far as known."""
        holder = {"": json.loads(json.dumps(body))}
        for _ in range(1 if self._chance.random() < 0.8 else 2):
            spots = places(holder[""])
            if not spots:
                break
            self._change(holder[""], self._chance.choice(spots), is_lie)
        return holder[""]

    def _change(self, body: Any, place: Place, is_lie: bool | None) -> None:
        holder = body
        for step in place[:-1]:
            holder = holder[step]
        last: Any = place[-1]
        key = next((str(step) for step in reversed(place) if isinstance(step, str)), "")
        lies = self._chance.random() < 0.5 if is_lie is None else is_lie
        value = self._lie(key, holder[last]) if lies else self._chance.choice(BROKEN)
        self._count(f"{key} {'lies' if lies else type(value).__name__}")
        if value is DROP:
            del holder[last]
        else:
            holder[last] = json.loads(json.dumps(value))

    def hear(self, body: Any) -> None:
        """Take note of the ids in a true body."""
        for place in places(body):
            key = place[-1]
            if key in ("oid", "tid", "cloid", "coin", "status"):
                value = body
                for step in place:
                    value = value[step]
                if isinstance(value, (str, int)):
                    self.ids[str(key)] = [*self.ids.get(str(key), [])[-40:], value]

    def _lie(self, key: str, old: Any) -> Any:
        chance = self._chance
        known = self.ids.get(key)
        if known and chance.random() < 0.6:
            return chance.choice(known)
        match old:
            case bool():
                return not old
            case int():
                return max(0, old + chance.choice((-1, 1, 60_000, -60_000, 86_400_000)))
            case list():
                return chance.choice((old + old, old[::-1], old[1:], old[:1]))
            case str() if old in ("A", "B"):
                return "B" if old == "A" else "A"
            case str():
                return self._other_text(old)
        return old

    def _other_text(self, old: str) -> str:
        if _PLAIN.fullmatch(old) is None:
            return self._chance.choice(("BTC", "ETH", "DOGE", "canceled", "filled", "open", "rejected", "triggered"))
        factor = self._chance.choice(("2", "0.5", "-1", "10", "0.999", "1.001", "0"))
        return format((D(old) * D(factor)).quantize(D("0.00001")), "f")

    def _count(self, kind: str) -> None:
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
