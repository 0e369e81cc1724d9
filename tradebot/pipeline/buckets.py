"""Bars in the making: the coarser of finer ones, and the first of prints."""

from dataclasses import dataclass

from tradebot.model.market import Bar, Trade
from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, Timeframe, floor_to


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bar in the making. ``is_whole``: it was seen from its opening on."""

    ts_open: Nanos
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty
    is_whole: bool


class Builder:
    """Builds the bars of one timeframe from finer bars, or from prints.

    Only the very first bucket can be partial: later ones that miss a part are what the market gave.
    """

    __slots__ = (
        "_close",
        "_has_begun",
        "_high",
        "_is_open",
        "_is_whole",
        "_low",
        "_open",
        "_symbol",
        "_volume",
        "timeframe",
        "ts_end",
        "ts_open",
    )
    _open: Price
    _high: Price
    _low: Price
    _close: Price
    _volume: Qty

    def __init__(self, symbol: str, timeframe: Timeframe) -> None:
        self._symbol = symbol
        self.timeframe = timeframe
        self.ts_open = self.ts_end = 0
        self._is_open = False
        self._is_whole = False
        self._has_begun = False

    def add(self, part: Bar, closed: list[Bar]) -> None:
        """Take in a finer bar and append what closed with it, the older first."""
        ts_open = Nanos(part.ts_event - part.timeframe)
        if self._is_open and ts_open >= self.ts_end:
            self._emit(closed)
        if self._is_open:
            self._extend(part.high, part.low, part.close, part.volume)
        else:
            self._begin(ts_open)
            self._open, self._high, self._low = part.open, part.high, part.low
            self._close, self._volume = part.close, part.volume
        if part.ts_event >= self.ts_end:
            self._emit(closed)

    def print(self, trade: Trade) -> Bar | None:
        """Take in a print and return the bar before it, when that is closed by it."""
        price = trade.price
        closed: list[Bar] = []
        if self._is_open and trade.ts_event >= self.ts_end:
            self._emit(closed)
        if self._is_open:
            self._extend(price, price, price, trade.qty)
        else:
            self._begin(trade.ts_event)
            self._open = self._high = self._low = self._close = price
            self._volume = trade.qty
        return closed[0] if closed else None

    def _begin(self, ts: Nanos) -> None:
        self.ts_open = floor_to(ts, self.timeframe)
        self.ts_end = self.ts_open + self.timeframe
        self._is_whole = self._has_begun or ts == self.ts_open
        self._has_begun = self._is_open = True

    def _extend(self, high: Price, low: Price, close: Price, volume: Qty) -> None:
        if high > self._high:
            self._high = high
        if low < self._low:
            self._low = low
        self._close = close
        self._volume = Qty(self._volume + volume)

    def _emit(self, closed: list[Bar]) -> None:
        self._is_open = False
        if self._is_whole:
            end = Nanos(self.ts_end)
            prices = (self._open, self._high, self._low, self._close)
            closed.append(Bar(self._symbol, self.timeframe, end, *prices, self._volume))

    def save(self) -> Bucket | None:
        """Return the bar in the making; ``None`` between two."""
        if not self._is_open:
            return None
        prices = (self._open, self._high, self._low, self._close)
        return Bucket(Nanos(self.ts_open), *prices, self._volume, self._is_whole)

    def load(self, bucket: Bucket | None, has_begun: bool) -> None:
        """Become what ``save`` saw. ``has_begun``: some part was seen before, so the next bucket is whole."""
        self._has_begun = has_begun
        self._is_open = bucket is not None
        if bucket is None:
            return
        self.ts_open = bucket.ts_open
        self.ts_end = bucket.ts_open + self.timeframe
        self._open, self._high, self._low = bucket.open, bucket.high, bucket.low
        self._close, self._volume, self._is_whole = bucket.close, bucket.volume, bucket.is_whole
