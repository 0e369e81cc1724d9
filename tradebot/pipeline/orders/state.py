"""What the orders stage knows, as a value."""

from dataclasses import dataclass, field

from tradebot.model.money import Price, Qty
from tradebot.pipeline.orders.lifecycle import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What our fills leave open in a symbol: ``qty`` != 0, short < 0, opened by the entry of ``signal_id``.

    ``generation`` numbers its exits, 1 for those that came with the entry. ``repairs`` counts what was done about
    a stop that was lost: 1 when it was placed anew, 2 when the position was closed instead.
    """

    symbol: str
    strategy: str
    signal_id: str
    qty: Qty
    generation: int = 1
    repairs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How much of a position a resting stop covers: ``covered_qty`` >= 0 of ``qty`` > 0."""

    symbol: str
    qty: Qty
    stop_price: Price | None
    covered_qty: Qty

    @property
    def is_full(self) -> bool:
        """Whether the whole position is covered."""
        return self.covered_qty >= self.qty


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersState:
    """Orders that matter, by client order id, in the order they were made.

    ``orders`` are those that work and those of open positions; ``done`` the last ones that matter no more, kept
    for fills that come late; ``seen`` the trade ids of older ones and of liquidations, oldest first.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    done: dict[str, Order] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    submitted: int = 0

    @property
    def open(self) -> int:
        """How many orders the venue may work on."""
        return sum(not order.state.is_terminal for order in self.orders.values())

    @property
    def unknown(self) -> int:
        """How many orders were sent and not answered."""
        return sum(order.is_unknown for order in self.orders.values())
