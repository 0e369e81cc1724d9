"""Positions as the fills of a journal tell them: what was open when, whose it was, what it realized."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import ZERO, Cash, Price, book, mean_price, plain
from tradebot.model.order import Fill, PositionSide
from tradebot.model.position import RoundTrip
from tradebot.model.time import Nanos, to_ms
from tradebot.report.shapes import Document


@dataclass(slots=True)
class Holding:
    """An open position: ``qty`` != 0, short < 0, ``cost`` of the same sign, ``realized`` since it was flat."""

    strategy: str
    entry_ts: Nanos
    qty: Decimal
    cost: Decimal
    realized: Decimal = ZERO

    def row(self, symbol: str, mark: Price | None) -> Document:
        """Return it as an object of ``open_positions``; without a mark its open P&L is unknown."""
        unrealized = None if mark is None else plain(book(self.qty * mark - self.cost))
        return {
            "symbol": symbol,
            "strategy": self.strategy,
            "side": str(PositionSide.LONG if self.qty > 0 else PositionSide.SHORT),
            "qty": plain(abs(self.qty)),
            "entry_ts": to_ms(self.entry_ts),
            "entry_price": plain(mean_price(self.cost, self.qty)),
            "mark_price": None if mark is None else plain(mark),
            "unrealized_pnl": unrealized,
            "realized_pnl": plain(self.realized),
        }


class Holdings:
    """All positions, by symbol: a symbol has one owner. Average cost, booked as risk books it."""

    def __init__(self) -> None:
        self.open: dict[str, Holding] = {}
        self._ended: dict[tuple[str, str], Decimal] = {}

    def owner(self, symbol: str) -> str:
        """Return the strategy that holds ``symbol``; empty when nobody does."""
        holding = self.open.get(symbol)
        return "" if holding is None else holding.strategy

    def fill(self, fill: Fill) -> Cash:
        """Book a fill and return what it realized."""
        signed = fill.qty * fill.side.sign
        held = self.open.get(fill.symbol)
        if held is None:
            self._enter(fill, signed)
            return Cash(ZERO)
        if (held.qty > 0) == (signed > 0):
            held.qty += signed
            held.cost += signed * fill.price
            return Cash(ZERO)
        return self._reduce(held, fill, signed)

    def correction(self, trip: RoundTrip) -> Cash:
        """Return what a finished trip realized beyond what its fills told here.

        The line's own figure is the one that counts, so that a report never differs from its trades.
        """
        return Cash(trip.gross_pnl - self._ended.pop((trip.symbol, trip.strategy), ZERO))

    def _enter(self, fill: Fill, signed: Decimal) -> None:
        self.open[fill.symbol] = Holding(fill.strategy, fill.ts_event, signed, signed * fill.price)

    def _reduce(self, held: Holding, fill: Fill, signed: Decimal) -> Cash:
        closed = -signed if abs(signed) < abs(held.qty) else held.qty
        cost = held.cost * closed / held.qty
        realized = book(closed * fill.price - cost)
        held.realized += realized
        held.qty -= closed
        held.cost -= cost
        if not held.qty:
            del self.open[fill.symbol]
            self._ended[fill.symbol, held.strategy] = held.realized
            rest = signed + closed
            if rest:
                self._enter(fill, rest)
        return realized
