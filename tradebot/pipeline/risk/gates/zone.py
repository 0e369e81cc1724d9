"""Where positions were entered lately: the same zone is not entered twice within a while, by whomever it was."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.money import Price
from tradebot.model.order import Fill, OrderDone, OrderRole, PositionSide
from tradebot.model.signal import Approved, Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.gates.base import Book, Gate, GateConfig, Stopped

GATE = "duplicate_zone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """The prices from an entry to its stop; ``ts_event`` is that of its signal, or of its first fill."""

    symbol: str
    strategy: str
    side: PositionSide
    low: Price
    high: Price
    ts_event: Nanos

    def overlaps(self, other: "Zone") -> bool:
        """Return whether both share a price, of one symbol and on one side."""
        is_alike = self.symbol == other.symbol and self.side is other.side
        return is_alike and self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True)
class ZoneState:
    """The zones of approved entries by signal id, until something of them fills, and those taken, oldest first."""

    kind: ClassVar[str] = "zones"
    offered: dict[str, Zone] = field(default_factory=dict)
    taken: tuple[Zone, ...] = ()


class ZoneGate(Gate):
    """Remembers zones as long as any strategy asks for it; an entry without a stop has none."""

    names: ClassVar = {GATE: "the zone between entry and stop was entered on the same side within the `zone_cooldown`"}
    hears: ClassVar = (Approved, Fill, OrderDone)

    def __init__(self, config: GateConfig) -> None:
        self._cooldowns = config.cooldowns
        self._longest = max((one.bars * one.timeframe for one in self._cooldowns.values()), default=0)
        self._offered: dict[str, Zone] = {}
        self._taken: list[Zone] = []

    def check(self, signal: Signal, book: Book) -> Stopped | None:
        """Return by whom the zone of ``signal`` was taken within the cooldown of its strategy."""
        del book
        cooldown = self._cooldowns.get(signal.strategy)
        zone = None if cooldown is None else _zone(signal)
        if cooldown is None or zone is None:
            return None
        for taken in reversed(self._taken):
            age = (zone.ts_event - taken.ts_event) // cooldown.timeframe
            if age < cooldown.bars and zone.overlaps(taken):
                detail = f"{taken.strategy} entered from {taken.low} to {taken.high} {age} bars ago"
                return Stopped(GATE, Decimal(cooldown.bars), Decimal(age), detail)
        return None

    def hear(self, message: Message) -> None:
        """Remember the zones of approved entries, those of them that fill, and forget those that end unfilled."""
        if isinstance(message, Approved):
            self._offer(message.signal)
        elif isinstance(message, Fill):
            self._on_fill(message)
        elif isinstance(message, OrderDone) and message.role is OrderRole.ENTRY:
            self._offered.pop(message.signal_id, None)

    def _offer(self, signal: Signal) -> None:
        zone = _zone(signal) if self._longest else None
        if zone is not None:
            self._offered[signal.id] = zone

    def _on_fill(self, fill: Fill) -> None:
        # A zone counts as taken from the first fill on.
        zone = self._offered.pop(fill.signal_id, None) if fill.role is OrderRole.ENTRY else None
        if zone is None:
            return
        oldest = fill.ts_event - self._longest
        self._taken = [one for one in self._taken if one.ts_event > oldest]
        self._taken.append(
            Zone(
                symbol=zone.symbol,
                strategy=zone.strategy,
                side=zone.side,
                low=zone.low,
                high=zone.high,
                ts_event=fill.ts_event,
            )
        )

    def save(self) -> ZoneState:
        """Return what is remembered."""
        return ZoneState(dict(self._offered), tuple(self._taken))

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, ZoneState):
            raise InvariantError(f"{state!r} is not what {GATE} remembers")
        self._offered = dict(state.offered)
        self._taken = list(state.taken)


def _zone(signal: Signal) -> Zone | None:
    if signal.stop is None:
        return None
    entry = signal.close if signal.entry_price is None else signal.entry_price
    return Zone(
        symbol=signal.symbol,
        strategy=signal.strategy,
        side=signal.side,
        low=min(entry, signal.stop),
        high=max(entry, signal.stop),
        ts_event=signal.ts_event,
    )
