"""What a strategy wants, and what risk answers."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from msgspec import field

from tradebot.model.market import Message
from tradebot.model.money import ONE, Price, Qty
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.record import Value
from tradebot.model.time import Nanos


class WishGate(StrEnum):
    """What stops a wish of a strategy before risk is asked."""

    REGIME = "regime"
    """The strategy may not enter in the market as it is."""
    DIRECTION = "direction"
    """The strategy may not enter on this side."""
    ENTRY_PRICE = "entry_price"
    """The price to wait at comes to nothing on the tick."""
    ATR_UNKNOWN = "atr_unknown"
    """The stop is measured by an average true range for which there are not enough bars yet."""
    ATR_ZERO = "atr_zero"
    """The stop is measured by an average true range of 0: the market does not move."""
    STOP_PRICE = "stop_price"
    """The measured stop would be at or below 0."""
    NOTHING_HELD = "nothing_held"
    """There is nothing to leave, and no stop to move."""


WISH_GATES = frozenset(gate.value for gate in WishGate)


class Action(StrEnum):
    """What a signal asks for."""

    ENTER = "enter"
    EXIT = "exit"
    MOVE_STOP = "move_stop"


class Rung(Value, frozen=True, kw_only=True):
    """One target of several: leave ``fraction``, in (0, 1], of what was entered, at ``price``."""

    price: Price
    fraction: Decimal


class Signal(Message, frozen=True, kw_only=True):
    """A wish to enter, to leave ``fraction`` of a position on ``side``, or to move its stop to ``stop``.

    ``close`` is the last price of the symbol when it was made. ``entry_price`` is the limit or trigger of
    an entry that is not at market. ``reason`` becomes the exit reason of the round trip.
    ``ladder`` stands in place of ``target``. An entry that waits is withdrawn at the close of ``expires_ts``,
    and at a close beyond ``void_price``: below it for a long. ``pattern`` is what it was made of, a word of
    ``scan`` where it is one of those, and ``levels`` are the prices of that, by their names there. ``trail`` > 0: the
    stop follows the best price since the entry at this distance.
    """

    kind: ClassVar[str] = "signal"
    id: str
    ts_event: Nanos
    strategy: str
    symbol: str
    action: Action
    side: PositionSide
    close: Price
    entry_type: OrderType = OrderType.MARKET
    entry_price: Price | None = None
    stop: Price | None = None
    target: Price | None = None
    ladder: tuple[Rung, ...] = ()
    expires_ts: Nanos | None = None
    void_price: Price | None = None
    fraction: Decimal = ONE
    reason: str = "signal"
    confidence: float | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    pattern: str = ""
    levels: Mapping[str, Price] = field(default_factory=dict)
    trail: Price | None = None


class Cut(Value, frozen=True, kw_only=True):
    """A limit that made an order smaller: ``value`` was asked, ``limit`` was given."""

    gate: str
    limit: Decimal
    value: Decimal


class Approved(Message, frozen=True, kw_only=True):
    """A signal that may become orders of ``qty`` > 0."""

    kind: ClassVar[str] = "approved"
    ts_event: Nanos
    signal: Signal
    qty: Qty
    cuts: tuple[Cut, ...] = ()


class Refused(Message, frozen=True, kw_only=True):
    """A signal that ``gate`` stopped; ``limit`` and ``value`` are its numbers where it has any."""

    kind: ClassVar[str] = "refused"
    ts_event: Nanos
    signal: Signal
    gate: str
    limit: Decimal | None = None
    value: Decimal | None = None
    detail: str = ""


class StrategyDisabled(Message, frozen=True, kw_only=True):
    """A strategy that raised, blocked or spoke nonsense; it is not asked again. ``by_limit``: a limit stopped it."""

    kind: ClassVar[str] = "strategy_disabled"
    ts_event: Nanos
    strategy: str
    symbol: str
    reason: str
    by_limit: bool = False
