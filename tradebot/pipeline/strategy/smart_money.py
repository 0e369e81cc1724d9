"""What the smart-money strategies share: patterns on three timeframes, confidence, ladder, and care of a position.

All lengths are bars of the strategy's own timeframe, all distances average true ranges or multiples of the
stop's distance, so that the parameters mean the same on every market.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Self, cast

from pydantic import model_validator

from tradebot.model.money import Price, from_float
from tradebot.model.time import floor_to, to_ms
from tradebot.pipeline.columns import ColumnRun
from tradebot.pipeline.patterns.events import PatternEvent, PatternKind
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.read_outs import run_unheard
from tradebot.pipeline.patterns.scanner import Scanner
from tradebot.pipeline.strategy import confidence as weigh
from tradebot.pipeline.strategy.ahead import next_stop
from tradebot.pipeline.strategy.base import (
    Bar,
    Enter,
    Exit,
    Field,
    MoveStop,
    OrderType,
    Params,
    Position,
    PositionSide,
    Rung,
)
from tradebot.pipeline.strategy.foreseen import Foreseen, foreseen, zone_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tradebot.pipeline.columns import FloatArray, IntArray

    Flags = NDArray[np.bool_]

_OPENING = frozenset({PatternKind.FVG, PatternKind.ORDER_BLOCK})
_CLOSING = frozenset({PatternKind.FVG_FILLED, PatternKind.OB_INVALIDATED})
_GAPS = frozenset({PatternKind.FVG, PatternKind.FVG_FILLED})
Wish = Enter | Exit | MoveStop


class SmartMoneyParams(Params):
    """The parameters that all of them have."""

    swing: int = Field(5, ge=1, le=50, description="bars on each side that make a swing; more: fewer, larger swings")
    atr_n: int = Field(14, ge=2, le=200, description="bars of the average true range")
    bias_near: int = Field(4, ge=2, le=50, description="the nearer higher timeframe, in bars of this one")
    bias_far: int = Field(16, ge=3, le=500, description="the farther higher timeframe, in bars of this one")
    stop_atr: float = Field(0.5, ge=0, le=10, description="room between structure and stop, in average true ranges")
    first_r: float = Field(1.0, gt=0, le=50, description="first target, in distances of the stop")
    first_part: float = Field(0.5, gt=0, lt=1, description="part of the position that leaves at the first target")
    second_r: float = Field(3.0, gt=0, le=100, description="target of the rest, in distances of the stop")
    trail_atr: float = Field(3.0, ge=0, le=50, description="after the first target: trail by so many ranges; 0: do not")
    time_stop: int = Field(96, ge=1, le=100_000, description="bars after which a position that got nowhere is left")
    memory: int = Field(20, ge=1, le=1000, description="recent bars: of a sweep, and of the usual volume")

    @model_validator(mode="after")
    def _farther_is_farther(self) -> Self:
        if self.bias_near >= self.bias_far:
            raise ValueError(f"bias_near ({self.bias_near}) must be less than bias_far ({self.bias_far})")
        if self.first_r > self.second_r:
            raise ValueError(f"first_r ({self.first_r}) must not be more than second_r ({self.second_r})")
        return self


class SmartMoney:
    """Keeps the patterns of three timeframes and one position; ``setup`` of a subclass says when to enter."""

    Params = SmartMoneyParams

    def __init__(self, params: SmartMoneyParams) -> None:
        self.params = params
        patterns = PatternParams(L=params.swing, atr_n=params.atr_n)
        self.scanner = Scanner(patterns)
        self.near = Scanner(patterns)
        self.far = Scanner(patterns)
        # A higher bar on its way: whether it is whole, its opening in ms, then open, high, low, close, volume.
        self.near_bar: list[float] = []
        self.far_bar: list[float] = []
        # Gaps and blocks that are still there: top, bottom and the bar they came at.
        self.zones: dict[str, list[float]] = {}
        # The last one is that of this bar.
        self.volumes: deque[float] = deque(maxlen=params.memory + 1)
        # The side of the last sweep and the bar it came at.
        self.last_sweep: list[int] = []
        # Whether an entry is at work: the stage says so before each bar.
        self.is_waiting = False
        self.entered_at = -1
        self.entered_qty = Decimal(0)
        self.stop_moved_to: Decimal | None = None

    def on_bar(self, bar: Bar, position: Position | None) -> Iterable[Wish]:
        """Take in a bar; care for the position there is, or look for an entry."""
        events = self._take(bar)
        if position is not None:
            return self._care(bar, position)
        self.entered_at, self.stop_moved_to = -1, None
        if self.is_waiting:
            return []
        return [wish for event in events if (wish := self.setup(event, bar)) is not None][:1]

    def setup(self, event: PatternEvent, bar: Bar) -> Enter | None:
        """Return the entry that ``event``, seen at the close of ``bar``, asks for."""
        raise NotImplementedError

    # Bars that are there beforehand ------------------------------------------------------------------------

    def foresee(
        self, run: ColumnRun, at: int, until: int, position: Position | None, setups: Callable[[Foreseen], "Flags"]
    ) -> int:
        """Return the first place from ``at`` on at which there may be something to say: ``horizon`` of a subclass.

        ``setups`` says of each event whether ``setup`` may want to enter.
        """
        seen = self._foreseen(run)
        if seen is None or self.scanner.bars != at:
            return at
        if position is not None:
            return self._next_care(seen, run, at, until, position)
        if self.is_waiting:
            return until
        places: IntArray = run.once((type(self), self.params), lambda: seen.told.places[setups(seen)])
        following = int(places.searchsorted(at))
        return min(int(places[following]), until) if following < len(places) else until

    def pass_over(self, run: ColumnRun, at: int, until: int, position: Position | None) -> None:
        """Take bars at which there is nothing to say."""
        seen = self._foreseen(run)
        assert seen is not None  # noqa: S101 - without it the horizon is the bar itself  # nosec B101
        if position is None:
            self.entered_at, self.stop_moved_to = -1, None
        else:
            self._hold(at, position)
        step, last = run.kernels[run_unheard], until - 1
        for scanner, growing, coarse in ((self.near, self.near_bar, seen.near), (self.far, self.far_bar, seen.far)):
            scanner.pass_over(step, coarse.candles, int(coarse.closed.searchsorted(until)))
            growing[:] = coarse.growing(last)
        self.scanner.pass_over(step, seen.candles, until)
        volumes = cast("FloatArray", seen.candles.volume)
        self.volumes.extend(volumes[max(at, until - self.params.memory - 1) : until].tolist())
        self.zones = seen.zones(last)
        self.last_sweep = seen.last_sweep(last)

    def _foreseen(self, run: ColumnRun) -> Foreseen | None:
        return foreseen(run, self.scanner.params, self.params.bias_near, self.params.bias_far)

    def _next_care(self, seen: Foreseen, run: ColumnRun, at: int, until: int, position: Position) -> int:
        held, is_new = abs(position.qty), self.entered_at < 0
        if is_new or held >= self.entered_qty:
            return min(max(at, (at if is_new else self.entered_at) + self.params.time_stop), until)
        side, entry, last = position.side.sign, position.entry_price, self.stop_moved_to
        return int(
            run.kernels[next_stop](
                seen.candles.close,
                seen.atrs,
                self.params.atr_n,
                float(entry),
                last is None or (entry - last) * side > 0,
                0.0 if last is None else float(last),
                last is not None,
                side,
                float(self.params.trail_atr),
                at,
                until,
            )
        )

    # Patterns --------------------------------------------------------------------------------------------

    def _take(self, bar: Bar) -> Sequence[PatternEvent]:
        numbers = float(bar.open), float(bar.high), float(bar.low), float(bar.close), float(bar.volume)
        has_begun = self.scanner.bars > 0
        _grow(self.near, self.near_bar, bar, self.params.bias_near, numbers, has_begun=has_begun)
        _grow(self.far, self.far_bar, bar, self.params.bias_far, numbers, has_begun=has_begun)
        events = self.scanner.take(to_ms(bar.ts_open), *numbers)
        self.volumes.append(numbers[-1])
        for event in events:
            if event.kind is PatternKind.SWEEP:
                self.last_sweep = [event.side, event.confirmed]
            elif event.kind in _OPENING and event.top is not None and event.bottom is not None:
                oldest = event.confirmed - self.scanner.params.zone_max_age
                self.zones = {name: zone for name, zone in self.zones.items() if zone[2] >= oldest}
                self.zones[_zone_name(event)] = [event.top, event.bottom, event.confirmed]
            elif event.kind in _CLOSING:
                self.zones.pop(_zone_name(event), None)
        return events

    def bias(self, side: int) -> bool:
        """Return whether no higher timeframe is against ``side`` and one of them is for it."""
        trends = self.near.trend * side, self.far.trend * side
        return min(trends) >= 0 and max(trends) > 0

    # Entries -----------------------------------------------------------------------------------------------

    def enter_at_market(self, event: PatternEvent, bar: Bar, edge: float) -> Enter | None:
        """Return an entry at the next open with its stop beyond ``edge``; ``None`` without room for a stop."""
        return self._enter(event, bar, edge, bar.close)

    def enter_at_limit(self, event: PatternEvent, bar: Bar, edge: float, limit: float, wait_bars: int) -> Enter | None:
        """Return an entry that waits at ``limit`` until a close beyond ``edge``; ``None`` without room for a stop."""
        price = from_float(limit)
        enter = self._enter(event, bar, edge, price)
        if enter is None or (bar.close - price) * event.side <= 0:
            return None
        return replace(
            enter,
            entry_type=OrderType.LIMIT,
            entry_price=price,
            wait_bars=wait_bars,
            void_price=from_float(edge),
        )

    def _enter(self, event: PatternEvent, bar: Bar, edge: float, price: Decimal) -> Enter | None:
        atr, side = self.scanner.atr, event.side
        if atr is None:
            return None
        stop = from_float(edge - side * self.params.stop_atr * atr)
        distance = (price - stop) * side
        if distance <= 0 or stop <= 0:
            return None
        factors = self._factors(side, bar, float(price))
        return Enter(
            PositionSide.LONG if side > 0 else PositionSide.SHORT,
            stop=stop,
            ladder=self._ladder(price, distance * side),
            confidence=weigh.confidence(factors),
            factors=factors,
            pattern=str(event.kind),
            levels=_levels(event, edge),
        )

    def _ladder(self, price: Decimal, reach: Decimal) -> tuple[Rung, ...]:
        first = from_float(self.params.first_part)
        rungs = ((self.params.first_r, first), (self.params.second_r, 1 - first))
        found = ((Price(price + reach * from_float(r)), fraction) for r, fraction in rungs)
        # A short's target at or below zero is never reached.
        return tuple(Rung(price=target, fraction=fraction) for target, fraction in found if target > 0)

    def _factors(self, side: int, bar: Bar, price: float) -> dict[str, float]:
        scanner, now = self.scanner, self.scanner.bars - 1
        dealing, before = scanner.dealing_range, list(self.volumes)[:-1]
        around = [zone for zone in self.zones.values() if zone[1] <= price <= zone[0]]
        youngest = max((int(zone[2]) for zone in around), default=now - scanner.params.zone_max_age)
        is_swept = bool(self.last_sweep) and self.last_sweep[0] == side
        return {
            "higher_timeframes": weigh.alignment((self.near.trend, self.far.trend), side),
            "structure": weigh.alignment((scanner.trend,), side),
            "displacement": weigh.displacement(scanner.displacement),
            "volume": weigh.volume(float(bar.volume), sum(before) / len(before) if before else 0.0),
            "freshness": weigh.freshness(now - youngest, scanner.params.zone_max_age),
            "confluence": weigh.confluence(len(around)),
            "location": weigh.location(None if dealing is None else dealing.position, side),
            "liquidity": weigh.freshness(now - self.last_sweep[1], self.params.memory) if is_swept else 0.0,
        }

    # A position ----------------------------------------------------------------------------------------------

    def _care(self, bar: Bar, position: Position) -> list[Wish]:
        now, held, side = self.scanner.bars - 1, abs(position.qty), position.side.sign
        self._hold(now, position)
        if held == self.entered_qty:
            return [Exit("time")] if now - self.entered_at >= self.params.time_stop else []
        # The first target is behind us: what is left shall not lose any more.
        stop, moved_by, atr = Decimal(position.entry_price), "first_target", self.scanner.atr
        if self.params.trail_atr and atr is not None:
            trailed = bar.close - side * from_float(self.params.trail_atr * atr)
            if (trailed - stop) * side > 0:
                stop, moved_by = trailed, "trail"
        is_better = self.stop_moved_to is None or (stop - self.stop_moved_to) * side > 0
        if not is_better or (bar.close - stop) * side <= 0 or stop <= 0:
            return []
        self.stop_moved_to = stop
        return [MoveStop(stop, moved_by)]

    def _hold(self, now: int, position: Position) -> None:
        held = abs(position.qty)
        if self.entered_at < 0 or held > self.entered_qty:
            self.entered_qty = held
            self.entered_at = now if self.entered_at < 0 else self.entered_at


def _grow(
    scanner: Scanner,
    growing: list[float],
    bar: Bar,
    factor: int,
    numbers: tuple[float, float, float, float, float],
    *,
    has_begun: bool,
) -> None:
    """Add ``bar`` to the higher bar it belongs to, and give that to ``scanner`` when it has closed.

    One whose last part is missing closes with the next bar; the very first, begun halfway, is not given.
    ``has_begun``: a bar was seen before this one.
    """
    length = bar.timeframe * factor
    opened = floor_to(bar.ts_open, length)
    if growing and growing[1] != to_ms(opened):
        _close(scanner, growing)
    o, h, lo, c, v = numbers
    if growing:
        growing[3:] = [max(growing[3], h), min(growing[4], lo), c, growing[6] + v]
    else:
        growing[:] = [bar.ts_open == opened or has_begun, to_ms(opened), o, h, lo, c, v]
    if bar.ts_event >= opened + length:
        _close(scanner, growing)


def _close(scanner: Scanner, growing: list[float]) -> None:
    is_whole, ts_ms, *numbers = growing
    growing.clear()
    if is_whole:
        o, h, lo, c, v = numbers
        scanner.take(int(ts_ms), o, h, lo, c, v)


def _levels(event: PatternEvent, edge: float) -> dict[str, Decimal]:
    """Return the prices of a pattern, by their names in ``scan``; of a level also how far price went beyond it."""
    is_level = event.level is not None
    found = {"level": event.level, "edge": edge} if is_level else {"top": event.top, "bottom": event.bottom}
    return {name: from_float(price) for name, price in found.items() if price is not None}


def _zone_name(event: PatternEvent) -> str:
    return zone_name(event.kind in _GAPS, event.side, event.index, event.top, event.bottom)
