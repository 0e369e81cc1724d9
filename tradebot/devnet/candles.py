"""Candles of every interval the exchange has, made of prints; only the newest 5000 of each are kept."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import dropwhile, takewhile

from tradebot.devnet.wire import Json, number
from tradebot.model.money import ZERO
from tradebot.model.time import DAY, HOUR, NANOS_PER_MS, NANOS_PER_S, floor_to, parse_timeframe

KEPT = 5_000
_MONTH = "1M"
_MINUTES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w")
INTERVALS: Mapping[str, int] = {name: parse_timeframe(name) for name in _MINUTES} | {_MONTH: 31 * DAY}
"""Every interval with its length; a month's is its longest."""


@dataclass(slots=True)
class Candle:
    """A candle from ``opens`` up to ``closes``, exclusive; the newest one of an interval is still forming."""

    coin: str
    interval: str
    opens: int
    closes: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    prints: int = 0

    def add(self, price: Decimal, volume: Decimal) -> None:
        """Take in a print."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += volume
        self.prints += 1

    def row(self) -> Json:
        """Return it as on the wire; the closing time is inclusive there."""
        return {
            "t": self.opens // NANOS_PER_MS,
            "T": self.closes // NANOS_PER_MS - 1,
            "s": self.coin,
            "i": self.interval,
            "o": number(self.open),
            "c": number(self.close),
            "h": number(self.high),
            "l": number(self.low),
            "v": number(self.volume),
            "n": self.prints,
        }


class Candles:
    """The candles of one coin."""

    def __init__(self, coin: str) -> None:
        self._coin = coin
        self._rows: Mapping[str, deque[Candle]] = {name: deque(maxlen=KEPT) for name in INTERVALS}

    def add(self, ts: int, price: Decimal, volume: Decimal, *, shortest: int = 0) -> None:
        """Take in a print at ``ts``; intervals below ``shortest`` leave it out."""
        for interval, length in INTERVALS.items():
            if length >= shortest:
                self._add(interval, length, ts, price, volume)

    def newest(self, interval: str) -> Candle | None:
        """Return the forming candle."""
        rows = self._rows[interval]
        return rows[-1] if rows else None

    def between(self, interval: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Return the candles that touch the time from ``start_ms`` to ``end_ms``, both inclusive."""
        start, end = start_ms * NANOS_PER_MS, end_ms * NANOS_PER_MS
        late = dropwhile(lambda candle: candle.closes <= start, self._rows[interval])
        return list(takewhile(lambda candle: candle.opens <= end, late))

    def since_day(self, now: int) -> tuple[Decimal, Decimal, Decimal]:
        """Return the price 24 hours before ``now`` and the notional and base volume since then."""
        rows = [candle for candle in self._rows["1h"] if candle.opens > now - DAY - HOUR]
        if not rows:
            return ZERO, ZERO, ZERO
        notional = sum((candle.volume * candle.close for candle in rows), ZERO)
        return rows[0].open, notional, sum((candle.volume for candle in rows), ZERO)

    def _add(self, interval: str, length: int, ts: int, price: Decimal, volume: Decimal) -> None:
        rows = self._rows[interval]
        if not rows or ts >= rows[-1].closes:
            opens, closes = _bounds(interval, length, ts)
            rows.append(Candle(self._coin, interval, opens, closes, price, price, price, price))
        rows[-1].add(price, volume)


def _bounds(interval: str, length: int, ts: int) -> tuple[int, int]:
    if interval != _MONTH:
        opens = floor_to(ts, length)
        return opens, opens + length
    day = datetime.fromtimestamp(ts // NANOS_PER_S, UTC).replace(day=1, hour=0, minute=0, second=0)
    following = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)
    return int(day.timestamp()) * NANOS_PER_S, int(following.timestamp()) * NANOS_PER_S
