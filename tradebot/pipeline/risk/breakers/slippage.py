"""How much worse than expected orders fill."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.errors import InvariantError
from tradebot.model.money import BPS, ZERO, Price, rounded
from tradebot.model.order import Fill, Liquidity, OrderRole
from tradebot.pipeline.risk.breakers.base import NO_CHANGE, Breaker, Changes, Holding, Memory, StormMemory, Tiers

_FILLS = 5
_PLACES = 8


class SlippageBreaker(Breaker):
    """The mean of the last five taker fills, against the last price, or against that of the order where it has one.

    A fill that was better than expected counts as such.
    """

    name: ClassVar[str] = "max_slippage_bps"
    measures: ClassVar[str] = "how much worse than expected the last five taker fills were on average, basis points"
    back: ClassVar[str] = "when the mean is below it again"

    def __init__(self, tiers: Tiers) -> None:
        super().__init__(tiers)
        self._slips: tuple[Decimal, ...] = ()

    @property
    def value(self) -> Decimal:
        """The mean of the last fills; 0 before there are five."""
        return sum(self._slips, ZERO) / _FILLS if len(self._slips) == _FILLS else ZERO

    def on_fill(self, fill: Fill, book: Holding) -> Changes:
        """Measure a fill before it is booked."""
        expected = _expected(fill, book)
        if expected is None or fill.liquidity is not Liquidity.TAKER or self.is_latched:
            return NO_CHANGE
        slip = rounded((fill.price - expected) * fill.side.sign / expected / BPS, _PLACES)
        self._slips = (*self._slips, slip)[-_FILLS:]
        if self.tier and self.value < self.tiers[0]:
            return (self.rearm(fill.ts_event, "fills are as expected"),)
        return self._reach(fill.ts_event)

    def begin(self) -> None:
        """Measure anew."""
        self._slips = ()

    def remember(self) -> StormMemory:
        """Return the last fills."""
        return StormMemory(measures=self._slips)

    def recall(self, memory: Memory) -> None:
        """Go on measuring."""
        if not isinstance(memory, StormMemory):
            raise InvariantError(f"{memory!r} is not what {self.name} remembers")
        self._slips = memory.measures


def _expected(fill: Fill, book: Holding) -> Price | None:
    """Return the price that a fill could be expected at; ``None`` where nobody can say."""
    if fill.role is OrderRole.STOP:
        return book.stops.get(fill.symbol)
    if fill.role is OrderRole.ENTRY and (entry := book.entries.get(fill.signal_id)) is not None:
        return entry.expected or book.marks.get(fill.symbol)
    return book.marks.get(fill.symbol) if fill.role is OrderRole.EXIT else None
