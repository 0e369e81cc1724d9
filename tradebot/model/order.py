"""Orders and what a venue says about them."""

from enum import StrEnum
from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.record import Value
from tradebot.model.time import Nanos


class OrderSide(StrEnum):
    """The direction of an order."""

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self is OrderSide.BUY else -1

    @property
    def opposite(self) -> "OrderSide":
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class PositionSide(StrEnum):
    """The direction of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """1 for long, -1 for short."""
        return 1 if self is PositionSide.LONG else -1

    @property
    def entry(self) -> OrderSide:
        """The side of an order that opens it."""
        return OrderSide.BUY if self is PositionSide.LONG else OrderSide.SELL

    @property
    def opposite(self) -> "PositionSide":
        """The other side."""
        return PositionSide.SHORT if self is PositionSide.LONG else PositionSide.LONG


class OrderType(StrEnum):
    """How an order meets the market. Take-profit triggers in our favour and rests as a limit.

    A trailing stop is a stop that its venue moves: its trigger follows the best price, and never goes back.
    """

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop_market"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"


class OrderRole(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class OrderState(StrEnum):
    """Where an order is in its life; the table is ``pipeline.orders.lifecycle.TRANSITIONS``."""

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    PENDING = "pending"
    SUBMITTED = "submitted"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        """Whether the venue has nothing of it to work on."""
        return self in _TERMINAL


_TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.FAILED})


class RefusalClass(StrEnum):
    """What the refusal of an order says of sending it again. The venue's side reads it from the venue's words."""

    PASSING = "passing"
    """What stood in the way may be gone in a moment: a rate, margin, liquidity, a price too far away."""
    UNSENT = "unsent"
    """The venue did not say no: it could not be reached, or we held the order back ourselves."""
    TRIGGERED = "triggered"
    """The price is beyond the trigger already."""
    TOO_LARGE = "too_large"
    """No order of this size is taken; smaller ones are."""
    TOO_SMALL = "too_small"
    """No order of this size is taken unless it closes the whole position."""
    OFF_TICK = "off_tick"
    """No order at this price is taken; where the venue's side makes the price, the next one has another."""
    OFF_GRID = "off_grid"
    """Size or kind are not what the venue takes of this symbol."""
    NOT_TRADED = "not_traded"
    """The venue takes no such order of this symbol at all."""
    KEY = "key"
    """The key may not trade for the account: nothing that it signs is taken."""

    @property
    def is_lasting(self) -> bool:
        """Whether the same order would be refused again, however often it is sent."""
        return self not in (RefusalClass.PASSING, RefusalClass.UNSENT)


class Liquidity(StrEnum):
    """Who was there first."""

    MAKER = "maker"
    TAKER = "taker"


class OrderRequest(Value, frozen=True, kw_only=True):
    """An order as we mean it.

    ``qty`` > 0; ``price`` is a limit, ``trigger`` the price that wakes a stop or take-profit. An exit names
    in ``parent_id`` the entry whose fills arm and size it; ``oco_id`` is shared by exits of which one filled
    cancels the others. ``reason`` becomes the exit reason. ``trail`` > 0 is how far the trigger of a stop stays behind
    the best price: the venue moves that of a trailing stop, we move that of any other.
    An entry is withdrawn at the close of ``expires_ts``, and at a close beyond ``void_price``.
    ``moved_by`` says what took a stop to its trigger, once it is not where its entry put it.
    """

    client_order_id: str
    symbol: str
    strategy: str
    signal_id: str
    role: OrderRole
    side: OrderSide
    type: OrderType
    qty: Qty
    ts_event: Nanos
    price: Price | None = None
    trigger: Price | None = None
    reduce_only: bool = False
    parent_id: str | None = None
    oco_id: str | None = None
    reason: str = ""
    expires_ts: Nanos | None = None
    void_price: Price | None = None
    trail: Price | None = None
    moved_by: str = ""


class SubmitOrders(Message, frozen=True, kw_only=True):
    """The intent: orders that go to the venue as one. A bracket is its entry, then its exits."""

    kind: ClassVar[str] = "submit"
    ts_event: Nanos
    orders: tuple[OrderRequest, ...]


class CancelOrder(Message, frozen=True, kw_only=True):
    """The intent to cancel one order."""

    kind: ClassVar[str] = "cancel"
    ts_event: Nanos
    client_order_id: str
    symbol: str
    reason: str


class OrderAccepted(Message, frozen=True, kw_only=True):
    """The venue works the order, or holds it until its entry fills."""

    kind: ClassVar[str] = "accepted"
    ts_event: Nanos
    client_order_id: str
    venue_order_id: str


class OrderRejected(Message, frozen=True, kw_only=True):
    """The venue said no: ``reason`` in its words, ``refusal`` is what they mean for the next order."""

    kind: ClassVar[str] = "rejected"
    ts_event: Nanos
    client_order_id: str
    reason: str
    refusal: RefusalClass = RefusalClass.PASSING


class OrderCanceled(Message, frozen=True, kw_only=True):
    """The venue works the order no more; what filled before stays filled."""

    kind: ClassVar[str] = "canceled"
    ts_event: Nanos
    client_order_id: str
    reason: str


class FillReport(Message, frozen=True, kw_only=True):
    """A venue's word that ``qty`` > 0 of an order traded. ``trade_id`` is the venue's and unique.

    ``client_order_id`` is ``None`` when the venue acted by itself: a liquidation. ``fee`` > 0 is paid.
    On bars ``ts_event`` is the opening time of the bar of the fill.
    """

    kind: ClassVar[str] = "fill_report"
    ts_event: Nanos
    trade_id: str
    client_order_id: str | None
    symbol: str
    side: OrderSide
    qty: Qty
    price: Price
    fee: Cash
    liquidity: Liquidity


class FillDisputed(Message, frozen=True, kw_only=True):
    """A fill that contradicts the book is held back, not booked: ``what`` says why. It is settled by looking."""

    kind: ClassVar[str] = "fill_disputed"
    ts_event: Nanos
    trade_id: str
    symbol: str
    what: str


class FillSettled(Message, frozen=True, kw_only=True):
    """What looking at the venue proved of a disputed fill: it is booked as told, or it never was."""

    kind: ClassVar[str] = "fill_settled"
    ts_event: Nanos
    trade_id: str
    is_believed: bool


class Fill(Message, frozen=True, kw_only=True):
    """A fill as booked, once for each ``trade_id``: attributed to a strategy, a role and a reason."""

    kind: ClassVar[str] = "fill"
    ts_event: Nanos
    trade_id: str
    client_order_id: str
    signal_id: str
    strategy: str
    symbol: str
    role: OrderRole
    side: OrderSide
    qty: Qty
    price: Price
    fee: Cash
    liquidity: Liquidity
    reason: str


class OrderDone(Message, frozen=True, kw_only=True):
    """An order reached ``state``, a terminal one, with ``filled_qty`` of it filled.

    ``is_wanted``: what an exit was to do is still wanted, and is tried again; when that ends without a further order,
    the last one is told anew, and not wanted. ``stop_price`` is told with a stop that the venue refused or dropped:
    the stop that is in force instead. ``refusal`` says of one that was rejected by whom, and for how long.
    """

    kind: ClassVar[str] = "order_done"
    ts_event: Nanos
    client_order_id: str
    signal_id: str
    strategy: str
    symbol: str
    role: OrderRole
    state: OrderState
    filled_qty: Qty
    reason: str
    is_wanted: bool = False
    stop_price: Price | None = None
    refusal: RefusalClass = RefusalClass.PASSING


class TradingPermitted(Message, frozen=True, kw_only=True):
    """The venue was asked, and lets our key trade: what was refused for good may be tried once more."""

    kind: ClassVar[str] = "trading_permitted"
    ts_event: Nanos


class StopFault(StrEnum):
    """What looking at the venue showed to be wrong with a stop that the book holds for resting."""

    SIDE = "side"
    """It is of the other side, or would open a position."""
    SIZE = "size"
    """It is for less than the book has it."""
    PRICE = "price"
    """It wakes elsewhere."""
    LIQUIDATION = "liquidation"
    """The venue liquidates the position before it would wake, or hardly after."""
    UNFILLED = "unfilled"
    """It woke, or should have long ago, and the position is still there."""


class StopFaulted(Message, frozen=True, kw_only=True):
    """The venue was asked, and a stop of ours does not protect as the book has it.

    ``trigger`` is where it wakes at the venue or, of one beyond the liquidation, where it is to wake.
    """

    kind: ClassVar[str] = "stop_faulted"
    ts_event: Nanos
    client_order_id: str
    fault: StopFault
    trigger: Price | None = None


class OrderFound(Message, frozen=True, kw_only=True):
    """The venue works an order of ours that the book does not know: its journal was lost.

    ``order`` is what can be read from the venue; ``qty`` of it is what was asked for at first.
    """

    kind: ClassVar[str] = "order_found"
    ts_event: Nanos
    order: OrderRequest
    venue_order_id: str


class ActionsLeft(Message, frozen=True, kw_only=True):
    """How many actions the account may still send to its venue: one for each order, of a bracket too.

    Entries leave ``reserve`` of them to exits and stops.
    """

    kind: ClassVar[str] = "actions_left"
    ts_event: Nanos
    left: int
    reserve: int
