"""How far a flattening has come, as a document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tradebot.model.money import plain
from tradebot.report.shapes import Document, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingFacts:
    """An order that rests; ``own``: this bot placed it."""

    id: str
    symbol: str
    what: str
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatFacts:
    """What is left to be closed and cancelled, by the venue's own word where there is one.

    ``is_flat`` is never said before the venue was asked, after the flattening began. ``others`` is what was to be left
    alone. ``stuck`` says why it does not go on;
    with ``is_over`` it never will.
    """

    is_flat: bool
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    orders: Sequence[RestingFacts] = ()
    others: Sequence[str] = ()
    stuck: str = ""
    is_over: bool = False


def flatness(facts: FlatFacts) -> Document:
    """Return the document of ``flatness``."""
    positions: list[Json] = [{"symbol": symbol, "qty": plain(qty)} for symbol, qty in sorted(facts.positions.items())]
    orders: list[Json] = [
        {"id": order.id, "symbol": order.symbol, "what": order.what, "own": order.own} for order in facts.orders
    ]
    return {
        "flat": facts.is_flat,
        "positions": positions,
        "orders": orders,
        "others": list(facts.others),
        "stuck": facts.stuck,
        "over": facts.is_over,
    }


def left_text(facts: FlatFacts) -> str:
    """Return what is left in words, for an error or a log."""
    positions = [f"{plain(qty)} {symbol}" for symbol, qty in sorted(facts.positions.items())]
    orders = [f"order {order.id} ({order.what} {order.symbol})" for order in facts.orders]
    return ", ".join([*positions, *orders]) or facts.stuck or "nothing that is known"
