"""Values to JSON and back, by their type hints: exact, strict, and compiled once for each class.

A Decimal is text, so that its digits and exponent survive; a float is its shortest repr; an enum is its
value; a dataclass is an object with every field. A union of dataclasses carries the member's ``kind``.
What is missing, unknown or of another type is refused: a state that was read half would trade half. Only a field
with a default may be missing, for a version that did not know it wrote none.
Messages, of which there are millions, are written and read by compiled code, a bar as an array. What that does not
take is read value by value, which names the place; what has floats is written so, for JSON has no infinity.
"""

from decimal import Decimal
from functools import cache
from typing import TypeVar

import msgspec
import orjson

from tradebot.model.errors import InvariantError, StorageFailed
from tradebot.model.market import Bar, Message
from tradebot.model.message import KINDS
from tradebot.model.signal import Approved, Refused, Signal
from tradebot.store.fields import record_of
from tradebot.store.scalars import Encode, WrongType

T = TypeVar("T")
_QUOTED = 200
_WITH_FLOATS = (Signal, Approved, Refused)
_write = msgspec.json.Encoder().encode


class BadRecord(StorageFailed):
    """Stored bytes that are not the value they should be; the body is quoted."""


def encode(value: object) -> bytes:
    """Return ``value`` as JSON.

    Raises ``ConfigError`` when a field's type cannot be stored, ``InvariantError`` when a value is not
    of its field's type.
    """
    if isinstance(value, Message) and not isinstance(value, _WITH_FLOATS):
        try:
            body = _write(value)
        except (TypeError, ValueError) as error:
            raise _bad_value(value, error) from error
        if type(value) is Bar or not (b"NaN" in body or b"Infinity" in body):
            return body
    return _dumps(record_of(type(value)).encode, value)


def decode(cls: type[T], body: bytes) -> T:
    """Return the ``cls`` that ``encode`` made ``body`` of. Raises ``BadRecord``, quoting ``body``."""
    if issubclass(cls, Message):
        try:
            message: T = _reader(cls).decode(body)
            return message
        except msgspec.MsgspecError as error:
            if cls is Bar:
                raise _bad_record(cls.__name__, error, body) from error
    record = record_of(cls)
    try:
        return record.decode(orjson.loads(body))  # type: ignore[return-value]  # the record of T decodes to T
    except (WrongType, orjson.JSONDecodeError) as error:
        raise _bad_record(cls.__name__, error, body) from error


@cache
def _reader(cls: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(cls)


def encode_message(message: Message) -> bytes:
    """Return the payload of the journal row of ``message``; its kind is kept beside it."""
    return encode(message)


def decode_message(kind: str, payload: bytes) -> Message:
    """Return the message of a journal row. Raises ``BadRecord``, also on a kind that does not exist."""
    cls = KINDS.get(kind)
    if cls is None:
        raise BadRecord(f"no message is of kind {kind!r}; the row reads {_quote(payload)}")
    return decode(cls, payload)


def _bad_record(name: str, error: Exception, body: bytes) -> BadRecord:
    where = getattr(error, "path", "")
    return BadRecord(f"not a {name}: {error}; it reads {_quote(body)}", where=f"{name}{where}" if where else "")


def _quote(body: bytes) -> str:
    return repr(bytes(body[:_QUOTED]))[1:] + (f" and {len(body) - _QUOTED} bytes more" if len(body) > _QUOTED else "")


def _text(value: object) -> str:
    if type(value) is Decimal and value.is_finite():
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _dumps(to_tree: Encode, value: object) -> bytes:
    try:
        return orjson.dumps(to_tree(value), default=_text)
    except (TypeError, AttributeError, ValueError) as error:
        raise _bad_value(value, error) from error


def _bad_value(value: object, error: Exception) -> InvariantError:
    return InvariantError(f"{type(value).__name__} holds what its types do not say: {error}")
