"""How far away the liquidation is, measured by the distance of the stop."""

from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.model.money import ONE, ZERO, Price, Qty, rounded
from tradebot.model.order import PositionSide
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Room
from tradebot.pipeline.risk.limits import LimitUse

GATE = "liquidation_distance"
SETTING = "liquidation_stops"
_PLACES = 4


class _Basis(NamedTuple):
    """What stands behind a position: equity less what all others need, and the maintenance of its own notional."""

    cushion: Decimal
    rate: Decimal
    side: PositionSide

    def distance(self, notional: Decimal) -> Decimal:
        """Return by what part of its price the symbol may move against ``notional`` > 0 before all is liquidated."""
        return max(ZERO, (self.cushion - notional * self.rate) / (notional * (ONE - self.side.sign * self.rate)))

    def needed(self, distance: Decimal) -> Decimal:
        """Return how much of the cushion each unit of notional takes that is to stand a move of ``distance``."""
        return self.rate + distance * (ONE - self.side.sign * self.rate)


class LiquidationGate(Gate):
    """Entries whose liquidation lies so many times as far away as their stop, all else staying where it is.

    Cross margin: one account for all. What is at work counts as filled.
    """

    names: ClassVar = {GATE: "the smallest order would be liquidated nearer than `liquidation_stops` times its stop"}

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._maintenance = config.maintenance
        self._rates: dict[int, Decimal] = {}

    def room(self, signal: Signal, qty: Qty, price: Price, book: Book) -> Room | None:
        """Return how much leaves the liquidation far enough away."""
        limit = book.limits.get(SETTING)
        if limit is None or signal.stop is None:
            return None
        basis = self._basis(signal.symbol, signal.side, book)
        stop = abs((signal.close if signal.entry_price is None else signal.entry_price) - signal.stop) / price
        needed = basis.needed(limit * stop)
        if qty * price * needed <= basis.cushion:
            return None
        instrument = book.instrument(signal.symbol)
        most = instrument.qty_down(max(ZERO, basis.cushion) / needed / price)
        if most and most * price * needed > basis.cushion:
            # The division rounded up to a whole number of lots.
            most = Qty(most - instrument.lot)
        away = rounded(basis.distance(qty * price) / stop, _PLACES)
        return Room(GATE, limit, away, most)

    def use(self, book: Book) -> LimitUse | None:
        """Return how many stops away the nearest liquidation of a position is."""
        limit = book.limits.get(SETTING)
        if limit is None:
            return None
        nearest = min(
            ((self._stops_away(symbol, book), symbol) for symbol in book.trips if symbol in book.stops), default=None
        )
        if nearest is None:
            return LimitUse(limit=SETTING, value=ZERO, max=limit, pct_used=ZERO)
        away, symbol = nearest
        pct_used = rounded(limit / away * 100, _PLACES) if away > 0 else Decimal(100)
        return LimitUse(limit=SETTING, value=rounded(away, _PLACES), max=limit, pct_used=pct_used, scope=symbol)

    def _stops_away(self, symbol: str, book: Book) -> Decimal:
        trip, mark = book.trips[symbol], book.marks[symbol]
        stop = (mark - book.stops[symbol]) * trip.side.sign / mark
        distance = self._basis(symbol, trip.side, book).distance(abs(trip.qty) * mark)
        # Beyond its stop a position is about to be left.
        return distance / stop if stop > 0 else ZERO

    def _basis(self, symbol: str, side: PositionSide, book: Book) -> _Basis:
        others = ((one, notional) for one, notional in book.exposed().by_symbol.items() if one != symbol)
        needed = sum((notional * self._rate(one, book) for one, notional in others), ZERO)
        return _Basis(book.equity() - needed, self._rate(symbol, book), side)

    def _rate(self, symbol: str, book: Book) -> Decimal:
        leverage = book.instrument(symbol).max_leverage
        rate = self._rates.get(leverage)
        if rate is None:
            rate = self._rates[leverage] = self._maintenance / leverage
        return rate
