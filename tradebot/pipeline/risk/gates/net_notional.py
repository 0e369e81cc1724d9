"""How far long and short may be apart."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO
from tradebot.model.order import PositionSide
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Limit, Used


class NetNotionalGate(Limit):
    """Bounds what is long less what is short, and the reverse, in cash.

    At its worst: what is at work on one side may fill, and what is at work on the other may not.
    """

    setting = "max_net_notional"
    names: ClassVar = {setting: "what is open on its side leaves less of `max_net_notional` than the smallest order"}

    def counted(self, signal: Signal, book: Book) -> Decimal:
        """Return by how much the side of the entry outweighs the other; < 0 where it is the lighter one."""
        return _worst(book, signal.side)

    def used(self, book: Book) -> Used:
        """Return the worst of both sides."""
        return max((Used(max(ZERO, _worst(book, side)), side.value) for side in PositionSide), key=_value)


def _worst(book: Book, side: PositionSide) -> Decimal:
    exposed = book.exposed()
    # What may be on either side is held by nobody.
    against = (one.notional for one in exposed if one.is_held and one.side is not side)
    return exposed.by_side[side] - sum(against, ZERO)


def _value(used: Used) -> Decimal:
    return used.value
