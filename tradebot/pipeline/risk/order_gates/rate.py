"""How many orders go out in a second and in a minute, by market time. Cancels have a measure of their own.

Exits, stops and cancels draw from it and are never stopped: what they take is missing to entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, NamedTuple

from tradebot.model.errors import InvariantError
from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, OrderRequest, SubmitOrders
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.pipeline.risk.gates.base import Book, Stopped
from tradebot.pipeline.risk.order_gates.base import OrderGate

GATE = "order_rate"
CANCELS = 3
"""So many cancels may go for each order."""
_PERIODS: Mapping[str, int] = {"max_orders_per_s": NANOS_PER_S, "max_orders_per_min": 60 * NANOS_PER_S}


class _Meter(NamedTuple):
    """``most`` in each ``period``, all of them at once if need be: a bucket that refills evenly."""

    most: int
    period: int

    def taken(self, until: int, now: int) -> int:
        """Return how many of ``most`` are not there at ``now``, when the bucket is full again at ``until``."""
        return -(-max(0, until - now) * self.most // self.period)

    def take(self, until: int, now: int, count: int) -> Nanos:
        """Return when the bucket is full again once ``count`` more are taken; it is never more than empty."""
        return Nanos(min(max(until, now) + count * self.period // self.most, now + self.period))


@dataclass(frozen=True, slots=True)
class RateState:
    """When each bucket is full again, by the key that sets it; those of cancels apart."""

    kind: ClassVar[str] = "rates"
    orders: dict[str, Nanos] = field(default_factory=dict)
    cancels: dict[str, Nanos] = field(default_factory=dict)


class RateGate(OrderGate):
    """Entries with their exits as far as the measures allow."""

    names: ClassVar = {GATE: "`max_orders_per_s` or `max_orders_per_min` is used up, or thrice that by cancels"}
    settings = tuple(_PERIODS)
    hears: ClassVar = (SubmitOrders, CancelOrder)

    def __init__(self) -> None:
        self._orders: dict[str, Nanos] = {}
        self._cancels: dict[str, Nanos] = {}
        # They are made once, and again when the limits are others.
        self._limits: Mapping[str, Decimal] | None = None
        self._meters: Sequence[tuple[str, _Meter, _Meter]] = ()

    def check(self, orders: Sequence[OrderRequest], book: Book) -> Stopped | None:
        """Return the measure that the orders go beyond; a full one lets through what is larger than itself."""
        now, count = orders[0].ts_event, len(orders)
        for key, meter, of_cancels in self._meters_of(book):
            taken = meter.taken(self._orders.get(key, 0), now)
            if taken and taken + count > meter.most:
                return Stopped(GATE, Decimal(meter.most), Decimal(taken + count), f"orders, by risk.{key}")
            canceled = of_cancels.taken(self._cancels.get(key, 0), now)
            if canceled >= of_cancels.most:
                return Stopped(GATE, Decimal(of_cancels.most), Decimal(canceled), f"cancels, by risk.{key}")
        return None

    def hear(self, message: Message, book: Book) -> None:
        """Take what goes out."""
        if isinstance(message, SubmitOrders):
            for key, meter, _ in self._meters_of(book):
                until = self._orders.get(key, 0)
                self._orders[key] = meter.take(until, message.ts_event, len(message.orders))
        else:
            assert isinstance(message, CancelOrder)  # noqa: S101 - it hears nothing else  # nosec B101
            for key, _, meter in self._meters_of(book):
                self._cancels[key] = meter.take(self._cancels.get(key, 0), message.ts_event, 1)

    def save(self) -> RateState:
        """Return what is remembered."""
        return RateState(dict(self._orders), dict(self._cancels))

    def load(self, state: object) -> None:
        """Become what ``save`` saw."""
        if not isinstance(state, RateState):
            raise InvariantError(f"{state!r} is not what {GATE} remembers")
        self._orders, self._cancels = dict(state.orders), dict(state.cancels)

    def _meters_of(self, book: Book) -> Sequence[tuple[str, _Meter, _Meter]]:
        """Return each measure that is set, of orders and of cancels, by its key."""
        if book.limits is not self._limits:
            self._limits = book.limits
            meters = ((key, _Meter(int(book.limits[key]), _PERIODS[key])) for key in _PERIODS if key in book.limits)
            self._meters = [(key, meter, _Meter(meter.most * CANCELS, meter.period)) for key, meter in meters]
        return self._meters
