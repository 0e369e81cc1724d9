"""The rules of trading, read from the contract and written down as plainly as possible: slow, and nobody else's code.

It knows two strategies, brackets with an ATR stop and an R target, `risk_fraction` sizes with an order and an
exposure limit, fees, slippage and funding; no latency, no margin, no liquidation.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

D = Decimal
UNIT = D("1e-8")
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Row:
    """A bar as the file has it, and its symbol and length in ms."""

    symbol: str
    length: int
    ts: int
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741
    c: Decimal


@dataclass
class Order:
    """A working order. ``kind``: entry, exit, stop or target."""

    kind: str
    side: int
    qty: Decimal
    strategy: str
    price: Decimal | None = None
    children: list["Order"] = field(default_factory=list)
    is_new: bool = True
    is_for_later: bool = False


@dataclass
class Trip:
    """A position on its way from flat to flat."""

    strategy: str
    qty: Decimal
    cost: Decimal
    entry_ts: int
    fees: Decimal = D(0)
    funding: Decimal = D(0)


def floor8(x: Decimal) -> Decimal:
    return x.quantize(UNIT, ROUND_FLOOR)


def ceil8(x: Decimal) -> Decimal:
    return x.quantize(UNIT, ROUND_CEILING)


def even8(x: Decimal) -> Decimal:
    return x.quantize(UNIT, ROUND_HALF_EVEN)


def read(path: Path, symbol: str, length: int, limit: int) -> list[Row]:
    """Return the first ``limit`` bars of a file."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = csv.DictReader(file)
        return [
            Row(symbol, length, int(r["ts_ms"]), D(r["open"]), D(r["high"]), D(r["low"]), D(r["close"]))
            for r, _ in zip(rows, range(limit), strict=False)
        ]


def read_rates(path: Path) -> dict[int, Decimal]:
    """Return the funding rates of a file by whole hour."""
    with gzip.open(path, "rt") as file:
        return {int(r["ts_ms"]) // HOUR_MS: D(r["rate"]) for r in csv.DictReader(file)}


def atr(rows: Sequence[Row], n: int) -> float | None:
    """Return Wilder's average true range of the last bar, from all of them."""
    if len(rows) <= n:
        return None
    ranges = []
    for before, row in pairwise(rows):
        h, low, c = float(row.h), float(row.l), float(before.c)
        ranges.append(max(h - low, abs(h - c), abs(low - c)))
    total = 0.0
    for one in ranges[:n]:
        total += one
    value = total / n
    for one in ranges[n:]:
        value = (value * (n - 1) + one) / n
    return value


def mean(rows: Sequence[Row]) -> Fraction:
    return sum((Fraction(row.c) for row in rows), Fraction(0)) / len(rows)


def sma_wish(rows: Sequence[Row], fast: int, slow: int, _held: int) -> int:
    """Return the side that the cross of this bar asks for, 0 without one."""
    if len(rows) <= slow:
        return 0
    now = mean(rows[-fast:]) - mean(rows[-slow:])
    before = mean(rows[-fast - 1 : -1]) - mean(rows[-slow - 1 : -1])
    return 1 if now > 0 >= before else -1 if now < 0 <= before else 0


def donchian_wish(rows: Sequence[Row], entry: int, exit_: int, held: int) -> tuple[bool, int]:
    """Return whether to leave, and the side to enter, 0 for none."""
    close = rows[-1].c
    leave, side = False, 0
    if len(rows) > exit_:
        last = rows[-exit_ - 1 : -1]
        leave = (held > 0 and close < min(r.l for r in last)) or (held < 0 and close > max(r.h for r in last))
    if len(rows) > entry:
        last = rows[-entry - 1 : -1]
        side = 1 if close > max(r.h for r in last) else -1 if close < min(r.l for r in last) else 0
    return leave, side if side != held else 0


class Reference:
    """Runs the rules over bars. ``strategies`` maps a symbol to (name, kind, parameters)."""

    def __init__(
        self,
        strategies: Mapping[str, tuple[str, str, tuple[int, int]]],
        rates: Mapping[str, Mapping[int, Decimal]],
        *,
        cash: str = "10000",
        taker: str = "0.00045",
        maker: str = "0.00015",
        slip: str = "0.0001",
        rate: str = "0.0000125",
        fraction: str = "0.002",
        max_order: str = "5000",
        max_exposure: str = "9000",
        mult: str = "2",
        r: str = "2",
    ) -> None:
        self.strategies, self.rates = strategies, rates
        self.cash, self.taker, self.maker, self.slip = D(cash), D(taker), D(maker), D(slip)
        self.rate, self.fraction, self.mult, self.r = D(rate), D(fraction), D(mult), D(r)
        self.max_order, self.max_exposure = D(max_order), D(max_exposure)
        self.history: dict[str, list[Row]] = defaultdict(list)
        self.orders: dict[str, list[Order]] = defaultdict(list)
        self.trips: dict[str, Trip] = {}
        self.marks: dict[str, Decimal] = {}
        self.closed: list[dict[str, object]] = []

    def run(self, rows: Iterable[Row]) -> list[dict[str, object]]:
        """Return the round trips in order of exit."""
        for row in sorted(rows, key=lambda r: (r.ts + r.length, r.symbol.encode())):
            self.pay_funding(row)
            self.match_open(row)
            self.match_within(row)
            self.marks[row.symbol] = row.c
            self.history[row.symbol].append(row)
            self.decide(row)
        return self.closed

    def pay_funding(self, row: Row) -> None:
        trip, before = self.trips.get(row.symbol), self.history[row.symbol]
        if trip is None or not before:
            return
        for hour in range(before[-1].ts // HOUR_MS + 1, row.ts // HOUR_MS + 1):
            rate = self.rates.get(row.symbol, {}).get(hour, self.rate)
            amount = even8(-trip.qty * self.marks[row.symbol] * rate)
            trip.funding += amount
            self.cash += amount

    def match_open(self, row: Row) -> None:
        queue = self.orders[row.symbol]
        position = 0
        while position < len(queue):
            order = queue[position]
            position += 1
            price = self.price_at_open(order, row.o)
            if price is None or not self.can_fill(row.symbol, order):
                continue
            is_maker = order.kind == "target" and not order.is_new
            self.fill(row, order, price, self.maker if is_maker else self.taker)
            if order.kind == "entry":
                queue.extend(order.children)
        for order in queue:
            order.is_new = False
        self.clean(row.symbol)

    def price_at_open(self, order: Order, o: Decimal) -> Decimal | None:
        if order.kind in ("entry", "exit"):
            return self.slipped(o, order.side)
        assert order.price is not None
        beyond = (o - order.price) * order.side
        if order.kind == "stop":
            return self.slipped(o, order.side) if beyond >= 0 else None
        return o if beyond <= 0 else None

    def match_within(self, row: Row) -> None:
        for kind in ("stop", "target"):
            for order in list(self.orders[row.symbol]):
                if order.kind != kind or not self.can_fill(row.symbol, order):
                    continue
                assert order.price is not None
                if kind == "stop":
                    touched = row.l <= order.price if order.side < 0 else row.h >= order.price
                    if touched:
                        self.fill(row, order, self.slipped(order.price, order.side), self.taker)
                else:
                    through = row.h > order.price if order.side < 0 else row.l < order.price
                    if through:
                        self.fill(row, order, order.price, self.maker)
        self.clean(row.symbol)

    def can_fill(self, symbol: str, order: Order) -> bool:
        if order.qty == 0:
            return False
        trip = self.trips.get(symbol)
        return order.kind == "entry" or (trip is not None and trip.qty * order.side < 0)

    def slipped(self, price: Decimal, side: int) -> Decimal:
        moved = price * (1 + self.slip * side)
        return ceil8(moved) if side > 0 else floor8(moved)

    def fill(self, row: Row, order: Order, price: Decimal, fee_rate: Decimal) -> None:
        symbol, trip = row.symbol, self.trips.get(row.symbol)
        fee = ceil8(order.qty * price * fee_rate)
        self.cash -= fee
        if order.kind == "entry":
            assert trip is None
            signed = order.qty * order.side
            self.trips[symbol] = Trip(order.strategy, signed, signed * price, row.ts, fees=fee)
            order.qty = D(0)
            return
        assert trip is not None
        gross = even8(trip.qty * price - trip.cost)
        self.cash += gross
        fees = trip.fees + fee
        self.closed.append(
            {
                "symbol": symbol,
                "strategy": trip.strategy,
                "side": "long" if trip.qty > 0 else "short",
                "qty": abs(trip.qty),
                "entry_ts": trip.entry_ts,
                "entry_price": even8(trip.cost / trip.qty),
                "exit_ts": row.ts,
                "exit_price": price,
                "exit_reason": {"exit": "signal"}.get(order.kind, order.kind),
                "gross_pnl": gross,
                "fees": fees,
                "funding": trip.funding,
                "net_pnl": gross - fees + trip.funding,
            }
        )
        del self.trips[symbol]
        # Everything that was to close this position has nothing left to close.
        for other in self.orders[symbol]:
            if other.kind != "entry":
                other.qty = D(0)

    def clean(self, symbol: str) -> None:
        self.orders[symbol] = [order for order in self.orders[symbol] if order.qty != 0]

    def decide(self, row: Row) -> None:
        symbol = row.symbol
        if symbol not in self.strategies:
            return
        name, kind, (first, second) = self.strategies[symbol]
        rows, trip = self.history[symbol], self.trips.get(symbol)
        held = 0 if trip is None else 1 if trip.qty > 0 else -1
        if kind == "sma_cross":
            side = sma_wish(rows, first, second, held)
            leave = side != 0 and held == -side
        else:
            leave, side = donchian_wish(rows, first, second, held)
            leave = leave or (side != 0 and held == -side)
        if leave and trip is not None:
            self.orders[symbol].append(Order("exit", -held, abs(trip.qty), name))
        if side and (held == 0 or leave):
            self.enter(row, name, side, is_reversal=leave)

    def enter(self, row: Row, name: str, side: int, *, is_reversal: bool) -> None:
        value = atr(self.history[row.symbol], 14)
        if value is None or value == 0:
            return
        distance = D(repr(value)) * self.mult
        stop = floor8(row.c - distance) if side > 0 else ceil8(row.c + distance)
        reach = abs(row.c - stop) * self.r
        target = ceil8(row.c + reach) if side > 0 else floor8(row.c - reach)
        qty = floor8(self.equity() * self.fraction / abs(row.c - stop))
        if qty * row.c > self.max_order:
            qty = floor8(self.max_order / row.c)
        exposure = self.exposure(row.symbol if is_reversal else None)
        if exposure + qty * row.c > self.max_exposure:
            qty = floor8(max(D(0), self.max_exposure - exposure) / row.c)
        if qty <= 0:
            return
        children = [Order("stop", -side, qty, name, stop), Order("target", -side, qty, name, target)]
        self.orders[row.symbol].append(Order("entry", side, qty, name, children=children))

    def equity(self) -> Decimal:
        return self.cash + sum((t.qty * self.marks[s] - t.cost for s, t in self.trips.items()), D(0))

    def exposure(self, leaving: str | None) -> Decimal:
        closing = {s for s, orders in self.orders.items() if any(o.kind == "exit" for o in orders)}
        held = sum(
            (abs(t.qty) * self.marks[s] for s, t in self.trips.items() if s != leaving and s not in closing), D(0)
        )
        return held + sum(
            (self.entry_notional(s, o) for s, orders in self.orders.items() for o in orders if o.kind == "entry"), D(0)
        )

    def entry_notional(self, symbol: str, order: Order) -> Decimal:
        return order.qty * self.marks[symbol]
