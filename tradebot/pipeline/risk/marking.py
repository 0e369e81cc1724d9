"""Marks: the book takes the closes of bars, one by one, or many at once where nothing follows from them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tradebot.model.errors import InvariantError
from tradebot.model.market import BarsClosed
from tradebot.model.money import Cash
from tradebot.model.position import EquityMark
from tradebot.model.time import DAY, Nanos, floor_to
from tradebot.pipeline.market import ColumnMarket, JointHolding
from tradebot.pipeline.points import FlatPoints, Points
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Changes
from tradebot.pipeline.risk.curve import EquityCurve
from tradebot.pipeline.risk.desk import Desk
from tradebot.pipeline.risk.gates.volume import SETTING as VOLUME
from tradebot.pipeline.risk.gates.volume import VolumeGate
from tradebot.pipeline.risk.holdings import NO_CASH
from tradebot.pipeline.runs import Part, Run


class Passed(NamedTuple):
    """Points of the curve: ``mark`` that of before the bars passed over, then one at each but the last of them.

    ``units`` are those, in multiples of 1e-8.
    """

    mark: EquityMark
    times: Sequence[Nanos]
    units: Sequence[int]
    is_exposed: bool


class Marking:
    """Marks the book of ``desk`` to the market, and lets its breakers look at the equity.

    ``market_ts`` is the last closing time, ``looked_ts`` the last whose equity was looked at; ``marked`` has that of
    each symbol's last price.
    """

    def __init__(self, desk: Desk, curve: EquityCurve) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._breakers = desk.breakers
        self._daily = desk.measures.daily
        self._volume = desk.gates.one(VolumeGate)
        self._curve = curve
        self.market_ts = self.looked_ts = Nanos(0)
        self.marked: dict[str, Nanos] = {}
        self._looked_cash: Cash | None = None
        self._day_end = 0

    def load(self, state: RiskState) -> None:
        """Take over what ``state`` says of marks."""
        self.market_ts = state.market_ts
        self.marked = dict(state.marked)
        self.looked_ts = state.looked_ts

    def take(self, closed: BarsClosed) -> tuple[EquityMark | None, Changes]:
        """Mark a close; return the point of the curve that it completes, and what breakers say of the equity."""
        ts = closed.ts_event
        symbol, bar, ledger = closed.symbol, closed.bars[-1], self._ledger
        point = self._curve.advance(ts, bar.timeframe)
        if ts > self.market_ts:
            self.market_ts = ts
        if point is not None and point.ts_event > self.looked_ts:
            # No bar showed before that its time was over.
            changes = self._breakers.on_equity(point.ts_event, point.equity)
        else:
            changes = NO_CHANGE
        self.marked[symbol] = ts
        ledger.marks[symbol] = bar.close
        self._daily.close(symbol, ts, bar.close)
        if VOLUME in self._desk.limits:
            self._volume.take(bar)
        trip = ledger.trips.get(symbol)
        if trip is not None:
            if bar.low < trip.low:
                trip.low = bar.low
            if bar.high > trip.high:
                if not bar.high.is_finite():
                    raise InvariantError(f"{symbol} has a bar up to {bar.high}", where="risk", mend="report this bug")
                trip.high = bar.high
        # While nothing is held and no money moves there is nothing to see but that a day is over.
        if ledger.trips or ledger.cash is not self._looked_cash or ts >= self._day_end:
            changes = self._look(closed, changes)
        else:
            self.looked_ts = self.market_ts
        return point, changes

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar no breaker sees what it waits for; nothing else follows from a bar here."""
        trips, looked = self._ledger.trips, self.looked_ts
        is_other = len(trips) > 1 or (trips and run.symbol not in trips)
        if self._desk.is_flattening or is_other or not self._curve.has_begun or run.time(at) <= self.market_ts:
            return at
        if not self._breakers.looks:
            return until
        # Money that has moved is looked at, and so is a day that ends where that makes a difference.
        if looked != self.market_ts or self._ledger.cash is not self._looked_cash:
            return at
        if self._breakers.counts_days:
            until = run.find(self._day_end, at, until)
            if until == at:
                return at
        worth = self._curve.worth(run.symbol)
        if worth is None:
            return until
        lowest, highest = run.span(at, until, worth)
        low, high = self._breakers.silence(highest)
        if lowest > low and highest <= high:
            return until
        return run.stray(at, until, worth, *self._breakers.silence(lowest))

    def quiet_turns(self, market: ColumnMarket, at: int, until: int) -> int:
        """Return the same of the turns of several series, all within one day."""
        trips, cash = self._ledger.trips, self._ledger.cash
        if self._desk.is_flattening or not self._curve.has_begun or not trips.keys() <= market.number.keys():
            return at
        # Until all that is held has the price of this closing time, equity is not looked at.
        if self.looked_ts != self.market_ts or cash is not self._looked_cash or market.time(at) < self.market_ts:
            return at
        until = market.find(self._day_end, at, until)
        first = market.find(self.market_ts + 1, at, until)
        if first == until or not trips:
            return until
        if not market.is_complete(trips, first, until):
            # Of the last closing time perhaps only some of what is held has its turn.
            last = market.find(market.time(until - 1), first, until)
            if last > first and not market.is_complete(trips, first, last):
                return at
        points = market.points(first, until, self._held())
        if points is None:
            return at
        if not self._breakers.looks:
            return until
        lowest, highest = points.lowest, points.highest
        low, high = self._breakers.silence(highest)
        if lowest > low and highest <= high:
            return until
        # All turns of a closing time that has something to say are visited.
        return market.find(market.moments(first, until)[points.stray(*self._breakers.silence(lowest))], at, until)

    def pass_over_turns(self, market: ColumnMarket, at: int, until: int, parts: Iterable[Part]) -> Passed | None:
        """Take quiet turns; return the points of the curve that they complete, if they do.

        ``parts`` are the bars of those that are held, and of some more.
        """
        curve, trips = self._curve, self._ledger.trips
        first = market.find(self.market_ts + 1, at, until)
        if first > at:
            curve.advance(market.time(at), market.timeframe)
        mark = curve.advance(market.time(first), market.timeframe) if first < until else None
        if mark is None:
            for part in parts:
                self.take_prices(*part)
            return None
        moments = market.moments(first, until)
        points = market.points(first, until, self._held()) if trips else FlatPoints(self._ledger.cash, len(moments))
        assert points is not None  # noqa: S101 - else they would not be quiet  # nosec B101
        for part in parts:
            self.take_prices(*part)
        if self._has_marks(market.time(until - 1)):
            self._take_points(points, market.time(until - 1))
        else:
            self._take_points_before(points, moments)
        return Passed(mark, moments[:-1], points.before_last, bool(trips))

    def _held(self) -> JointHolding:
        trips = self._ledger.trips.values()
        cost = sum((trip.cost for trip in trips), NO_CASH)
        return JointHolding(self._ledger.cash, {trip.symbol: trip.qty for trip in trips}, Cash(cost))

    def pass_over(self, run: Run, at: int, until: int) -> Passed:
        """Take quiet bars as ``_on_bars`` takes each, and return the points of the curve that they complete."""
        mark = self._curve.advance(run.time(at), run.timeframe)
        assert mark is not None  # noqa: S101 - each of these bars has a time of its own  # nosec B101
        worth = self._curve.worth(run.symbol)
        points = FlatPoints(self._ledger.cash, until - at) if worth is None else run.points(at, until, worth)
        self.take_prices(run, at, until)
        self._take_points(points, run.time(until - 1))
        return Passed(mark, run.times(at, until - 1), points.before_last, worth is not None)

    def take_prices(self, run: Run, at: int, until: int) -> None:
        """Mark the prices of quiet bars."""
        self.marked[run.symbol] = run.time(until - 1)
        self._ledger.marks[run.symbol] = run.close(until - 1)
        # Of a day only its last close is kept.
        for place in run.days(at, until):
            self._daily.close(run.symbol, run.time(place), run.close(place))
        for bar in run.bars(at, until) if VOLUME in self._desk.limits else ():
            self._volume.take(bar)
        trip = self._ledger.trips.get(run.symbol)
        if trip is not None:
            low, high = run.extremes(at, until)
            if low < trip.low:
                trip.low = low
            if high > trip.high:
                trip.high = high

    def _take_points(self, points: Points, ts: Nanos) -> None:
        self._curve.pass_over(points, ts)
        self.market_ts = self.looked_ts = ts
        self._looked_cash = self._ledger.cash
        if ts >= self._day_end:
            self._day_end = floor_to(ts - 1, DAY) + DAY
        self._learn(points)

    def _take_points_before(self, points: Points, moments: Sequence[Nanos]) -> None:
        """Do the same where not all that is held has the price of the last closing time: that is not looked at."""
        self._curve.pass_over(points, moments[-1])
        self.market_ts = moments[-1]
        seen = points.but_last()
        if seen is not None:
            self.looked_ts = moments[-2]
            self._learn(seen)

    def _learn(self, points: Points) -> None:
        """Let the breakers learn of points: none of them says anything to what is between the highest and the last."""
        if self._ledger.trips and self._breakers.looks:
            self._breakers.on_equity(self.looked_ts, points.highest)
            self._breakers.on_equity(self.looked_ts, points.last)

    def _look(self, closed: BarsClosed, before: Changes) -> Changes:
        """Let breakers look at the equity, where every position has the price of this closing time."""
        ts, trips = closed.ts_event, self._ledger.trips
        if (len(trips) > 1 or closed.symbol not in trips or ts < self.market_ts) and not self._has_marks(
            self.market_ts
        ):
            return before
        ts = self.looked_ts = self.market_ts
        self._looked_cash = self._ledger.cash
        if ts >= self._day_end:
            # At midnight itself the day that ends is looked at, and the next bar is of a new one.
            self._day_end = floor_to(ts - 1, DAY) + DAY
        changes = self._breakers.on_equity(ts, self._curve.now(ts).equity)
        return (*before, *changes) if changes else before

    def _has_marks(self, ts: Nanos) -> bool:
        marked = self.marked
        return all(marked.get(symbol, 0) >= ts for symbol in self._ledger.trips)
