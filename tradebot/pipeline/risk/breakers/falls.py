"""How a breaker measures the fall of equity from a height; what comes or leaves from outside moves both alike."""

from abc import abstractmethod
from decimal import Decimal

from tradebot.model.errors import InvariantError
from tradebot.model.money import ZERO, Cash
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Breaker, Changes, EquityMemory, Memory, Tiers

_ALL = Decimal(100)
# No equity is that low: there is nothing to measure a fall from, or no tier is left.
NO_FLOOR = Cash(Decimal("-Infinity"))


class FallBreaker(Breaker):
    """Falls in percent of ``reference``. The equities at which tiers are reached are reckoned once, not at each bar."""

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._kept = tuple((_ALL - tier) / _ALL for tier in tiers)
        self._day = -1
        self._equity = Cash(ZERO)
        self._reference: Cash | None = None
        self._floor = NO_FLOOR

    @property
    def value(self) -> Decimal:
        """How far equity is below the reference, in percent of it, >= 0."""
        reference, equity = self._reference, self._equity
        if reference is None or reference <= 0 or equity >= reference:
            return ZERO
        return (reference - equity) * _ALL / reference

    @abstractmethod
    def on_equity(self, ts: Nanos, equity: Cash) -> Changes:
        """Look at the equity at the closing time ``ts``."""

    def on_prices(self, ts: Nanos, equity: Cash) -> Changes:
        """Look whether a tier is reached between two closing times; they alone make peaks and begin days."""
        if equity > self._floor:
            return NO_CHANGE
        self._equity = equity
        return self._fall(ts)

    def silence(self, highest: Cash) -> tuple[Cash, Cash]:
        """Return the next tier, and that no rise is of interest."""
        return self._floor, super().silence(highest)[1]

    def on_deposit(self, before: Cash, after: Cash) -> None:
        """Move the reference in proportion, so that the fall in percent stays what it was."""
        if self._reference is None:
            return
        is_scaled = before > 0 and after > 0
        self._measure_from(Cash(self._reference * after / before if is_scaled else max(after, ZERO)))
        self._equity = after

    def begin(self) -> None:
        """Measure from the equity as it is now."""
        if self._reference is not None:
            self._measure_from(self._equity)

    def remember(self) -> EquityMemory:
        """Return what it measures from."""
        return EquityMemory(self._reference, self._equity, self._day)

    def recall(self, memory: Memory) -> None:
        """Measure as before."""
        if not isinstance(memory, EquityMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._equity, self._day = memory.equity, memory.day
        if memory.reference is not None:
            self._measure_from(memory.reference)

    def _measure_from(self, reference: Cash) -> None:
        self._reference = reference
        self._look_out()

    def _look_out(self) -> None:
        """Wait for the next tier; of nothing, nothing can be lost."""
        reference = self._reference
        if reference is None or reference <= 0 or self.is_latched:
            self._floor = NO_FLOOR
        else:
            self._floor = Cash(reference * self._kept[self.tier])

    def _fall(self, ts: Nanos) -> Changes:
        """Return the tier of an equity at or below the floor."""
        reference = self._reference or ZERO
        changes = self._reached(ts, sum(self._equity <= reference * kept for kept in self._kept))
        self._look_out()
        return changes
