"""What a strategy is: all that a user's own file needs to import.

A strategy is a class with its parameters as a nested class ``Params`` and a method ``on_bar``. One object
is made for each symbol. It keeps what it must remember in fields of int, float, str, bool, None, Decimal,
list, tuple, dict, deque or array, so that it is saved and restored exactly.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from types import FunctionType
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from tradebot.model.market import Bar
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.position import Position
from tradebot.model.signal import Rung
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.columns import ColumnRun

__all__ = [
    "AtrStop",
    "AtrTrail",
    "Bar",
    "BreakEven",
    "Direction",
    "Enter",
    "Exit",
    "ExitRules",
    "Field",
    "MaxHold",
    "MoveStop",
    "OrderType",
    "Params",
    "Position",
    "PositionSide",
    "RTarget",
    "Rung",
    "Strategy",
    "StrategySpec",
    "StructureTrail",
]


class Params(BaseModel):
    """The parameters of a strategy: give each a type, a default, a range and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Enter:
    """The wish to open a position.

    Without ``stop`` or ``target`` those of the configuration are used. ``entry_price`` is the limit, or the
    trigger of a stop entry. ``ladder`` are targets for parts of the position, in place of ``target``. An entry
    that waits is withdrawn after ``wait_bars``, and at a close beyond ``void_price``.
    ``confidence`` is in percent; ``factors`` say what it is made of. ``pattern`` names what was seen, and
    ``levels`` its prices: both are for ``why``.
    """

    side: PositionSide
    stop: Decimal | None = None
    target: Decimal | None = None
    entry_type: OrderType = OrderType.MARKET
    entry_price: Decimal | None = None
    confidence: float | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    ladder: tuple[Rung, ...] = ()
    wait_bars: int | None = None
    void_price: Decimal | None = None
    pattern: str = ""
    levels: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MoveStop:
    """The wish to put the stop of the position at ``stop``: only ever in its favour.

    ``pattern`` names what moves it, and ``levels`` its prices: both are for ``why``.
    """

    stop: Decimal
    pattern: str = ""
    levels: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exit:
    """The wish to leave ``fraction``, in (0, 1], of the position; ``reason`` goes into the round trip."""

    reason: str = "signal"
    fraction: Decimal | int = 1


class Strategy(Protocol):
    """Decides at the close of each bar of its symbol and timeframe.

    One that has a field ``is_waiting`` finds in it, at each bar, whether an entry of it is at work: approved by
    risk, and neither filled whole nor ended.
    """

    Params: ClassVar[type[BaseModel]]

    def __init__(self, params: Any) -> None: ...

    def on_bar(self, bar: Bar, position: Position | None) -> Iterable[Enter | Exit | MoveStop]:
        """Return what is wished now; an exit together with an entry is a reversal."""
        ...


@runtime_checkable
class Foresight(Protocol):
    """What a strategy may have besides: then a backtest need not ask it at each bar.

    It tells no more of the bars before it is asked about them: what ``on_bar`` says and keeps is the same either way.
    """

    def horizon(self, run: ColumnRun, at: int, until: int, position: Position | None) -> int:
        """Return the first place from ``at`` on at which ``on_bar`` may have something to say, else ``until``.

        Before ``at``, ``on_bar`` was asked about every bar of ``run``; the position stays as it is. Nothing changes.
        """
        ...

    def pass_over(self, run: ColumnRun, at: int, until: int, position: Position | None) -> None:
        """Become what asking about the bars from ``at`` on, all of them before the horizon, would have made of it."""
        ...


def is_its_own(name: str, strategy: object) -> bool:
    """Return whether nothing was written anew in a class derived from the one that has the method ``name``."""
    for cls in type(strategy).__mro__:
        if name in vars(cls):
            return True
        if any(isinstance(value, FunctionType) for value in vars(cls).values()):
            return False
    return False


class Direction(StrEnum):
    """The sides a strategy may enter."""

    LONG = "long"
    SHORT = "short"
    BOTH = "both"

    def allows(self, side: PositionSide) -> bool:
        """Return whether an entry on ``side`` is allowed."""
        return self is Direction.BOTH or self.value == side.value


@dataclass(frozen=True, slots=True)
class AtrStop:
    """A stop ``mult`` average true ranges of ``n`` bars away from the entry; with ``trails`` it keeps that distance."""

    n: int = 14
    mult: Decimal = Decimal(2)
    trails: bool = False

    def __post_init__(self) -> None:
        if self.n < 1 or not self.mult.is_finite() or self.mult <= 0:
            raise ValueError(f"an ATR stop needs n >= 1 and mult > 0, not n={self.n}, mult={self.mult}")


@dataclass(frozen=True, slots=True)
class PercentStop:
    """A stop ``percent`` of the entry's price away from it; with ``trails`` it keeps that distance."""

    percent: Decimal
    trails: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise ValueError(f"a stop in percent needs more than 0 and less than 100, not {self.percent}")


@dataclass(frozen=True, slots=True)
class DistanceStop:
    """A stop ``distance``, in units of the price, away from the entry; with ``trails`` it keeps that distance."""

    distance: Decimal
    trails: bool = False

    def __post_init__(self) -> None:
        if not self.distance.is_finite() or self.distance <= 0:
            raise ValueError(f"a stop needs a distance > 0, not {self.distance}")


StopRule = AtrStop | PercentStop | DistanceStop
"""How a stop is measured that the strategy does not give itself."""


@dataclass(frozen=True, slots=True)
class RTarget:
    """A target ``r`` times as far from the entry as the stop."""

    r: Decimal

    def __post_init__(self) -> None:
        if not self.r.is_finite() or self.r <= 0:
            raise ValueError(f"a target needs r > 0, not {self.r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureTrail:
    """A stop that goes behind each swing, of ``swing`` bars on both sides, that is confirmed after the entry.

    Between them is room for ``ticks`` and for ``atrs`` average true ranges of ``n`` bars.
    """

    swing: int
    atrs: Decimal = Decimal(0)
    ticks: int = 0
    n: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class AtrTrail:
    """A stop that goes ``mult`` average true ranges of ``n`` bars, as they are now, behind the best price."""

    mult: Decimal
    n: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """A stop that goes to where the trade costs nothing, once it was ``at`` in profit.

    ``at`` is in distances of the stop that the position began with or, where ``n`` is given, in average true ranges of
    ``n`` bars. ``fee`` is that of one way, ``offset`` what is kept beyond, both as fractions of the mean entry price.
    """

    at: Decimal
    n: int | None = None
    fee: Decimal = Decimal(0)
    offset: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxHold:
    """An end of the position after ``length``, unless it is ``unless_r`` distances of its first stop in profit then."""

    length: Nanos
    unless_r: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """What becomes of a position whatever its strategy says."""

    trail: StructureTrail | AtrTrail | None = None
    break_even: BreakEven | None = None
    max_hold: MaxHold | None = None


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy as configured. ``factory`` makes a fresh object; it is called once for each symbol.

    ``regimes`` are the markets that it may enter, of trend and of volatility; none named of a kind: any.
    """

    name: str
    symbols: tuple[str, ...]
    timeframe: Timeframe
    factory: Callable[[], Strategy]
    direction: Direction = Direction.BOTH
    stop: StopRule | None = None
    target: RTarget | None = None
    regimes: tuple[str, ...] = ()
    exits: ExitRules | None = None
