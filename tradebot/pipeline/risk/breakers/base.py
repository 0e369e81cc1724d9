"""What a breaker is: it measures how wrong trading goes, and at each of its tiers more of it ends."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Protocol

from tradebot.model.breaker import Act, BreakerChanged
from tradebot.model.money import ZERO, Cash, Price, rounded
from tradebot.model.order import Fill, OrderDone
from tradebot.model.position import ResidualSeen, RoundTrip
from tradebot.model.signal import Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.gates.base import Stopped
from tradebot.pipeline.risk.holdings import WorkingEntry

Tiers = tuple[Decimal, ...]
"""Thresholds, rising; the last one closes everything and halts, the one before it lets nothing add to a position."""
ACTS = (Act.REDUCE_SIZE, Act.REDUCE_ONLY, Act.HALT)
Changes = Sequence[BreakerChanged]
NO_CHANGE: Changes = ()
NEVER = Nanos(0)
RESUME = "tradebot resume --reason TEXT"
_PLACES = 8
_ANY = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class EquityMemory:
    """The equity that falls are measured from, the last one seen, and the day that it is of where days count."""

    kind: ClassVar[str] = "equity"
    reference: Cash | None = None
    equity: Cash = Cash(ZERO)
    day: int = -1


@dataclass(frozen=True, slots=True)
class CountMemory:
    """How often it happened, and on which day where days count."""

    kind: ClassVar[str] = "count"
    count: int = 0
    day: int = 0


@dataclass(frozen=True, slots=True)
class CooldownMemory:
    """By symbol: until when no entry is made, and how many losses came one after the other."""

    kind: ClassVar[str] = "cooldown"
    until: dict[str, Nanos] = field(default_factory=dict)
    losses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StormMemory:
    """What came lately, oldest first: times, or measures."""

    kind: ClassVar[str] = "storm"
    times: tuple[Nanos, ...] = ()
    measures: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class ResidualMemory:
    """What the venue's cash was last more than ours."""

    kind: ClassVar[str] = "residual"
    amount: Decimal = ZERO


Memory = EquityMemory | CountMemory | CooldownMemory | StormMemory | ResidualMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """A breaker as it is kept: ``tier`` 0 is armed, else it was reached at ``since``."""

    tier: int = 0
    since: Nanos = NEVER
    memory: Memory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerView:
    """A breaker as it is shown: ``tier`` and ``since`` are ``None`` while it is armed."""

    name: str
    tier: int | None
    act: Act | None
    value: Decimal
    threshold: Decimal
    since: Nanos | None
    way_back: str

    @property
    def state(self) -> str:
        """``tripped`` or ``ok``."""
        return "ok" if self.tier is None else "tripped"


class Holding(Protocol):
    """What breakers may look at of the book."""

    stops: dict[str, Price]
    entries: dict[str, WorkingEntry]

    @property
    def marks(self) -> Mapping[str, Price]:
        """The last price of each symbol."""
        ...

    @property
    def waiting(self) -> int:
        """How many entries at work have not begun to fill."""
        ...


class Breaker(ABC):
    """One breaker. It says each change of its tier; ``sequence`` calls only what a class overrides.

    ``measures`` says what the value is, ``back`` what arms a tier before the last one again by itself; empty: nothing.
    ``counts_days``: the first equity of a UTC day means more to it than any other.
    """

    name: ClassVar[str]
    measures: ClassVar[str]
    back: ClassVar[str]
    acts: ClassVar[Sequence[Act]] = ACTS
    counts_days: ClassVar[bool] = False

    def __init__(self, tiers: Tiers) -> None:
        self.tiers = tiers
        self.tier = 0
        self.since = NEVER

    @property
    @abstractmethod
    def value(self) -> Decimal:
        """What is measured now."""

    @property
    def act(self) -> Act | None:
        """What its tier does; ``None`` while it is armed."""
        return self.acts[self.tier - 1 - len(self.tiers)] if self.tier else None

    @property
    def is_latched(self) -> bool:
        """Whether the last tier was reached: nothing but an operator brings it back."""
        return self.tier == len(self.tiers)

    @property
    def threshold(self) -> Decimal:
        """What the value is held against: of its tier, while it is armed of the first one."""
        return self.tiers[max(self.tier - 1, 0)]

    def check(self, signal: Signal) -> Stopped | None:
        """Return why ``signal`` may not enter."""
        del signal
        if self.act not in (Act.REDUCE_ONLY, Act.HALT):
            return None
        return Stopped(
            self.name, self.threshold, rounded(self.value, _PLACES), f"the breaker is tripped; {self.way_back}"
        )

    @property
    def way_back(self) -> str:
        """How it is armed again."""
        if self.is_latched:
            return f"once every position is closed: {RESUME}"
        return " or ".join(filter(None, (self.back, RESUME))) if self.tier else ""

    def on_equity(self, ts: Nanos, equity: Cash) -> Changes:
        """Look at the equity at the closing time ``ts``."""
        del ts, equity
        return NO_CHANGE

    def silence(self, highest: Cash) -> tuple[Cash, Cash]:
        """Return down to which equity, not included, and up to which it says nothing while the day lasts.

        That holds as long as none is above ``highest``.
        """
        del highest
        return Cash(-_ANY), Cash(_ANY)

    def on_deposit(self, before: Cash, after: Cash) -> None:  # noqa: B027  # most breakers take no notice
        """Learn that money from outside made the equity ``after`` of ``before``."""

    def on_ask(self, signal: Signal, book: Holding) -> Changes:
        """Look at an entry that is asked for, before it is decided on."""
        del signal, book
        return NO_CHANGE

    def on_fill(self, fill: Fill, book: Holding) -> Changes:
        """Look at a fill before it is booked."""
        del fill, book
        return NO_CHANGE

    def on_opened(self, fill: Fill) -> Changes:
        """Learn that ``fill`` of an entry opened a position."""
        del fill
        return NO_CHANGE

    def on_trip(self, trip: RoundTrip) -> Changes:
        """Look at a finished round trip of a strategy."""
        del trip
        return NO_CHANGE

    def on_done(self, done: OrderDone) -> Changes:
        """Look at an order that ended."""
        del done
        return NO_CHANGE

    def on_residual(self, seen: ResidualSeen) -> Changes:
        """Look at what venue and book differ by."""
        del seen
        return NO_CHANGE

    def on_frozen(self, ts: Nanos, frozen: Mapping[str, Sequence[str]]) -> Changes:
        """Look at the symbols that are frozen, and why."""
        del ts, frozen
        return NO_CHANGE

    @property
    def in_the_way(self) -> str:
        """What must be mended before an operator can arm it again; empty where nothing must."""
        return ""

    def view(self, now: Nanos) -> BreakerView:
        """Return it as it is shown at the market time ``now``."""
        del now
        return BreakerView(
            name=self.name,
            tier=self.tier or None,
            act=self.act,
            value=rounded(self.value, _PLACES),
            threshold=self.threshold,
            since=self.since if self.tier else None,
            way_back=self.way_back,
        )

    def rearm(self, ts: Nanos, reason: str) -> BreakerChanged:
        """Arm it again, and measure anew from here on."""
        changed = self._changed(ts, 0, reason)
        self.tier, self.since = 0, NEVER
        self.begin()
        return changed

    def begin(self) -> None:  # noqa: B027  # what some measure is what it is
        """Measure anew from here on."""

    @abstractmethod
    def remember(self) -> Memory:
        """Return what it remembers."""

    @abstractmethod
    def recall(self, memory: Memory) -> None:
        """Take over what ``remember`` gave. Raises ``InvariantError`` on what another breaker remembers."""

    def save(self) -> BreakerState:
        """Return it as it is kept."""
        return BreakerState(tier=self.tier, since=self.since, memory=self.remember())

    def load(self, state: BreakerState) -> None:
        """Become what ``save`` saw; with fewer tiers than then the last of them is reached."""
        self.tier, self.since = min(state.tier, len(self.tiers)), state.since
        if state.memory is not None:
            self.recall(state.memory)

    def _reach(self, ts: Nanos) -> Changes:
        """Return that the value reached a further tier, if it did."""
        value = self.value
        return self._reached(ts, sum(threshold <= value for threshold in self.tiers))

    def _reached(self, ts: Nanos, reached: int) -> Changes:
        if reached <= self.tier:
            return NO_CHANGE
        self.tier, self.since = reached, ts
        return (self._changed(ts, reached, ""),)

    def _changed(self, ts: Nanos, tier: int, reason: str) -> BreakerChanged:
        return BreakerChanged(
            ts_event=ts,
            name=self.name,
            tier=tier,
            act=self.act if tier else None,
            value=rounded(self.value, _PLACES),
            threshold=self.threshold,
            reason=reason,
            way_back=self.way_back if tier else "",
        )
