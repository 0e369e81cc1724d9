"""The ledger: cash, positions and marks. Fills, funding and bars write it; nothing else does."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.model.market import Message
from tradebot.model.money import ONE, ZERO, Cash, Price, book
from tradebot.model.order import Fill
from tradebot.model.position import Deposit, FundingPaid, Position, PositionChanged
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.holdings import NO_CASH
from tradebot.pipeline.risk.recent import Recent
from tradebot.pipeline.risk.trip import Trip

# Two days of a symbol that pays each hour.
_PAYMENTS = 48


class Ledger:
    """Money and positions. A fill past flat closes one trip and opens the next; each fee goes to its part."""

    __slots__ = (
        "cash",
        "deposit_ids",
        "deposits",
        "fees",
        "funded",
        "funding",
        "funding_estimates",
        "marks",
        "realized",
        "starting_cash",
        "trips",
    )

    def __init__(self, starting_cash: Cash) -> None:
        self.starting_cash = starting_cash
        self.cash = starting_cash
        self.realized: Cash = NO_CASH
        self.fees: Cash = NO_CASH
        self.funding: Cash = NO_CASH
        self.funding_estimates = 0
        self.marks: dict[str, Price] = {}
        self.trips: dict[str, Trip] = {}
        self.deposits: Cash = NO_CASH
        self.funded: dict[str, tuple[Nanos, ...]] = {}
        self.deposit_ids = Recent()

    def load(self, state: RiskState) -> None:
        """Take over what ``state`` says of money and positions."""
        self.starting_cash = state.starting_cash
        self.cash = state.cash
        self.realized = state.realized
        self.fees = state.fees
        self.funding = state.funding
        self.funding_estimates = state.funding_estimates
        self.marks = dict(state.marks)
        self.trips = {symbol: Trip.thaw(saved) for symbol, saved in state.positions.items()}
        self.deposits = state.deposits
        self.funded = dict(state.funded)
        self.deposit_ids = Recent(state.deposit_ids)

    def equity(self) -> Cash:
        """Return cash and open P&L at the last marks, exact."""
        total: Decimal = self.cash
        for symbol, trip in self.trips.items():
            total += trip.qty * self.marks[symbol] - trip.cost
        return Cash(total)

    def equity_at(self, prices: Mapping[str, Price]) -> Cash:
        """Return cash and open P&L at ``prices``, and at the last marks where there is none."""
        total: Decimal = self.cash
        for symbol, trip in self.trips.items():
            total += trip.qty * prices.get(symbol, self.marks[symbol]) - trip.cost
        return Cash(total)

    def exposure(self) -> Cash:
        """Return the notional of all positions at the last marks, but of those an exit at work closes."""
        trips = self.trips.values()
        return Cash(sum((abs(t.qty) * self.marks[t.symbol] for t in trips if not t.is_closing), ZERO))

    def fill(self, fill: Fill, scale: Decimal = ONE) -> Sequence[Message]:
        """Book ``fill`` and return what became of the position: a round trip when it ended one.

        ``scale`` is that of its entry.
        """
        ended, held = self.take(fill, scale)
        told = () if ended is None else (ended.round_trip(fill), _now(fill, ended, None))
        return told if held is None else (*told, _now(fill, held, held.position()))

    def take(self, fill: Fill, scale: Decimal = ONE) -> tuple[Trip | None, Trip | None]:
        """Book ``fill`` and return the trip that it ended, and the one that is open now, where there is one."""
        # A position must have a mark even when it opens before the first bar of its symbol closed.
        self.marks.setdefault(fill.symbol, fill.price)
        self.fees = Cash(self.fees + fill.fee)
        self.cash = Cash(self.cash - fill.fee)
        signed_qty = fill.qty * fill.side.sign
        trip = self.trips.get(fill.symbol)
        if trip is None:
            return None, self._open(fill, signed_qty, fill.fee, scale)
        if (trip.qty > 0) is (signed_qty > 0):
            trip.add(signed_qty, fill.price, fill.fee, scale)
            return None, trip
        return self._reduce(trip, fill, signed_qty, scale)

    def is_due(self, paid: FundingPaid) -> bool:
        """Return whether ``paid`` is not booked yet; what is older than all that is remembered is."""
        times = self.funded.get(paid.symbol, ())
        is_remembered = len(times) < _PAYMENTS or paid.ts_event > times[0]
        return is_remembered and paid.ts_event not in times

    def fund(self, paid: FundingPaid) -> None:
        """Book ``paid``, to the position of its symbol where there still is one."""
        # One that was paid while nobody listened may come behind a later one.
        self.funded[paid.symbol] = tuple(sorted((*self.funded.get(paid.symbol, ()), paid.ts_event))[-_PAYMENTS:])
        self.funding = Cash(self.funding + paid.amount)
        self.cash = Cash(self.cash + paid.amount)
        self.funding_estimates += paid.is_estimate
        trip = self.trips.get(paid.symbol)
        if trip is not None:
            trip.funding = Cash(trip.funding + paid.amount)

    def deposit(self, deposit: Deposit) -> None:
        """Book money from outside; the first is all the cash there was, as it stood then, where none was known."""
        is_first = not self.starting_cash and not self.deposit_ids
        self.deposit_ids.add(deposit.id)
        if is_first:
            # What was traded before is in that cash already.
            self.starting_cash = Cash(deposit.amount - self.cash)
            self.cash = deposit.amount
            return
        self.deposits = Cash(self.deposits + deposit.amount)
        self.cash = Cash(self.cash + deposit.amount)

    def _open(self, fill: Fill, signed_qty: Decimal, fee: Decimal, scale: Decimal) -> Trip:
        trip = self.trips[fill.symbol] = Trip(fill.symbol, fill.strategy, fill.ts_event, fill.price)
        trip.add(signed_qty, fill.price, fee, scale)
        return trip

    def _reduce(self, trip: Trip, fill: Fill, signed_qty: Decimal, scale: Decimal) -> tuple[Trip | None, Trip | None]:
        closed = signed_qty if abs(signed_qty) <= abs(trip.qty) else -trip.qty
        fee = fill.fee if closed == signed_qty else book(fill.fee * closed / signed_qty)
        realized = trip.reduce(closed, fill.price, fee)
        self.realized = Cash(self.realized + realized)
        self.cash = Cash(self.cash + realized)
        if trip.qty:
            return None, trip
        del self.trips[trip.symbol]
        if closed == signed_qty:
            return trip, None
        return trip, self._open(fill, signed_qty - closed, fill.fee - fee, scale)


def _now(fill: Fill, trip: Trip, position: Position | None) -> PositionChanged:
    return PositionChanged(
        ts_event=fill.ts_event,
        symbol=trip.symbol,
        strategy=trip.strategy,
        position=position,
        signal_id=fill.signal_id,
    )
