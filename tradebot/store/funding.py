"""Files of funding rates: a time and a rate a line, the rate being a fraction of the notional for one hour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.time import HOUR, Nanos, from_ms, to_ms
from tradebot.store.batches import MEND, UNIT_MEND, Batch, fail
from tradebot.store.columns import read_batches
from tradebot.store.series import Missing, Times, unit_fault

FUNDING_COLUMNS = ("ts_ms", "rate")
_HOUR_MS = to_ms(HOUR)


@dataclass(frozen=True, slots=True)
class FundingSummary:
    """What the check of a funding file found. ``missing`` hours between the first and the last have no rate."""

    path: Path
    symbol: str
    rows: int
    gaps: int
    missing: int
    first_gap: Missing | None
    largest_gap: Missing | None


def read_funding(path: Path) -> Iterator[tuple[Nanos, Decimal]]:
    """Give the times and rates of ``path``, times ascending. Raises ``DataError`` with the line."""
    for batch in _batches(path):
        yield from zip(map(from_ms, batch.ts), batch.columns[0], strict=True)


def check_funding(path: Path, symbol: str) -> FundingSummary:
    """Read the whole file and return what it holds. Raises ``DataError`` at the first bad line.

    Stamps are floored to the hour, as venues stamp a payment some milliseconds after it.
    """
    rows = 0
    found: list[Missing] = []
    last = None
    for batch in _batches(path):
        rows += len(batch.ts)
        for ts in batch.ts:
            hour = from_ms(ts) // HOUR
            if last is not None and hour > last + 1:
                found.append(Missing((last + 1) * _HOUR_MS, hour - last - 1))
            last = hour
    missing = sum(gap.bars for gap in found)
    largest = max(found, key=lambda gap: gap.bars, default=None)
    return FundingSummary(path, symbol, rows, len(found), missing, found[0] if found else None, largest)


def funding_fault(ts: int, numbers: Sequence[Decimal], last: int | None) -> str | None:
    """Return what is wrong with a row of ``ts`` ms after one of ``last`` ms, or ``None``."""
    return Times(None, is_whole=False).fault(ts, last) or _rate_fault(numbers[0])


def _batches(path: Path) -> Iterator[Batch]:
    times = Times(None)
    for batch in read_batches(path, FUNDING_COLUMNS):
        last = times.last
        if not times.take(batch.ts) or any(_rate_fault(rate) for rate in batch.columns[0]):
            for line, (ts, rate) in enumerate(zip(batch.ts, batch.columns[0], strict=True), batch.line):
                what = times.fault(ts, last) or _rate_fault(rate)
                if what is not None:
                    fail(path, line, what, MEND if unit_fault(ts) is None else UNIT_MEND)
                last = ts
        yield batch
    if times.last is None:
        raise DataError("there is no rate after the header", where=f"{path}:1", mend="fetch the data again")


def _rate_fault(rate: Decimal) -> str | None:
    return None if rate.is_finite() and -1 < rate < 1 else f"rate {rate} is not between -1 and 1"
