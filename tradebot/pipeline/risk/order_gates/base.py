"""What an order gate is: it stops an order that opens, with all that goes with it, and says by what number."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.order import OrderRequest
from tradebot.pipeline.risk.gates.base import Book, Stopped


class OrderGate:
    """One rule. ``names`` says of each name by which it stops an order when it does; the reference lists them.

    ``settings`` are the keys of ``[risk]`` that are its own. By the names in ``faults`` no order is ever stopped that
    the line should make, so that somebody must look. ``hear`` is told what is of the types in ``hears``, of the orders
    and cancels that pass, the orders that end and those found at the venue; what a gate remembers it gives as a value
    from ``save``.
    """

    names: ClassVar[Mapping[str, str]]
    settings: ClassVar[tuple[str, ...]] = ()
    faults: ClassVar[tuple[str, ...]] = ()
    hears: ClassVar[tuple[type[Message], ...]] = ()

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return why ``orders`` may not go: the first opens, and the others are its exits."""
        del orders, book
        return None

    def check_exit(self, order: OrderRequest, book: Book) -> Stopped | None:
        """Return why ``order``, which only reduces, may not go."""
        del order, book
        return None

    def hear(self, message: Message, book: Book) -> None:
        """Remember what matters of ``message``."""

    def save(self) -> object | None:
        """Return what is remembered."""
        return None

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
