"""Values to JSON and back, by their type hints: exact, strict, and compiled once for each class.

A Decimal is text, so that its digits and exponent survive; a float is its shortest repr; an enum is its
value; a dataclass is an object with every field. A union of dataclasses carries the member's ``kind``.
What is missing, unknown or of another type is refused: a state that was read half would trade half. Only a field
with a default may be missing, for a version that did not know it wrote none.
A bar, the message of which there are millions, is an array written and read by hand.
"""

from decimal import Decimal, InvalidOperation
from typing import TypeVar

import orjson

from tradebot.model.errors import InvariantError, StorageFailed
from tradebot.model.market import Bar, Message
from tradebot.model.message import KINDS
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, Timeframe
from tradebot.store.fields import record_of
from tradebot.store.scalars import Encode, Mismatch

T = TypeVar("T")
_QUOTED = 200


class BadRecord(StorageFailed):
    """Stored bytes that are not the value they should be; the body is quoted."""


def encode(value: object) -> bytes:
    """Return the dataclass ``value`` as JSON.

    Raises ``ConfigError`` when a field's type cannot be stored, ``InvariantError`` when a value is not
    of its field's type.
    """
    if type(value) is Bar:
        return _encode_bar(value)
    return _dumps(record_of(type(value)).encode, value)


def decode(cls: type[T], body: bytes) -> T:
    """Return the ``cls`` that ``encode`` made ``body`` of. Raises ``BadRecord``, quoting ``body``."""
    if cls is Bar:
        return _decode_bar(body)  # type: ignore[return-value]  # cls is Bar, so T is Bar
    record = record_of(cls)
    try:
        return record.decode(orjson.loads(body))  # type: ignore[return-value]  # the record of T decodes to T
    except (Mismatch, orjson.JSONDecodeError) as error:
        raise _bad_record(cls.__name__, error, body) from error


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
        raise InvariantError(f"{type(value).__name__} holds what its types do not say: {error}") from error


# Bars -----------------------------------------------------------------------------------------------


def _encode_bar(bar: Bar) -> bytes:
    return orjson.dumps(
        (
            bar.symbol,
            bar.timeframe,
            bar.ts_event,
            str(bar.open),
            str(bar.high),
            str(bar.low),
            str(bar.close),
            str(bar.volume),
        )
    )


def _decode_bar(body: bytes) -> Bar:
    try:
        symbol, timeframe, ts_event, open_, high, low, close, volume = orjson.loads(body)
        # Joining is the quickest proof that all of them are text.
        "".join((symbol, open_, high, low, close, volume))
        if type(timeframe) is not int or type(ts_event) is not int:
            raise Mismatch("timeframe and ts_event are whole numbers")
        return Bar(
            symbol,
            Timeframe(timeframe),
            Nanos(ts_event),
            Price(Decimal(open_)),
            Price(Decimal(high)),
            Price(Decimal(low)),
            Price(Decimal(close)),
            Qty(Decimal(volume)),
        )
    except (Mismatch, ValueError, TypeError, InvalidOperation) as error:
        raise _bad_record("Bar", error, body) from error
