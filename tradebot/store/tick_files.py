"""Files of trades, quotes and order books, as messages: CSV or CSV.GZ, times ascending, equal ones in their order.

Trades: ``ts_ms,price,size``, and ``side`` of the taker. Quotes: ``ts_ms,bid,ask``, and ``bid_size,ask_size``. Books:
``ts_ms,bp1,bs1,bp2,...,ap1,as1,...``, prices and sizes of both sides, the best first; as many levels as there are.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

from tradebot.model.errors import DataError
from tradebot.model.market import Level, Quote, Trade
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, from_ms
from tradebot.store.batches import RowFault, is_plain
from tradebot.store.columns import raw_lines
from tradebot.store.series import unit_fault

_MEND = "correct the line, or leave it out"
_TRADES = (("ts_ms", "price", "size"), ("ts_ms", "price", "size", "side"))
_QUOTES = (("ts_ms", "bid", "ask"), ("ts_ms", "bid", "ask", "bid_size", "ask_size"))
_SIDES = {"buy": True, "sell": False}
_MOST_LEVELS = 1000

Tick = Trade | Quote
Parse = Callable[[str, Nanos, Sequence[str]], Tick]


class TickFile:
    """The ticks of one symbol in one file. Iterating raises ``DataError`` at the first bad row."""

    def __init__(self, path: Path, symbol: str, kind: str) -> None:
        self.path, self.symbol, self.kind = path, symbol, kind

    @property
    def name(self) -> str:
        """What it holds, such as ``BTC:trades``."""
        return f"{self.symbol}:{self.kind}"

    def __iter__(self) -> Iterator[Tick]:
        return self.skip(0)

    def skip(self, count: int) -> Iterator[Tick]:
        """Give the ticks after the first ``count``."""
        lines = raw_lines(self.path)
        _, header = next(lines, (1, ""))
        columns = tuple(header.rstrip("\r").split(","))
        parse, last = self._parser(columns), 0
        for line, text in lines:
            try:
                fields = text.rstrip("\r").split(",")
                if len(fields) != len(columns):
                    raise RowFault(f"{len(fields)} columns instead of {len(columns)}")
                if not is_plain(text):
                    raise RowFault("not numbers")
                ms = int(fields[0])
                _check_time(ms, last)
                last = ms
                if line > count + 1:
                    yield parse(self.symbol, from_ms(ms), fields[1:])
            except (ValueError, InvalidOperation) as error:
                what = str(error) if isinstance(error, RowFault) else "not numbers"
                raise DataError(f"{what}: {text[:80]!r}", where=f"{self.path}:{line}", mend=_MEND) from None

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hex. Raises ``DataError``."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=str(self.path)) from error

    def _parser(self, columns: tuple[str, ...]) -> Parse:
        if self.kind == "trades" and columns in _TRADES:
            return _trade
        if self.kind == "quotes" and columns in _QUOTES:
            return _quote
        depth = (len(columns) - 1) // 4
        if self.kind == "books" and 0 < depth <= _MOST_LEVELS and columns == _book_columns(depth):
            return _book
        wanted = {
            "trades": _TRADES[1],
            "quotes": _QUOTES[1],
            "books": (*_book_columns(2)[:5], "...", "ap1", "as1", "..."),
        }
        what = f"the header is {','.join(columns)[:80]!r}"
        raise DataError(what, where=f"{self.path}:1", mend=f"{self.kind} have {','.join(wanted[self.kind])}")


def _trade(symbol: str, ts: Nanos, fields: Sequence[str]) -> Trade:
    if len(fields) == 3 and fields[2] not in _SIDES:
        raise RowFault(f"side {fields[2]!r} is neither buy nor sell")
    is_buy = len(fields) < 3 or _SIDES[fields[2]]
    return Trade(symbol=symbol, ts_event=ts, price=_price(fields[0]), qty=_size(fields[1]), is_buy=is_buy)


def _quote(symbol: str, ts: Nanos, fields: Sequence[str]) -> Quote:
    bid, ask = _price(fields[0]), _price(fields[1])
    _check_crossed(bid, ask)
    if len(fields) == 2:
        return Quote(symbol=symbol, ts_event=ts, bid=bid, ask=ask)
    return Quote(symbol=symbol, ts_event=ts, bid=bid, ask=ask, bid_qty=_size(fields[2]), ask_qty=_size(fields[3]))


def _book(symbol: str, ts: Nanos, fields: Sequence[str]) -> Quote:
    half = len(fields) // 2
    bids, asks = _levels(fields[:half], -1), _levels(fields[half:], 1)
    _check_crossed(bids[0].price, asks[0].price)
    return Quote(
        symbol=symbol,
        ts_event=ts,
        bid=bids[0].price,
        ask=asks[0].price,
        bid_qty=bids[0].qty,
        ask_qty=asks[0].qty,
        bids=bids[1:],
        asks=asks[1:],
    )


def _levels(fields: Sequence[str], sign: int) -> tuple[Level, ...]:
    # A thin book has empty fields at its end.
    pairs = [(price, size) for price, size in zip(fields[::2], fields[1::2], strict=True) if price or size]
    levels = tuple(Level(_price(price), _size(size)) for price, size in pairs)
    if not levels:
        raise RowFault("a side of the book is empty")
    if any((behind.price - before.price) * sign <= 0 for before, behind in pairwise(levels)):
        raise RowFault("the levels of a side are not in order")
    return levels


def _check_time(ms: int, last: int) -> None:
    if ms < last:
        raise RowFault("it is earlier than the row before")
    fault = unit_fault(ms)
    if fault is not None and not last:
        raise RowFault(fault)


def _check_crossed(bid: Decimal, ask: Decimal) -> None:
    if bid > ask:
        raise RowFault(f"bid {bid} is above ask {ask}")


def _price(text: str) -> Price:
    price = Decimal(text)
    if not (price.is_finite() and price > 0):
        raise RowFault(f"price {text} is not above 0")
    return Price(price)


def _size(text: str) -> Qty:
    size = Decimal(text)
    if not (size.is_finite() and size >= 0):
        raise RowFault(f"size {text} is below 0")
    return Qty(size)


def _book_columns(depth: int) -> tuple[str, ...]:
    sides = (("bp", "bs"), ("ap", "as"))
    return ("ts_ms", *(f"{name}{level}" for side in sides for level in range(1, depth + 1) for name in side))
