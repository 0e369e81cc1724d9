"""Round trips as JSON lines, and rows as CSV: one spelling for every command."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from tradebot.model.money import plain
from tradebot.model.position import RoundTrip
from tradebot.model.time import to_ms
from tradebot.report.document import line
from tradebot.report.shapes import Document, Json

TRADE_KEYS = (
    "symbol",
    "strategy",
    "side",
    "qty",
    "entry_ts",
    "entry_price",
    "exit_ts",
    "exit_price",
    "exit_reason",
    "gross_pnl",
    "fees",
    "funding",
    "net_pnl",
    "mae",
    "mfe",
)


def trade_row(trip: RoundTrip) -> Document:
    """Return a round trip as a JSON object with ``TRADE_KEYS``."""
    return {
        "symbol": trip.symbol,
        "strategy": trip.strategy,
        "side": str(trip.side),
        "qty": plain(trip.qty),
        "entry_ts": to_ms(trip.entry_ts),
        "entry_price": plain(trip.entry_price),
        "exit_ts": to_ms(trip.exit_ts),
        "exit_price": plain(trip.exit_price),
        "exit_reason": trip.exit_reason,
        "gross_pnl": plain(trip.gross_pnl),
        "fees": plain(trip.fees),
        "funding": plain(trip.funding),
        "net_pnl": plain(trip.net_pnl),
        "mae": plain(trip.mae),
        "mfe": plain(trip.mfe),
    }


def trade_line(trip: RoundTrip) -> bytes:
    """Return a round trip as one JSON line, newline included."""
    return line(trade_row(trip))


def by_exit(trips: Iterable[RoundTrip]) -> list[RoundTrip]:
    """Return ``trips``, which come in order of ``seq``, in order of exit and then of ``seq``."""
    return sorted(trips, key=lambda trip: trip.exit_ts)


def csv_lines(keys: Sequence[str], objects: Iterable[Document]) -> Iterator[str]:
    """Yield a header of ``keys``, then one line an object; what is absent or null is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(keys)
    for row in objects:
        yield _drain(buffer)
        writer.writerow([_cell(row.get(key)) for key in keys])
    yield _drain(buffer)


def optional(number: Decimal | None) -> str | None:
    """Return ``number`` in plain notation, or ``None``."""
    return None if number is None else plain(number)


def _cell(value: Json) -> str:
    return "" if value is None else str(value)


def _drain(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
