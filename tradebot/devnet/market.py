"""The market of the devnet: bars, cut into ticks, and the book, prints and candles around each tick.

A bar's ticks walk from its open over both extremes to its close, so that candles made of them are the bar.
Each tick has a fresh book of 20 levels a side; what orders take from it is gone until the next tick.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.devnet.candles import Candles
from tradebot.devnet.chance import digest, draw, share
from tradebot.devnet.coins import Coin
from tradebot.devnet.wire import Json, number
from tradebot.model.market import Bar
from tradebot.model.money import ZERO
from tradebot.model.time import NANOS_PER_MS

LEVELS = 20
KEPT_PRINTS = 200
MAKER, TAKER = "0x" + "a" * 40, "0x" + "b" * 40
"""The two addresses between which the market trades with itself."""


@dataclass(slots=True)
class BookLevel:
    """A price and what is offered there."""

    px: Decimal
    sz: Decimal
    n: int

    def row(self) -> Json:
        """Return it as on the wire."""
        return {"px": number(self.px), "sz": number(self.sz), "n": self.n}


class CoinMarket:
    """One coin: the last price, its book, prints and candles. ``depth`` is the notional of each side."""

    def __init__(self, coin: Coin, seed: int, depth: Decimal) -> None:
        self.coin = coin
        self.candles = Candles(coin.name)
        self.prints: deque[Json] = deque(maxlen=KEPT_PRINTS)
        self.fresh: list[Json] = []
        self.last = ZERO
        self.ts = 0
        self._seed = seed
        self._depth = depth
        self._ticks = 0
        self._sides: tuple[list[BookLevel], list[BookLevel]] | None = None

    def seen(self, bar: Bar) -> None:
        """Take in a bar of the past."""
        step = bar.timeframe // 4
        for part, price in enumerate(_corners(bar)):
            volume = bar.volume / 4
            self.candles.add(bar.ts_open + part * step, self.coin.on_grid(price), volume, shortest=bar.timeframe)
        self.last = self.coin.on_grid(bar.close)
        self.ts = bar.ts_event

    def tick(self, ts: int, price: Decimal, volume: Decimal) -> None:
        """Let the market trade at ``price``."""
        before, self.last, self.ts = self.last, self.coin.on_grid(price), ts
        self._ticks += 1
        self._sides = None
        size = max(self.coin.lot, self.coin.qty_down(volume))
        self.candles.add(ts, self.last, size)
        name = self.coin.name
        row: Json = {
            "coin": name,
            "side": "B" if self.last >= before else "A",
            "px": number(self.last),
            "sz": number(size),
            "hash": digest(self._seed, name, self._ticks),
            "time": ts // NANOS_PER_MS,
            "tid": draw(self._seed, name, "print", self._ticks) >> 14,
            "users": [TAKER, MAKER] if self.last >= before else [MAKER, TAKER],
        }
        self.prints.append(row)
        self.fresh.append(row)

    @property
    def sides(self) -> tuple[list[BookLevel], list[BookLevel]]:
        """The bids, highest first, and the asks, lowest first; takers shrink and remove levels."""
        if self._sides is None:
            self._sides = self._side(-1), self._side(1)
        return self._sides

    @property
    def bid(self) -> Decimal:
        """The best bid; when all were taken, a price below where they were."""
        return self._best(0)

    @property
    def ask(self) -> Decimal:
        """The best ask; when all were taken, a price above where they were."""
        return self._best(1)

    @property
    def mark(self) -> Decimal:
        """The mark and oracle price: the last one."""
        return self.last

    @property
    def mid(self) -> Decimal:
        """The price between the best bid and ask."""
        return (self.bid + self.ask) / 2

    def context(self, funding: Decimal) -> Json:
        """Return the asset context."""
        day_px, notional, base = self.candles.since_day(self.ts)
        has_book = all(self.sides)
        return {
            "funding": number(funding),
            "openInterest": number(self.coin.qty_down(self._depth / self.last)),
            "prevDayPx": number(day_px or self.last),
            "dayNtlVlm": number(round(notional, 6)),
            "premium": "0.0",
            "oraclePx": number(self.last),
            "markPx": number(self.last),
            "midPx": number(self.mid) if has_book else None,
            "impactPxs": [number(self.bid), number(self.ask)] if has_book else None,
            "dayBaseVlm": number(base),
        }

    def _best(self, side: int) -> Decimal:
        levels = self.sides[side]
        if levels:
            return levels[0].px
        return self.coin.on_grid(self.last * (Decimal("0.98") if side == 0 else Decimal("1.02")))

    def _side(self, sign: int) -> list[BookLevel]:
        levels: list[BookLevel] = []
        tick = self.coin.tick_at(self.last)
        offset = 0
        for rank in range(LEVELS):
            chance = share(self._seed, self.coin.name, self._ticks, sign, rank)
            offset += 1 + int(chance * rank)
            px = self.coin.on_grid(self.last + sign * offset * tick)
            if px <= 0 or (levels and px == levels[-1].px) or (px - self.last) * sign <= 0:
                continue
            weight = Decimal(round((0.25 + 1.5 * chance) * (rank + 1) / 210, 6))
            sz = max(self.coin.lot, self.coin.qty_down(self._depth * weight / px))
            levels.append(BookLevel(px, sz, 1 + int(chance * 9)))
        return levels


def path(bar: Bar, ticks: int) -> Iterator[tuple[int, Decimal]]:
    """Give ``ticks`` >= 4 times within ``bar`` and the prices then: open, the nearer extreme, the other, close."""
    corners = _corners(bar)
    step = bar.timeframe // ticks
    for index in range(ticks):
        position = Decimal(3 * index) / (ticks - 1)
        corner = min(2, int(position))
        rest = position - corner
        # The corners themselves are always met, at the tick nearest to them.
        if abs(position - round(position)) * (ticks - 1) < Decimal("1.5"):
            price = corners[round(position)]
        else:
            price = corners[corner] + (corners[corner + 1] - corners[corner]) * rest
        yield bar.ts_open + index * step, price


def _corners(bar: Bar) -> Sequence[Decimal]:
    extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    return (bar.open, *extremes, bar.close)
