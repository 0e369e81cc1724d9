"""What any exchange says of an account and a market, what becomes of what is sent there, and what it can do.

Fills, funding, transfers and the ends of orders are messages of the line already: ``FillReport``, ``FundingPaid``,
``Deposit``, ``OrderCanceled``, ``OrderRejected``. ``oid`` is the exchange's own id of an order, ``cloid`` our client
order id as the exchange is told it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Literal

from tradebot.model.errors import Unreadable
from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, Level, Message, Quote, Trade
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import OrderSide, RefusalClass
from tradebot.model.time import Nanos

FOREIGN = "venue-"
"""How the id begins of an order that is not ours: somebody's by hand, or another program's."""
SETTLED = "settlement-"
"""How the id begins of what the venue did by itself with a position of a symbol that it delists."""


class Purpose(StrEnum):
    """What a request is for, the most urgent first."""

    # It is a key of hot tables, and the hash of an Enum is computed by Python code.
    __hash__ = str.__hash__

    PROTECT = "protect"
    """Cancels, stops, closes, questions about orders whose outcome is not known, and all that a boot that may have
    something to protect must know before it can."""
    TRADE = "trade"
    """Entries."""
    WATCH = "watch"
    """The continuous comparison with the venue."""
    HISTORY = "history"
    """What informs and can wait: bars, doctor."""


# What rests, what is held, what is listed ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue holds it: ``qty`` is what is left of ``original_qty``, ``is_triggered``: it has woken."""

    oid: str
    cloid: str | None
    symbol: str
    side: OrderSide
    price: Price
    qty: Qty
    original_qty: Qty
    ts_event: Nanos
    reduce_only: bool = False
    trigger: Price | None = None
    is_triggered: bool = False


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """The client order id of an order of ours, and whether this very state directory gave it."""

    client_order_id: str
    is_this_instance: bool


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that rests at the venue, and whose it is; ``None`` for a foreign one."""

    order: VenueOrder
    owner: OwnOrder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """A position as the venue holds it; ``qty`` is signed. ``funding`` > 0 was received since it opened."""

    symbol: str
    qty: Qty
    entry_price: Price
    unrealized_pnl: Cash
    margin_used: Cash
    leverage: int
    is_cross: bool
    liquidation_price: Price | None
    funding: Cash


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """The account. ``ts_event`` is the venue's stamp; without one it proves no absence."""

    equity: Cash
    cash: Cash
    margin_used: Cash
    withdrawable: Cash
    positions: tuple[VenuePosition, ...]
    ts_event: Nanos | None

    @property
    def held(self) -> Mapping[str, Qty]:
        """The open quantities by symbol, short < 0."""
        return {position.symbol: position.qty for position in self.positions if position.qty}


@dataclass(frozen=True, slots=True)
class Remains:
    """What the venue said that the account has: open quantities by symbol, short < 0, and all orders.

    ``ts_event`` is the venue's stamp on the positions; without one nobody knows how old they are.
    """

    positions: Mapping[str, Decimal]
    orders: Sequence[RestingOrder]
    ts_event: Nanos | None


@dataclass(frozen=True, slots=True)
class LeverageChoice:
    """Leverage and margin mode of a symbol."""

    leverage: int
    is_cross: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """What the venue lists: the rules of a symbol, and whether it is still traded."""

    instrument: Instrument
    is_delisted: bool = False


@dataclass(frozen=True, slots=True)
class Priced:
    """The rules of a symbol and its price now."""

    instrument: Instrument
    mark: Price


@dataclass(frozen=True, slots=True)
class ActionAllowance:
    """The actions that the account may still send in its life, of ``cap``; below 0 for what was let through since.

    ``is_doubted``: the venue refused what this count allows, so it must be asked.
    """

    left: int
    cap: int
    is_doubted: bool = False


# What becomes of what is sent ------------------------------------------------------------------------------


class Phase(StrEnum):
    """What a status of the venue proves of an order. ``UNKNOWN``: we cannot read it; the order may be live."""

    LIVE = "live"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What an error text means for the request that met it."""

    REJECTED = "rejected"
    """The rules of trading said no; sending the same again is pointless."""
    GONE = "gone"
    """A cancel found nothing to cancel: filled, cancelled or never there. Ask."""
    DUPLICATE = "duplicate"
    """An earlier sending of the same request, or a fence, has landed. Ask."""
    EXPIRED = "expired"
    """This sending came too late."""
    NOT_PERMITTED = "not_permitted"
    """Key, agent, account or network are wrong: halt, an operator must look."""
    BUDGET = "budget"
    """The account has used up its requests: refused whole, may be sent again later."""
    BUSY = "busy"
    """The venue takes no such request now."""
    UNKNOWN = "unknown"
    """A text we do not know: nothing is proven."""


@dataclass(frozen=True, slots=True)
class Rests:
    """The order rests under ``oid``."""

    kind: ClassVar[str] = "resting"
    oid: str


@dataclass(frozen=True, slots=True)
class FilledNow:
    """The order met the market at once: ``qty`` at ``price`` on average. The rest, if any, is gone."""

    kind: ClassVar[str] = "filled"
    oid: str
    qty: Qty
    price: Price


@dataclass(frozen=True, slots=True)
class Waiting:
    """The order waits for its entry or its trigger; it has no id of the venue yet."""

    kind: ClassVar[str] = "waiting"


@dataclass(frozen=True, slots=True)
class Success:
    """The cancel, or a request without orders, was done."""

    kind: ClassVar[str] = "success"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The venue said no; ``verdict`` is what its ``text`` proves."""

    kind: ClassVar[str] = "refusal"
    text: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Unclear:
    """A status we cannot read: nothing is proven."""

    kind: ClassVar[str] = "unclear"
    text: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """An order seen at the venue; ``oid`` is empty while it waits for its entry."""

    kind: ClassVar[str] = "sighting"
    oid: str
    phase: Phase


@dataclass(frozen=True, slots=True)
class Never:
    """Proven: the order was not accepted and will not be."""

    kind: ClassVar[str] = "never"


LegOutcome = Rests | FilledNow | Waiting | Success | Refusal | Unclear
"""What a reply says of one order or cancel of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A request that places orders, as it is about to leave. ``body`` is what goes on the wire, byte for byte.

    ``nonce`` names it, once for each account. ``cloids`` are its orders, in order; ``expires_ms`` is the venue time
    after which it no longer executes, or where nothing expires, is sent no more. ``is_urgent``: something waits for the
    answer.
    """

    nonce: int
    cloids: tuple[str, ...]
    expires_ms: int
    body: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an intent, one outcome for each of its orders. ``refusal``: why it was refused whole."""

    nonce: int
    legs: tuple[LegOutcome | Sighting | Never, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What words of a venue mean: for the next order; whether we may not trade at all; whether its symbol is halted."""

    refusal: RefusalClass
    is_forbidden: bool
    is_halt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What journal and book know of an account, for the venue's side of a run that begins.

    ``adopted``: the ``oid`` of each order that an earlier run took over, by client order id. ``last_nonce`` and
    ``intents`` are the journal's.
    """

    adopted: Mapping[str, str]
    strategies: frozenset[str]
    symbols: tuple[str, ...]
    last_nonce: int
    intents: tuple[Intent, ...]


# What is told without being asked --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Up:
    """All that is listened to speaks. ``away_s`` is how long it had not; ``None`` at the first time."""

    away_s: float | None


@dataclass(frozen=True, slots=True)
class Down:
    """The stream is gone; what happens from here to the next ``Up`` is not told."""

    reason: str


@dataclass(frozen=True, slots=True)
class Garbled:
    """A word we cannot read: ask what it may have said."""

    error: Unreadable


@dataclass(frozen=True, slots=True)
class Told:
    """The venue's word on the account, as the line takes it."""

    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Acted:
    """The venue did something with the account by itself: ask what is so now."""


AccountEvent = Up | Down | Garbled | Told | Acted
"""What the stream of an account tells."""


class ChannelKind(StrEnum):
    """What a channel of a market stream tells of its symbol."""

    BARS = "bars"
    MARKS = "marks"
    QUOTES = "quotes"
    TRADES = "trades"
    BOOKS = "books"


@dataclass(frozen=True, slots=True)
class Silent:
    """One channel is silent while others speak, or the venue does not give it; ``times``: since it spoke last.

    It was subscribed to anew; it is again after ever longer pauses. ``channel`` is the venue's name of it.
    """

    kind: ChannelKind
    symbol: str
    channel: str
    times: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A channel that was silent speaks again."""

    kind: ChannelKind
    symbol: str
    channel: str


@dataclass(frozen=True, slots=True)
class Formed:
    """A bar as it stands; it may still form."""

    bar: Bar


@dataclass(frozen=True, slots=True)
class MarketContext:
    """Where a symbol stands: ``funding`` is the hourly rate, ``mid`` is ``None`` when a side of the book is empty."""

    symbol: str
    mark: Price
    oracle: Price
    mid: Price | None
    funding: Decimal


@dataclass(frozen=True, slots=True)
class Quoted:
    """The best prices; ``None`` when a side is empty."""

    symbol: str
    quote: Quote | None


@dataclass(frozen=True, slots=True)
class OrderBook:
    """A snapshot of the book, best first."""

    symbol: str
    ts_event: Nanos
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Print:
    """A trade on the market, with the venue's id: a stream may give it twice."""

    trade_id: int
    trade: Trade


@dataclass(frozen=True, slots=True)
class Printed:
    """Trades on the market; the first frame repeats recent ones."""

    prints: tuple[Print, ...]


MarketEvent = Up | Down | Garbled | Silent | Heard | Formed | MarketContext | Quoted | OrderBook | Printed
"""What the stream of a market tells."""


# What a venue can do ---------------------------------------------------------------------------------------


class Once(StrEnum):
    """How it is kept that an order exists at most once, however often a request is lost."""

    SAME_BYTES = "same_bytes"
    """The venue executes the same signed bytes once, and not after they expire: they go again until it answers."""
    REFUSED_ID = "refused_id"
    """The venue refuses a client order id that it has: the same goes again while the first is sure to be remembered."""
    PROVEN_ABSENCE = "proven_absence"
    """It goes once; without an answer it is looked for until it is found, or can no longer come."""


TriggerBy = Literal["mark", "last"]
"""By which price a stop can wake."""


@dataclass(frozen=True, slots=True)
class ActionLimit:
    """An account may send a limited number of actions in its life.

    Entries leave ``reserve`` to exits and stops; fewer than ``low`` page a human; when all are used up, one is taken
    each ``trickle_s`` seconds.
    """

    reserve: int
    low: int
    trickle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do. What the program does at it follows from here, never from its name.

    ``takes_bytes_once``: the same signed bytes are executed once, however often they come. ``id_memory_s``: how long a
    client order id that was taken is refused when it is repeated, 0 for never. ``expiry_s``: after how long a signed
    request no longer executes, ``None`` where none has an expiry. ``in_flight_s``: how long a request without one may
    still be on its way after it left, ``None`` where nobody says. ``lag_s``: how far behind an answer may be.
    ``bracket_targets``: how many targets go with an entry and its stop as one request that the venue takes whole or
    not at all; ``None`` where exits cannot go with their entry. ``history_bars``: how many closed bars it keeps.
    ``bar_grace``: how long after its end a bar may still change. ``funding_hours``: how often holding is paid for,
    ``None`` for never. ``is_hedged``: long and short are held beside each other.
    """

    has_client_ids: bool
    takes_bytes_once: bool = False
    id_memory_s: float = 0.0
    expiry_s: float | None = None
    in_flight_s: float | None = None
    lag_s: float = 5.0
    has_batch: bool = False
    bracket_targets: int | None = None
    has_reduce_only: bool = False
    has_resting_stops: bool = False
    trigger_by: frozenset[TriggerBy] = frozenset()
    has_amend: bool = False
    has_private_stream: bool = False
    history_bars: int = 0
    bar_grace: Nanos
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    funding_hours: int | None
    is_hedged: bool = False
    actions: ActionLimit | None = None

    @property
    def once(self) -> Once | None:
        """How an order is kept from existing twice; ``None`` where it cannot be."""
        if not self.has_client_ids:
            return None
        if self.takes_bytes_once and self.expiry_s is not None:
            return Once.SAME_BYTES
        if self.arrival_s is None:
            return None
        return Once.REFUSED_ID if self.resend_s > 0 else Once.PROVEN_ABSENCE

    @property
    def arrival_s(self) -> float | None:
        """How long after it left a request may still be executed; ``None`` where nobody says."""
        return min((span for span in (self.expiry_s, self.in_flight_s) if span is not None), default=None)

    @property
    def resend_s(self) -> float:
        """How long a request may be sent again and its id be refused for certain; 0 where it may never be.

        The last sending must arrive while the first is remembered, and the time is known by answers that lag.
        """
        return 0.0 if self.arrival_s is None else max(0.0, self.id_memory_s - self.arrival_s - 2 * self.lag_s)


def why_not_live(can: Capabilities) -> str:
    """Return why real money is not traded at a venue that can do ``can``; empty where it is."""
    if can.once is None:
        return (
            "an order whose answer is lost could be placed twice: the venue takes no client order ids"
            if not can.has_client_ids
            else "an order whose answer is lost could be placed twice: the venue neither expires a request nor says "
            "how long one may be under way"
        )
    if not (can.has_reduce_only and can.has_resting_stops):
        return "a position could not be protected: the venue keeps no reduce-only stops"
    if can.is_hedged:
        return "the account holds long and short beside each other: set it to one-way positions"
    return ""
