"""How much of what a symbol trades in a day one entry may be."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.market import Bar
from tradebot.model.money import ZERO, Qty, rounded
from tradebot.model.signal import Signal
from tradebot.model.time import HOUR
from tradebot.pipeline.risk.gates.base import Book, Bound, GateConfig, Limit, Used

SETTING = "max_volume_pct"
_HOURS = 24
_PERCENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class VolumeState:
    """By symbol the hours of the last day, counted from the epoch, oldest first, and what traded in each."""

    kind: ClassVar[str] = "volume"
    hours: dict[str, tuple[int, ...]] = field(default_factory=dict)
    volumes: dict[str, tuple[Qty, ...]] = field(default_factory=dict)


class VolumeGate(Limit):
    """Bounds each entry by a part of what traded in the last 24 hours, as far as bars of them were seen."""

    setting = SETTING
    names: ClassVar = {setting: "`max_volume_pct` of what traded in 24 hours is less than the smallest order"}
    is_money = False

    def __init__(self, config: GateConfig) -> None:
        super().__init__(config)
        self._traded: dict[str, dict[int, Decimal]] = {}

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return the limit, of the volume at the price of the entry."""
        limit = book.limits[SETTING]
        price = signal.close if signal.entry_price is None else max(signal.close, signal.entry_price)
        return Bound(SETTING, limit, ZERO, self._volume(signal.symbol) * price * _PERCENT)

    def used(self, book: Book) -> Used:
        """Return the largest entry at work, in percent of what traded of it."""
        used = Used(ZERO)
        for entry in book.entries.values():
            volume = self._volume(entry.symbol) * _PERCENT
            if volume:
                used = max(used, Used(rounded(entry.qty / volume, 8), entry.symbol))
        return used

    def take(self, bar: Bar) -> None:
        """Count what traded in ``bar``, the shortest of those that close together."""
        hours = self._traded.setdefault(bar.symbol, {})
        hour = bar.ts_open // HOUR
        hours[hour] = hours.get(hour, ZERO) + bar.volume
        while len(hours) > 1 and (oldest := next(iter(hours))) <= hour - _HOURS:
            del hours[oldest]

    def _volume(self, symbol: str) -> Decimal:
        return sum(self._traded.get(symbol, {}).values(), ZERO)

    def save(self) -> VolumeState:
        """Return what is remembered."""
        return VolumeState(
            hours={symbol: tuple(hours) for symbol, hours in self._traded.items()},
            volumes={symbol: tuple(map(Qty, hours.values())) for symbol, hours in self._traded.items()},
        )

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, VolumeState):
            raise InvariantError(f"{state!r} is not what {SETTING} remembers")
        self._traded = {
            symbol: dict(zip(hours, state.volumes[symbol], strict=True)) for symbol, hours in state.hours.items()
        }
