"""What a look at the venue proves about the book. Pure: nothing is asked, nothing is done.

A look is never exact: the venue may answer from a replica that lags, and the book may move meanwhile. So a difference
counts only when it is the same in several looks.
"""

from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

from tradebot.model.money import ZERO, Cash
from tradebot.model.order import OrderRequest, OrderRole, OrderSide, OrderType
from tradebot.model.time import Nanos
from tradebot.model.venue import AccountState, RestingOrder, VenueOrder
from tradebot.pipeline.orders.lifecycle import Order

K = TypeVar("K", bound=Hashable)
CENT = Decimal("0.01")
"""Money that differs by no more is rounding."""


@dataclass(slots=True)
class _Run:
    value: object
    since: float
    looks: int = 0
    is_told: bool = False


class Persistence(Generic[K]):
    """Findings that count only when they stay the same for ``looks`` looks in a row, over at least ``age_s``."""

    def __init__(self, looks: int, age_s: float = 0.0) -> None:
        self._looks, self._age_s = looks, age_s
        self._runs: dict[K, _Run] = {}

    @property
    def is_open(self) -> bool:
        """Whether something was found that is not due yet."""
        return any(not run.is_told for run in self._runs.values())

    @property
    def told(self) -> frozenset[K]:
        """What was due, and is found still."""
        return frozenset(key for key, run in self._runs.items() if run.is_told)

    def is_known(self, found: Mapping[K, object]) -> bool:
        """Return whether all of ``found`` was told before, as it is."""
        runs = self._runs
        return all(key in runs and runs[key].is_told and runs[key].value == value for key, value in found.items())

    def look(self, found: Mapping[K, object], now: float) -> tuple[K, ...]:
        """Take what a look found, by key, at ``now`` in seconds; return what is due with it, each once."""
        self._runs = {key: run for key, run in self._runs.items() if key in found}
        due: list[K] = []
        for key, value in found.items():
            run = self._runs.get(key)
            if run is None or run.value != value:
                run = self._runs[key] = _Run(value, now)
            run.looks += 1
            if not run.is_told and run.looks >= self._looks and now - run.since >= self._age_s:
                run.is_told = True
                due.append(key)
        return tuple(due)


@dataclass(frozen=True, slots=True)
class Stray:
    """An order of ours that rests at the venue and should not; ``is_known``: the book holds it for done."""

    name: str
    order: VenueOrder
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """All that rests, by what it means.

    ``awake``: ours at work, whose id at the venue the book does not have yet. ``rivals``: of another state directory,
    placed since we began. ``adopted``: ours of such a one, which the book took over. ``listed`` are all of ours.
    """

    awake: Mapping[str, VenueOrder] = field(default_factory=dict)
    strays: Sequence[Stray] = ()
    rivals: Sequence[VenueOrder] = ()
    foreign: Sequence[VenueOrder] = ()
    adopted: Mapping[str, VenueOrder] = field(default_factory=dict)
    listed: Mapping[str, VenueOrder] = field(default_factory=dict)


def sort_resting(resting: Iterable[RestingOrder], book: Mapping[str, Order], began: Nanos) -> Sorted:
    """Return what rests, sorted. ``book`` holds the orders that matter and those lately done, by name."""
    resting = tuple(resting)
    oids = frozenset(found.order.oid for found in resting)
    awake: dict[str, VenueOrder] = {}
    strays: list[Stray] = []
    rivals: list[VenueOrder] = []
    foreign: list[VenueOrder] = []
    adopted: dict[str, VenueOrder] = {}
    listed: dict[str, VenueOrder] = {}
    for found in resting:
        owner, order = found.owner, found.order
        if owner is None:
            foreign.append(order)
            continue
        known = book.get(owner.client_order_id)
        if not owner.is_this_instance and order.ts_event > began:
            rivals.append(order)
        elif known is None or known.state.is_terminal or _is_another(known, order, oids):
            strays.append(Stray(owner.client_order_id, order, known is not None))
        else:
            listed[owner.client_order_id] = order
            if not owner.is_this_instance:
                adopted[owner.client_order_id] = order
            if known.venue_order_id != order.oid:
                awake[owner.client_order_id] = order
    return Sorted(
        awake=awake,
        strays=tuple(strays),
        rivals=tuple(rivals),
        foreign=tuple(foreign),
        adopted=adopted,
        listed=listed,
    )


def _is_another(known: Order, order: VenueOrder, oids: frozenset[str]) -> bool:
    """Return whether ``order`` bears the name of a known one that rests beside it: two exist for one intent."""
    return known.venue_order_id != order.oid and known.venue_order_id in oids


def absent(book: Mapping[str, Order], listed: Container[str]) -> frozenset[str]:
    """Return the orders that the book holds for resting and the venue does not list.

    An exit that waits for its entry is not listed before it wakes.
    """
    return frozenset(
        name
        for name, order in book.items()
        if not order.state.is_terminal and not order.is_unknown and name not in listed and not _waits(order, book)
    )


def _waits(order: Order, book: Mapping[str, Order]) -> bool:
    parent = book.get(order.request.parent_id or "")
    is_asleep = order.venue_order_id in {"", order.request.client_order_id}
    return is_asleep and parent is not None and not parent.state.is_terminal


def unanswered(book: Mapping[str, Order]) -> frozenset[str]:
    """Return the orders that were sent and of which nothing is known."""
    return frozenset(name for name, order in book.items() if order.is_unknown)


def position_differences(held: Mapping[str, Decimal], account: AccountState) -> Mapping[str, Decimal]:
    """Return by symbol what the venue holds more than the book; only where they differ."""
    theirs = account.held
    symbols = sorted({*held, *theirs})
    deltas = {symbol: Decimal(theirs.get(symbol, ZERO) - held.get(symbol, ZERO)) for symbol in symbols}
    return {symbol: delta for symbol, delta in deltas.items() if delta}


def money_difference(ours: Decimal, theirs: Decimal) -> Cash | None:
    """Return what the venue's cash is more than ours, to the cent; ``None`` where that is rounding."""
    residual = theirs - ours
    return None if abs(residual) <= CENT else Cash(residual.quantize(CENT))


def found_request(name: str, order: VenueOrder, names: Iterable[str] = ()) -> OrderRequest:
    """Return the request that ``order`` of ours must have come from, as far as the venue still says it.

    ``names`` are all orders of ours that rest: an exit waits for its entry while that is among them.
    """
    signal_id, _, word = name.rpartition("-")
    strategy = signal_id.removesuffix(f"-{signal_id.rpartition('-')[2]}").removesuffix(f"-{order.symbol}")
    role = _role(word)
    entry = f"{signal_id}-{OrderRole.ENTRY}"
    return OrderRequest(
        client_order_id=name,
        symbol=order.symbol,
        strategy=strategy,
        signal_id=signal_id,
        role=role,
        side=OrderSide(order.side),
        type=_type(role, order),
        qty=order.original_qty,
        ts_event=order.ts_event,
        price=None if _type(role, order) is OrderType.STOP_MARKET else order.price,
        trigger=order.trigger,
        reduce_only=order.reduce_only,
        parent_id=entry if role is not OrderRole.ENTRY and entry in set(names) else None,
        oco_id=None if role is OrderRole.ENTRY else signal_id,
        reason="" if role is OrderRole.ENTRY else role.value,
    )


def _role(word: str) -> OrderRole:
    text = word.rstrip("0123456789")
    return OrderRole(text) if text in set(OrderRole) else OrderRole.TARGET


def _type(role: OrderRole, order: VenueOrder) -> OrderType:
    if order.trigger is None:
        return OrderType.LIMIT
    # The venue does not say whether a stop goes on as a market order; ours do.
    return OrderType.TAKE_PROFIT if role is OrderRole.TARGET else OrderType.STOP_MARKET
