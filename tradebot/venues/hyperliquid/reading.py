"""Typed access to what the venue says: a missing, mistyped or absurd value is named, and the body quoted."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NoReturn

import orjson

from tradebot.model.errors import Unreadable
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, from_ms

_QUOTED = 400
_DECIMAL = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_CLOID = re.compile(r"0x[0-9a-fA-F]{32}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
# No coin costs more, no account holds more; a larger number is a mistake or an attack.
_MAX_PRICE = Decimal(10**12)
_MAX_QTY = Decimal(10**16)
_MAX_INTEGER = 1 << 63
# 2017 to 2100: anything else is a unit mixed up.
_MIN_MS = 1_483_228_800_000
_MAX_MS = 4_102_444_800_000


class Node:
    """A value within a reply, which knows where it stands so that an error can say so.

    ``has_failed``, of the reply itself: some part of it could not be read.
    """

    __slots__ = ("_key", "_parent", "has_failed", "value")

    def __init__(self, value: object, parent: "Node | None" = None, key: str = "") -> None:
        self.value = value
        self.has_failed = False
        self._parent = parent
        self._key = key

    @property
    def path(self) -> str:
        """Where it stands, such as ``reply.order.limitPx``."""
        return self._key if self._parent is None else f"{self._parent.path}.{self._key}"

    @property
    def is_null(self) -> bool:
        """Whether it is JSON null."""
        return self.value is None

    def fail(self, why: str) -> NoReturn:
        """Raise ``Unreadable`` with the place, the reason and the body around it."""
        root = self
        while root._parent is not None:
            root = root._parent
        root.has_failed = True
        raise Unreadable(f"{self.path or 'the reply'} {why}; the venue said: {quote(root.value)}", where="hyperliquid")

    def at(self, key: str) -> "Node":
        """Return the member ``key``; fails when there is none."""
        if not isinstance(self.value, dict):
            self.fail(f"is no object with {key!r}")
        if key not in self.value:
            self.fail(f"has no {key!r}")
        return Node(self.value[key], self, key)

    def get(self, key: str) -> "Node | None":
        """Return the member ``key``, or ``None`` when it is absent or null."""
        if not isinstance(self.value, dict):
            self.fail(f"is no object with {key!r}")
        value = self.value.get(key)
        return None if value is None else Node(value, self, key)

    def rows(self) -> "Iterator[Node]":
        """Yield the elements of a list."""
        if not isinstance(self.value, list):
            self.fail("is no list")
        for index, value in enumerate(self.value):
            yield Node(value, self, str(index))

    def pair(self) -> "tuple[Node, Node]":
        """Return the two elements of a list of exactly two."""
        rows = tuple(self.rows())
        if len(rows) != 2:
            self.fail(f"has {len(rows)} elements instead of 2")
        return rows[0], rows[1]

    def members(self) -> "Iterator[tuple[str, Node]]":
        """Yield the keys and members of an object."""
        if not isinstance(self.value, dict):
            self.fail("is no object")
        for key, value in self.value.items():
            yield key, Node(value, self, key)

    def text(self) -> str:
        """Return a text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            self.fail("is no text")
        return self.value

    def one_of(self, *words: str) -> str:
        """Return a text that is one of ``words``."""
        if self.value not in words:
            self.fail(f"is none of {', '.join(words)}")
        return str(self.value)

    def flag(self) -> bool:
        """Return a JSON boolean."""
        if not isinstance(self.value, bool):
            self.fail("is neither true nor false")
        return self.value

    def integer(self, low: int = 0, high: int = _MAX_INTEGER) -> int:
        """Return a JSON integer from ``low`` up to ``high``, exclusive."""
        value = self.value
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail("is no integer")
        if not low <= value < high:
            self.fail(f"is {value}, outside {low} to {high}")
        return value

    def time(self) -> Nanos:
        """Return epoch milliseconds as ``Nanos``."""
        return from_ms(self.integer(_MIN_MS, _MAX_MS))

    def decimal(self, limit: Decimal = _MAX_QTY) -> Decimal:
        """Return a decimal in plain notation, smaller than ``limit`` in amount. JSON numbers are refused."""
        if not isinstance(self.value, str) or _DECIMAL.fullmatch(self.value) is None:
            self.fail("is no decimal text")
        number = Decimal(self.value)
        if abs(number) >= limit:
            self.fail(f"is absurdly large: {self.value}")
        return number

    def price(self) -> Price:
        """Return a price > 0."""
        number = self.decimal(_MAX_PRICE)
        if number <= 0:
            self.fail(f"is no price: {number}")
        return Price(number)

    def qty(self) -> Qty:
        """Return a quantity >= 0."""
        number = self.decimal()
        if number < 0:
            self.fail(f"is a negative quantity: {number}")
        return Qty(number)

    def positive_qty(self) -> Qty:
        """Return a quantity > 0."""
        number = self.qty()
        if number == 0:
            self.fail("is zero")
        return number

    def cloid(self) -> str:
        """Return a 128-bit client id as lower-case hex with ``0x``."""
        text = self.text()
        if _CLOID.fullmatch(text) is None:
            self.fail("is no client id of 32 hex digits")
        return text.lower()

    def address(self) -> str:
        """Return a lower-case address."""
        text = self.text()
        if _ADDRESS.fullmatch(text) is None:
            self.fail("is no address")
        return text.lower()


def quote(value: object) -> str:
    """Return the start of a body for an error text."""
    try:
        text = value if isinstance(value, str) else orjson.dumps(value, default=repr).decode(errors="replace")
    except orjson.JSONEncodeError:
        # What is read may be nested deeper than what can be written.
        text = f"a {type(value).__name__} that is nested too deeply to be quoted"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}... ({len(text)} characters)"


def parse(body: bytes, name: str = "reply") -> Node:
    """Return the JSON of ``body``. Raises ``Unreadable`` when it is none; NaN and infinities are none."""
    try:
        return Node(orjson.loads(body), None, name)
    except orjson.JSONDecodeError as error:
        text = quote(body.decode(errors="replace"))
        raise Unreadable(f"{name} is no JSON ({error}); the venue said: {text}", where="hyperliquid") from error
