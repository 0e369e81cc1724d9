"""Both sides of the comparison: the venue, and the line whose book it is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.live.line import LiveLine
from tradebot.model.market import Message
from tradebot.model.money import Cash
from tradebot.pipeline.orders.lifecycle import Order
from tradebot.ports import Clock, Execution, Page

COMPARE = "compare tradebot orders, positions and balance with the venue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The venue and the line, and how to tell what differs.

    ``deliver`` gives the venue's word to the line. ``in_hands``: whether somebody still carries an order to the venue,
    so that it need not be asked for. ``symbols`` are those we trade.
    """

    venue: Execution
    line: LiveLine
    page: Page
    clock: Clock
    deliver: Callable[[Sequence[Message]], Awaitable[None]]
    in_hands: Callable[[str], bool]
    symbols: tuple[str, ...]

    def book(self) -> Mapping[str, Order]:
        """Return the orders that matter and those lately done, by name."""
        return self.line.orders.book()

    def is_blank(self) -> bool:
        """Return whether the book never knew an order: it is new, or its journal was lost."""
        return self.line.orders.is_blank

    def held(self) -> Mapping[str, Decimal]:
        """Return the open quantities by symbol, short < 0."""
        return self.line.risk.positions

    def cash(self) -> Cash:
        """Return the book's money."""
        return self.line.risk.cash

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return self.clock.monotonic()
