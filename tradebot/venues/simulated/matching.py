"""The rules by which one resting order meets a price: pure, and the same for every source of prices.

A stop triggers on touch and fills at its trigger, or at an open beyond it. A limit or target needs a price
strictly through it, or an open at or beyond it. A stop-limit or take-profit becomes a limit when it
triggers. Where its limit is already marketable at the trigger it fills at once as a taker, moved against us
but never past its limit. A stop-limit that triggers within a bar and is not marketable there rests from the
next bar on: what came after the trigger cannot be known. One that triggers at the open rests from the open.

A trailing stop is a stop whose level follows the best price at its distance, on the tick, and never goes back. A bar is
met by the level from before it: first the open and the adverse extreme, and only then the favourable one moves it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.order import Liquidity, OrderRequest, OrderSide, OrderType
from tradebot.model.time import Nanos


class _Manner(NamedTuple):
    """How an order of some type trades. ``is_stop``: prices against us wake it. ``ends_at_market``: it has no limit."""

    awaits_trigger: bool
    is_stop: bool
    ends_at_market: bool


def _manner(type_: OrderType) -> _Manner:
    match type_:
        case OrderType.MARKET:
            return _Manner(awaits_trigger=False, is_stop=False, ends_at_market=True)
        case OrderType.LIMIT:
            return _Manner(awaits_trigger=False, is_stop=False, ends_at_market=False)
        case OrderType.STOP_MARKET | OrderType.TRAILING_STOP:
            return _Manner(awaits_trigger=True, is_stop=True, ends_at_market=True)
        case OrderType.STOP_LIMIT:
            return _Manner(awaits_trigger=True, is_stop=True, ends_at_market=False)
        case OrderType.TAKE_PROFIT:
            return _Manner(awaits_trigger=True, is_stop=False, ends_at_market=False)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


_MANNERS = {type_: _manner(type_) for type_ in OrderType}


class Offer(NamedTuple):
    """A price at which an order trades. ``slips``: it is moved against us, though not past ``bound``."""

    price: Decimal
    liquidity: Liquidity
    slips: bool = False
    bound: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingState:
    """All there is to know of an order at the venue."""

    request: OrderRequest
    venue_order_id: str
    active_from: int
    armed: Qty
    filled: Qty
    has_triggered: bool
    is_seen: bool
    cancel_at: int | None
    cancel_reason: str
    level: Price | None = None


class Resting:
    """An order at the venue.

    It takes part from ``active_from`` on. ``armed`` is how much of it may trade: all of an entry, of an exit
    as much as its entry has filled. ``level`` is the price that wakes or fills it, ``None`` for a market
    order; ``by_high``: prices reach it from below. ``is_seen``: it has met a price before.
    """

    __slots__ = (
        "_ends_at_market",
        "active_from",
        "armed",
        "awaits_trigger",
        "by_high",
        "cancel_at",
        "cancel_reason",
        "filled",
        "is_done",
        "is_seen",
        "is_stop",
        "level",
        "request",
        "venue_order_id",
    )

    def __init__(self, request: OrderRequest, venue_order_id: str, active_from: int, *, armed: Qty) -> None:
        self.request = request
        self.venue_order_id = venue_order_id
        self.active_from = active_from
        self.armed = armed
        self.filled = Qty(ZERO)
        self.cancel_at: int | None = None
        self.cancel_reason = ""
        self.is_seen = False
        self.is_done = False
        self.awaits_trigger, self.is_stop, self._ends_at_market = _MANNERS[request.type]
        is_buy = request.side is OrderSide.BUY
        self.level = request.trigger if self.awaits_trigger else request.price
        self.by_high = is_buy is self.is_stop

    @property
    def open_qty(self) -> Qty:
        """What may trade now."""
        return Qty(self.armed - self.filled)

    @property
    def limit(self) -> Price | None:
        """The worst price it may trade at, ``None`` at market; where none was given, its trigger."""
        if self._ends_at_market:
            return None
        return self.request.price if self.request.price is not None else self.request.trigger

    @property
    def trails(self) -> bool:
        """Whether its level follows the price now."""
        return self.request.type is OrderType.TRAILING_STOP and self.awaits_trigger and self.armed > 0

    def follow(self, price: Price, instrument: Instrument) -> None:
        """Let the level of a trailing stop follow ``price``, the best of late, where that is in its favour."""
        trail, level = self.request.trail, self.level
        assert trail is not None  # noqa: S101 - refused without one  # nosec B101
        assert level is not None  # noqa: S101 - it waits for its trigger  # nosec B101
        side = self.request.side
        wanted = instrument.price_against(price + trail * side.sign, side)
        self.level = min(level, wanted) if self.by_high else max(level, wanted)

    def trigger(self) -> None:
        """Become the limit or market order that waited behind the trigger."""
        self.awaits_trigger = False
        self.level = self.limit
        self.by_high = self.request.side is OrderSide.SELL

    def is_at(self, price: Decimal) -> bool:
        """Return whether ``price`` is at or beyond the level, which must be there."""
        level = self.level
        assert level is not None  # noqa: S101 - market orders have none and are never asked  # nosec B101
        return price >= level if self.by_high else price <= level

    def is_through(self, price: Decimal) -> bool:
        """Return whether ``price`` is strictly beyond the level."""
        return price != self.level and self.is_at(price)

    def save(self) -> RestingState:
        """Return the state."""
        return RestingState(
            request=self.request,
            venue_order_id=self.venue_order_id,
            active_from=self.active_from,
            armed=self.armed,
            filled=self.filled,
            has_triggered=_MANNERS[self.request.type].awaits_trigger and not self.awaits_trigger,
            is_seen=self.is_seen,
            cancel_at=self.cancel_at,
            cancel_reason=self.cancel_reason,
            level=self.level if self.trails else None,
        )

    @classmethod
    def restore(cls, state: RestingState) -> "Resting":
        """Return the order that ``save`` saw."""
        order = cls(state.request, state.venue_order_id, state.active_from, armed=state.armed)
        order.filled = state.filled
        order.is_seen = state.is_seen
        order.cancel_at = state.cancel_at
        order.cancel_reason = state.cancel_reason
        if state.level is not None:
            order.level = state.level
        if state.has_triggered:
            order.trigger()
        return order


def at_open(order: Resting, price: Decimal) -> Offer | None:
    """Return what ``order`` gets at the opening ``price`` of a bar."""
    is_taker = not order.is_seen
    if order.awaits_trigger:
        if not order.is_at(price):
            return None
        order.trigger()
        is_taker = is_taker or order.is_stop
    if order.level is None:
        return Offer(price, Liquidity.TAKER, slips=True)
    if not order.is_at(price):
        return None
    return Offer(price, Liquidity.TAKER if is_taker else Liquidity.MAKER)


def stop_within(order: Resting, low: Decimal, high: Decimal, ts_close: Nanos) -> Offer | None:
    """Return what an untriggered stop gets between ``low`` and ``high`` of a bar, after its open."""
    if not (order.is_stop and order.awaits_trigger) or not order.is_at(high if order.by_high else low):
        return None
    offer = _triggered_within(order)
    if offer is None:
        order.active_from = ts_close
        order.is_seen = True
    return offer


def limit_within(order: Resting, low: Decimal, high: Decimal) -> Offer | None:
    """Return what a limit or take-profit gets between ``low`` and ``high`` of a bar, after its open."""
    if order.level is None or (order.is_stop and order.awaits_trigger):
        return None
    extreme = high if order.by_high else low
    if order.awaits_trigger:
        if not order.is_at(extreme):
            return None
        offer = _triggered_within(order)
        if offer is not None:
            return offer
    return Offer(order.level, Liquidity.MAKER) if order.is_through(extreme) else None


def at_close(order: Resting, close: Decimal) -> Offer | None:
    """Return what a limit or take-profit gets that was armed somewhere within the bar that ends at ``close``.

    Only a close at or beyond its price proves that the price was passed after that.
    """
    if order.level is None or order.is_stop or not order.is_at(close):
        return None
    if order.awaits_trigger:
        offer = _triggered_within(order)
        if offer is not None:
            return offer
    return Offer(order.level, Liquidity.MAKER) if order.is_at(close) else None


def at_quote(order: Resting, price: Decimal) -> Offer | None:
    """Return what ``order`` gets when ``price`` is what it would take: the ask for a buy, the bid for a sell."""
    is_first = not order.is_seen
    if order.awaits_trigger:
        if not order.is_at(price):
            return None
        order.trigger()
        is_first = is_first or order.is_stop
    if order.level is None:
        return Offer(price, Liquidity.TAKER, slips=True)
    if is_first and order.is_at(price):
        return Offer(price, Liquidity.TAKER)
    return Offer(order.level, Liquidity.MAKER) if order.is_through(price) else None


def at_print(order: Resting, price: Decimal) -> Offer | None:
    """Return what ``order`` gets when somebody trades at ``price``."""
    awaited_trigger = order.awaits_trigger
    if awaited_trigger:
        if not order.is_at(price):
            return None
        order.trigger()
    if order.level is None:
        return Offer(price, Liquidity.TAKER, slips=True)
    if not order.is_through(price):
        return None
    if awaited_trigger and order.is_stop:
        return Offer(price, Liquidity.TAKER, slips=True, bound=order.level)
    return Offer(order.level, Liquidity.MAKER)


def _triggered_within(order: Resting) -> Offer | None:
    trigger = order.level
    assert trigger is not None  # noqa: S101 - only an order that awaits its trigger comes here  # nosec B101
    order.trigger()
    if order.level is None:
        return Offer(trigger, Liquidity.TAKER, slips=True)
    return Offer(trigger, Liquidity.TAKER, slips=True, bound=order.level) if order.is_through(trigger) else None
