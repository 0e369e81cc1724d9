"""How long a symbol is left alone after a loss in it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from tradebot.model.breaker import Act
from tradebot.model.errors import InvariantError
from tradebot.model.money import ZERO
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Signal
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.risk.breakers.base import (
    NO_CHANGE,
    Breaker,
    BreakerView,
    Changes,
    CooldownMemory,
    Memory,
    Tiers,
)
from tradebot.pipeline.risk.gates.base import Stopped

_MINUTE = 60 * NANOS_PER_S
_PLACES = 2


class CooldownBreaker(Breaker):
    """Minutes of market time in which a symbol is not entered after the first loss there, the second in a row...

    It ends by itself, so it halts nothing, pages nobody and asks no operator.
    """

    name: ClassVar[str] = "loss_cooldown_min"
    measures: ClassVar[str] = "minutes that a symbol is not entered after the first loss in it, the second in a row..."
    back: ClassVar[str] = "when the time is over"
    acts: ClassVar[Sequence[Act]] = ()

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._until: dict[str, Nanos] = {}
        self._losses: dict[str, int] = {}

    @property
    def value(self) -> Decimal:
        """Nothing that all symbols share."""
        return ZERO

    def check(self, signal: Signal) -> Stopped | None:
        """Return that the symbol is left alone."""
        left = self._until.get(signal.symbol, signal.ts_event) - signal.ts_event
        if left <= 0:
            return None
        minutes, symbol = self._minutes(signal.symbol), signal.symbol
        detail = f"{symbol} is left alone after {self._losses[symbol]} losses in a row"
        return Stopped(self.name, minutes, _in_minutes(left), f"{detail}; minutes are left")

    def on_trip(self, trip: RoundTrip) -> Changes:
        """Leave the symbol of a loss alone; a winner there begins anew."""
        symbol = trip.symbol
        if trip.net_pnl < 0:
            self._losses[symbol] = self._losses.get(symbol, 0) + 1
            self._until[symbol] = Nanos(trip.exit_ts + int(self._minutes(symbol) * _MINUTE))
        elif trip.net_pnl > 0:
            self.forget(symbol)
        return NO_CHANGE

    def forget(self, symbol: str) -> None:
        """Leave the symbol alone no more."""
        self._losses.pop(symbol, None)
        self._until.pop(symbol, None)

    def view(self, now: Nanos) -> BreakerView:
        """Return the symbol that is left alone for longest."""
        symbol = max(self._until, key=lambda one: (self._until[one], one), default="")
        left = self._until.get(symbol, now) - now
        tier = min(self._losses.get(symbol, 0), len(self.tiers)) if left > 0 else 0
        minutes = self.tiers[max(tier - 1, 0)]
        return BreakerView(
            name=self.name,
            tier=tier or None,
            act=None,
            value=_in_minutes(max(left, 0)),
            threshold=minutes,
            since=Nanos(self._until[symbol] - int(minutes * _MINUTE)) if tier else None,
            way_back=f"{symbol}: {self.back}" if tier else "",
        )

    def remember(self) -> CooldownMemory:
        """Return which symbols are left alone."""
        return CooldownMemory(dict(self._until), dict(self._losses))

    def recall(self, memory: Memory) -> None:
        """Leave the same symbols alone."""
        if not isinstance(memory, CooldownMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._until, self._losses = dict(memory.until), dict(memory.losses)

    def _minutes(self, symbol: str) -> Decimal:
        return self.tiers[min(self._losses[symbol], len(self.tiers)) - 1]


def _in_minutes(nanos: int) -> Decimal:
    return round(Decimal(nanos) / _MINUTE, _PLACES)
