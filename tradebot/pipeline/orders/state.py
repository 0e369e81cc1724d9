"""What the orders stage knows, as a value."""

from msgspec import field

from tradebot.model.instrument import InstrumentSeen
from tradebot.model.money import Price, Qty
from tradebot.model.order import FillReport, OrderSide
from tradebot.model.record import Value
from tradebot.model.time import Nanos
from tradebot.pipeline.orders.lifecycle import Order


class Held(Value, frozen=True, kw_only=True):
    """What our fills leave open in a symbol: ``qty`` != 0, short < 0, opened by the entry of ``signal_id``.

    ``generation`` numbers its exits, 1 for those that came with the entry. ``repairs`` counts what was done about
    a stop that was lost: 1 when it was placed anew, 2 when the position was closed instead. ``signal_id`` is empty
    where the position was opened by somebody else on our account.
    """

    symbol: str
    strategy: str
    signal_id: str
    qty: Qty
    generation: int = 1
    repairs: int = 0


class Protection(Value, frozen=True, kw_only=True):
    """How much of a position a resting stop covers: ``covered_qty`` >= 0 of ``qty`` > 0; ``why`` not all of it.

    ``moved_by`` says what took the stop to its price, once it is not where its entry put it.
    """

    symbol: str
    qty: Qty
    stop_price: Price | None
    covered_qty: Qty
    moved_by: str = ""
    why: str = ""

    @property
    def is_full(self) -> bool:
        """Whether the whole position is covered."""
        return self.covered_qty >= self.qty


class Watch(Value, frozen=True, kw_only=True):
    """A position that is not covered, ``since`` the first tick that saw it.

    ``pending_id`` is the order that may mend it and has no outcome, seen first at ``pending_ts``; ``alerted_ts``
    is when a human was paged last, ``stood_by_ts`` when a stop was placed beside a close that does not get through.
    """

    signal_id: str
    since: Nanos
    pending_id: str = ""
    pending_ts: Nanos = Nanos(0)
    alerted_ts: Nanos | None = None
    stood_by_ts: Nanos | None = None


class WantedExit(Value, frozen=True, kw_only=True):
    """A position, or ``left`` of it, that is to be left, whatever became of the orders placed for it.

    ``signal_id``, ``strategy`` and ``reason`` are those of who wanted it first, and of every order for it.
    ``order_id`` is the newest of them, or one at work before it that it took over; ``tries`` are its own.
    ``fails`` counts orders that ended and left something to do, ``since`` is the first tick that saw it, ``due_ts``
    when the next order goes, ``alerted_ts`` when a human was paged last. ``refused`` are the sizes that
    the venue never takes, none of which is sent again, ``most`` is the largest that it may take. ``words`` are its
    last ones.
    """

    symbol: str
    strategy: str
    signal_id: str
    side: OrderSide
    left: Qty
    reason: str
    order_id: str = ""
    tries: int = 0
    fails: int = 0
    since: Nanos | None = None
    due_ts: Nanos | None = None
    alerted_ts: Nanos | None = None
    refused: tuple[Qty, ...] = ()
    most: Qty | None = None
    words: str = ""


class OrdersState(Value, frozen=True, kw_only=True):
    """Orders that matter, by client order id, in the order they were made.

    ``orders`` are those that work and those of open positions; ``done`` the last ones that matter no more, kept
    for fills that come late; ``seen`` the trade ids of older ones and of liquidations, oldest first. ``watched`` are
    the positions that a tick found uncovered, ``wanted`` the exits that have not traded yet, both by symbol.
    ``disputed`` are fills that contradict the book, by trade id, until looking settles them. ``is_barred``: the venue
    does not let our key trade, so nothing is placed until it does. ``instruments`` is what the venue said last of each
    symbol.
    """

    orders: dict[str, Order] = field(default_factory=dict)
    done: dict[str, Order] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    submitted: int = 0
    watched: dict[str, Watch] = field(default_factory=dict)
    wanted: dict[str, WantedExit] = field(default_factory=dict)
    disputed: dict[str, FillReport] = field(default_factory=dict)
    is_barred: bool = False
    instruments: dict[str, InstrumentSeen] = field(default_factory=dict)
