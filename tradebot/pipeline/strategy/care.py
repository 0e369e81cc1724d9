"""The care of open positions by the rules of the configuration: a stop that moves, and an end by time.

They are asked at each close of the strategy's bars, also of one that is disabled, and wish what a strategy could wish
itself; so risk and orders see to it that a stop is only ever moved in favour of its position, and how. Times are those
of the market: a bar that is missing counts as the time that it would have taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar
from tradebot.model.money import ZERO, Price, from_float
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.model.time import Nanos, Timeframe, floor_to
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.strategy.base import AtrTrail, BreakEven, ExitRules, MoveStop, StructureTrail
from tradebot.pipeline.strategy.measures import Atr, SymbolMeasures

BREAK_EVEN, TRAIL = "break_even", "trail"
_STEP = Decimal("0.1")
"""The part of its distance by which a stop goes on behind the best price at least: each step costs two actions."""
_SLACK = Decimal("1e-20")
"""The part of a price within which rounding may decide: there a bar is visited."""
_SWINGS = {PositionSide.LONG: "swing_low", PositionSide.SHORT: "swing_high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cared:
    """What is remembered of an open position.

    ``first`` is the stop that it began with, ``stop`` the nearest one that was asked for; ``None`` without a stop.
    ``has_gained``: it was once so far in profit that it shall not lose any more. ``best`` is the best price since the
    entry, where that is asked for. ``behind`` is the nearest place to which the price took the stop, and ``level`` what
    it is behind: a swing, or the best price of then.
    """

    first: Price | None = None
    stop: Price | None = None
    has_gained: bool = False
    best: Price | None = None
    behind: Price | None = None
    level: Price | None = None

    def risked(self, position: Position) -> Decimal | None:
        """Return the distance of the first stop from the mean entry price: one R; ``None`` where there is none."""
        if self.first is None:
            return None
        distance = (position.entry_price - self.first) * position.side.sign
        return distance if distance > 0 else None

    def with_stop(self, stop: Price, side: PositionSide) -> "Cared":
        """Return it with ``stop`` asked for, where there is one that leaves more room."""
        return replace(self, stop=stop) if self.stop is not None and is_nearer(stop, self.stop, side) else self


class Care:
    """The exit rules of one strategy in one symbol, and what they measure there."""

    __slots__ = ("_gain_atr", "_rules", "_swings", "_timeframe", "_trail_atr")

    def __init__(self, rules: ExitRules, timeframe: Timeframe, measures: SymbolMeasures) -> None:
        trail, break_even = rules.trail, rules.break_even
        self._rules = rules
        self._timeframe = timeframe
        self._swings = measures.swings_of(timeframe, trail.swing) if isinstance(trail, StructureTrail) else None
        has_range = isinstance(trail, AtrTrail) or (trail is not None and trail.atrs > 0)
        self._trail_atr = measures.atr(timeframe, trail.n) if trail is not None and has_range else None
        n = None if break_even is None else break_even.n
        self._gain_atr = None if n is None else measures.atr(timeframe, n)

    @property
    def foresees(self) -> bool:
        """Whether it can tell beforehand where it may have something to do: what no measure of the bars decides."""
        return self._rules.trail is None and self._gain_atr is None

    def horizon(
        self, cared: Cared, position: Position, instrument: Instrument, run: ColumnRun, at: int, until: int
    ) -> int:
        """Return the first place from ``at`` on at which there may be something to remember or to wish."""
        until = self._next_end(cared, position, run, at, until)
        return self._next_gain(cared, position, instrument, run, at, until)

    def _next_end(self, cared: Cared, position: Position, run: ColumnRun, at: int, until: int) -> int:
        rule = self._rules.max_hold
        if rule is None or at == until:
            return until
        due = run.find(floor_to(position.entry_ts, self._timeframe) + rule.length, at, until)
        risked, sign = cared.risked(position), position.side.sign
        if rule.unless_r is None or risked is None:
            return due
        enough = position.entry_price + sign * (rule.unless_r * risked + position.entry_price * _SLACK)
        return run.close_beyond(due, until, Price(enough), sign)

    def _next_gain(
        self, cared: Cared, position: Position, instrument: Instrument, run: ColumnRun, at: int, until: int
    ) -> int:
        rule, side = self._rules.break_even, position.side
        if rule is None or at == until:
            return until
        if cared.has_gained:
            price = _costless(rule, position, instrument)
            if cared.stop is None or not is_nearer(price, cared.stop, side):
                return until
            return run.close_beyond(at, until, price, -side.sign)
        risked = cared.risked(position)
        if risked is None:
            return until
        gain = position.entry_price + side.sign * (rule.at * risked - position.entry_price * _SLACK)
        return run.touch(at, until, *((None, gain) if side is PositionSide.LONG else (gain, None)))

    def is_over(self, cared: Cared, position: Position, close: Price, ts: Nanos) -> bool:
        """Return whether the time of ``position`` is over at the close of ``ts``, from the bar of its entry on."""
        rule = self._rules.max_hold
        if rule is None or ts < floor_to(position.entry_ts, self._timeframe) + rule.length:
            return False
        risked = cared.risked(position)
        if rule.unless_r is None or risked is None:
            return True
        return (close - position.entry_price) * position.side.sign < rule.unless_r * risked

    def learn(self, cared: Cared, position: Position, bar: Bar, instrument: Instrument) -> Cared:
        """Return what is remembered after ``bar``."""
        break_even = self._rules.break_even
        reached = _reached(position, bar)
        if break_even is not None and not cared.has_gained and self._gains(break_even, cared, position, reached):
            cared = replace(cared, has_gained=True)
        match self._rules.trail:
            case None:
                return cared
            case StructureTrail() as trail:
                return self._behind_swing(trail, cared, position.side, instrument)
            case AtrTrail() as trail:
                return self._behind_best(trail, cared, position.side, reached, instrument)
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)

    def move(self, cared: Cared, position: Position, close: Price, instrument: Instrument) -> MoveStop | None:
        """Return where the stop is to go from where ``cared`` has it: to the nearest place that ``close`` allows."""
        stop, best = cared.stop, None
        if stop is None:
            return None
        for wish in self._places(cared, position, instrument):
            if is_nearer(close, wish.stop, position.side) and is_nearer(wish.stop, stop, position.side):
                stop, best = Price(wish.stop), wish
        return best

    def _places(self, cared: Cared, position: Position, instrument: Instrument) -> Iterator[MoveStop]:
        if cared.behind is not None and cared.level is not None:
            if isinstance(self._rules.trail, AtrTrail):
                yield MoveStop(cared.behind, TRAIL, {"best": cared.level})
            else:
                yield MoveStop(cared.behind, _SWINGS[position.side], {"level": cared.level})
        if cared.has_gained and self._rules.break_even is not None:
            price = _costless(self._rules.break_even, position, instrument)
            yield MoveStop(price, BREAK_EVEN, {"entry": position.entry_price})

    def _gains(self, rule: BreakEven, cared: Cared, position: Position, reached: Price) -> bool:
        unit = cared.risked(position) if self._gain_atr is None else _measured(self._gain_atr)
        return unit is not None and (reached - position.entry_price) * position.side.sign >= rule.at * unit

    def _behind_swing(self, trail: StructureTrail, cared: Cared, side: PositionSide, instrument: Instrument) -> Cared:
        """Return what is remembered after the last bar, which may have confirmed a swing."""
        assert self._swings is not None  # noqa: S101 - they are looked for where a stop follows them  # nosec B101
        found = self._swings.low if side is PositionSide.LONG else self._swings.high
        room = ZERO if self._trail_atr is None else _measured(self._trail_atr)
        if found is None or room is None:
            return cared
        level = Price(from_float(found))
        away = room * trail.atrs + trail.ticks * instrument.tick_at(level)
        return _gone_behind(cared, level, away, side, instrument, cared.behind)

    def _behind_best(
        self, trail: AtrTrail, cared: Cared, side: PositionSide, reached: Price, instrument: Instrument
    ) -> Cared:
        """Return what is remembered after a bar that ``reached`` so far, as far as it moves the stop by a step."""
        best = reached if cared.best is None or is_nearer(reached, cared.best, side) else cared.best
        cared = cared if best is cared.best else replace(cared, best=best)
        room = None if self._trail_atr is None else _measured(self._trail_atr)
        if room is None:
            return cared
        away = room * trail.mult
        last = cared.stop
        if last is None or (cared.behind is not None and is_nearer(cared.behind, last, side)):
            last = cared.behind
        least = None if last is None else last + away * _STEP * side.sign
        return _gone_behind(cared, best, away, side, instrument, least)


def _reached(position: Position, bar: Bar) -> Price:
    """Return how far ``bar`` went in favour of ``position``, as far as that is known to have come after its entry."""
    if position.entry_ts >= bar.ts_open:
        return bar.close
    return bar.high if position.side is PositionSide.LONG else bar.low


def _gone_behind(
    cared: Cared, level: Price, away: Decimal, side: PositionSide, instrument: Instrument, least: Decimal | None
) -> Cared:
    """Return what is remembered once the stop has gone ``away`` behind ``level``, unless ``least`` is nearer."""
    price = instrument.price_against(level - away * side.sign, side.entry.opposite)
    if price <= 0 or (least is not None and is_nearer(least, price, side)):
        return cared
    return replace(cared, behind=price, level=level)


def is_nearer(price: Decimal, other: Decimal, side: PositionSide) -> bool:
    """Return whether a stop at ``price`` leaves a position less room than one at ``other``."""
    return (price - other) * side.sign > 0


def _measured(average: Atr) -> Decimal | None:
    return None if average.value is None else from_float(average.value)


def _costless(rule: BreakEven, position: Position, instrument: Instrument) -> Price:
    """Return where leaving pays for the fees of both ways and the offset, on the tick that pays more."""
    sign = position.side.sign
    price = position.entry_price * (1 + sign * rule.fee) / (1 - sign * rule.fee) * (1 + sign * rule.offset)
    return instrument.price_passive(price, position.side.entry.opposite)
