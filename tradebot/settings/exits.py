"""The stops and exit rules of a strategy: whether they fit together, and the rules themselves."""

from collections.abc import Iterator
from decimal import Decimal
from typing import assert_never

from tradebot.model.money import BPS, ZERO, plain
from tradebot.model.time import Nanos, Timeframe, parse_timeframe, timeframe_name
from tradebot.pipeline.strategy.base import (
    AtrStop,
    AtrTrail,
    BreakEven,
    DistanceStop,
    ExitRules,
    MaxHold,
    PercentStop,
    StopRule,
    StructureTrail,
)
from tradebot.settings.errors import Problem
from tradebot.settings.layers import dotted
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    AtrStopSettings,
    AtrTrailSettings,
    BreakEvenSettings,
    DistanceStopSettings,
    DistanceTrailSettings,
    PercentStopSettings,
    Settings,
    SimulatedVenueSettings,
    Stop,
    StrategySettings,
    StructureTrailSettings,
    Trail,
)

_ROOM = Decimal("0.5")
"""Average true ranges between a swing and the stop behind it, where none are given."""
_GAIN = Decimal(1)
"""Distances of the first stop after which it goes to break-even, where none are given."""


def exit_problems(loaded: Loaded, index: int, timeframe: Timeframe | None) -> Iterator[Problem]:
    """Give what does not fit together in the exit rules of a strategy, whose bars are of ``timeframe``."""
    strategy = loaded.settings.strategy[index]
    target = None if strategy.target is None else strategy.target.r
    even = None if strategy.stop is None else strategy.stop.break_even
    at_r = None if even is None or even.at_atr is not None else even.at_r or _GAIN
    if at_r is not None and target is not None and at_r >= target:
        what = f"is {plain(at_r)}, and the target takes the position out at {plain(target)} R"
        yield _problem(loaded, index, ("stop", "break_even", "at_r"), what, "set it below target.r")
    hold = strategy.max_hold
    if hold is None:
        return
    if hold.time is not None and timeframe is not None and parse_timeframe(hold.time) < timeframe:
        what = f"is shorter than a bar of {timeframe_name(timeframe)}, at whose close it is looked at"
        yield _problem(loaded, index, ("max_hold", "time"), what, "make it longer, or the timeframe shorter")
    if hold.unless_r is not None and strategy.stop is None:
        what = "is measured in distances of the stop, and there is none"
        yield _problem(loaded, index, ("max_hold", "unless_r"), what, "set a stop, or leave unless_r out")
    if hold.unless_r is not None and target is not None and hold.unless_r >= target:
        what = f"is {plain(hold.unless_r)}, and the target takes the position out at {plain(target)} R"
        yield _problem(loaded, index, ("max_hold", "unless_r"), what, "set it below target.r")


def _problem(loaded: Loaded, index: int, keys: tuple[str, ...], what: str, mend: str) -> Problem:
    path: tuple[str | int, ...] = ("strategy", index, *keys)
    return Problem(dotted(path), what, loaded.where(*path), mend)


def stop_rule(stop: Stop) -> StopRule:
    """Return how a stop is measured."""
    trails = isinstance(stop.trail, DistanceTrailSettings)
    match stop:
        case AtrStopSettings():
            return AtrStop(stop.n, stop.mult, trails)
        case PercentStopSettings():
            return PercentStop(stop.percent, trails)
        case DistanceStopSettings():
            return DistanceStop(stop.distance, trails)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def exit_rules(settings: Settings, strategy: StrategySettings, timeframe: Timeframe) -> ExitRules | None:
    """Return what becomes of positions whatever the strategy says, where anything was said of it."""
    trail: StructureTrail | AtrTrail | None = None
    break_even = hold = None
    stop, longest = strategy.stop, strategy.max_hold
    if stop is not None and stop.trail is not None:
        trail = _trail(stop.trail)
    if stop is not None and stop.break_even is not None:
        break_even = _break_even(settings, stop.break_even)
    if longest is not None:
        length = timeframe * (longest.bars or 0) if longest.time is None else parse_timeframe(longest.time)
        hold = MaxHold(length=Nanos(length), unless_r=longest.unless_r)
    if trail is None and break_even is None and hold is None:
        return None
    return ExitRules(trail=trail, break_even=break_even, max_hold=hold)


def _trail(trail: Trail) -> StructureTrail | AtrTrail | None:
    match trail:
        case DistanceTrailSettings():
            # Whoever places the stop sees to that.
            return None
        case StructureTrailSettings():
            return _structure_trail(trail)
        case AtrTrailSettings():
            return AtrTrail(mult=trail.mult, n=trail.n)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _structure_trail(trail: StructureTrailSettings) -> StructureTrail:
    if trail.buffer_ticks is not None:
        return StructureTrail(swing=trail.swing, atrs=ZERO, ticks=trail.buffer_ticks)
    return StructureTrail(swing=trail.swing, atrs=_ROOM if trail.buffer_atr is None else trail.buffer_atr, n=trail.n)


def _break_even(settings: Settings, even: BreakEvenSettings) -> BreakEven:
    venue = settings.venue if isinstance(settings.venue, SimulatedVenueSettings) else SimulatedVenueSettings()
    fee_bps = max(ZERO, venue.taker_bps) if even.fee_bps is None else even.fee_bps
    return BreakEven(
        at=even.at_atr or even.at_r or _GAIN,
        n=None if even.at_atr is None else even.n,
        fee=fee_bps * BPS,
        offset=even.offset_bps * BPS,
    )
