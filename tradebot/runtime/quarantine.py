"""Inputs that made the line fail: set aside for good, with the reason, so that every later boot leaves them out."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from tradebot.model.failure import LineFailed
from tradebot.model.market import Message
from tradebot.model.order import FillReport, OrderAccepted, OrderCanceled, OrderFound, OrderRejected
from tradebot.model.position import Deposit, FundingPaid
from tradebot.model.time import Nanos
from tradebot.store.codec import decode, decode_message, encode
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import Row

_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Failure:
    """What a row of ``LineFailed`` says; ``row_seq`` is the row itself."""

    said: LineFailed
    row_seq: int

    def leaves_out(self, seq: int) -> bool:
        """Return whether the input of row ``seq`` is not run."""
        return self.said.first <= seq <= self.said.last

    def parts(self, seq: int) -> bool:
        """Return whether row ``seq`` tells of a line that had run what is left out: it need not repeat."""
        return self.said.last < seq < self.row_seq and self.said.first > 0

    def voids(self, seq: int) -> bool:
        """Return whether row ``seq`` is an output of what is left out: it never came to be."""
        return 0 < self.said.first < seq < (self.said.until or self.row_seq)


def failures(rows: Iterable[Row]) -> tuple[Failure, ...]:
    """Return what rows of ``LineFailed`` say."""
    return tuple(Failure(_failed(row), row.seq) for row in rows)


async def read_failures(journal: SqliteJournal) -> tuple[Failure, ...]:
    """Return all failures of ``journal``."""
    return failures([row async for row in journal.scan(Query(kinds=[LineFailed.kind]))])


def message_of(row: Row) -> Message:
    """Return the message of a journal row. Raises ``BadRecord``."""
    return _failed(row) if row.kind == LineFailed.kind else decode_message(row.kind, row.payload)


async def set_aside(journal: SqliteJournal, first: int, error: BaseException, last: int = 0, until: int = 0) -> None:
    """Record that the input of row ``first``, or all up to row ``last``, made the line fail; ``first`` 0: none did.

    Returns once that is durable. Raises ``StorageFailed``.
    """
    await journal.committed(journal.last_seq)
    rows = await journal.rows(Query(after_seq=first - 1, before_seq=first + 1)) if first else []
    message = decode_message(rows[0].kind, rows[0].payload) if rows else None
    failed = LineFailed(
        ts_event=Nanos(rows[0].ts_event if rows else 0),
        first=first,
        last=max(first, last),
        until=until,
        input="" if message is None else message.kind,
        symbol="" if message is None else _symbol(message),
        about="" if message is None else _about(message),
        why=f"{type(error).__name__}: {error}"[:_LONGEST_REASON],
    )
    await journal.committed(journal.append(failed.kind, failed.ts_event, encode(failed)))


def is_set_aside(message: Message, failed: Iterable[LineFailed]) -> bool:
    """Return whether the venue tells again what was set aside: it would make the line fail again."""
    about = _about(message)
    return bool(about) and any((one.input, one.about) == (message.kind, about) for one in failed)


def _about(message: Message) -> str:
    """Return the ids of what a venue tells, and may tell again; empty for anything else."""
    match message:
        case OrderFound():
            return message.order.client_order_id
        case FillReport():
            return " ".join(filter(None, (message.client_order_id, message.trade_id)))
        case Deposit():
            return message.id
        case FundingPaid():
            return f"{message.symbol} {message.ts_event}"
        case OrderAccepted() | OrderCanceled() | OrderRejected():
            return message.client_order_id
        case _:
            return ""


def _symbol(message: Message) -> str:
    return message.order.symbol if isinstance(message, OrderFound) else getattr(message, "symbol", "")


def _failed(row: Row) -> LineFailed:
    said = orjson.loads(row.payload)
    if isinstance(said, int):
        # As the first versions wrote it.
        return LineFailed(ts_event=Nanos(row.ts_event), first=said, last=said)
    return decode(LineFailed, row.payload)
