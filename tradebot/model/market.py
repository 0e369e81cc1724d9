"""What the market tells us. Bars, trades and quotes are inputs; each one is a turn of the line."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import Price, Qty
from tradebot.model.record import Value
from tradebot.model.time import Nanos, Timeframe


class Message(Value, frozen=True):
    """Anything that travels along the line. ``kind`` names it in the journal."""

    kind: ClassVar[str] = ""


class Bar(Message, frozen=True, array_like=True):
    """A closed bar; ``ts_event`` is its close, exclusive. Checked where it is read: see ``check_bar``."""

    kind: ClassVar[str] = "bar"
    symbol: str
    timeframe: Timeframe
    ts_event: Nanos
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty

    @property
    def ts_open(self) -> Nanos:
        """The opening time, inclusive."""
        return Nanos(self.ts_event - self.timeframe)


class Trade(Message, frozen=True, kw_only=True):
    """A print on the market. ``is_buy``: the buyer was the taker."""

    kind: ClassVar[str] = "trade"
    symbol: str
    ts_event: Nanos
    price: Price
    qty: Qty
    is_buy: bool


class Level(Value, frozen=True):
    """A price of an order book, and what is offered there."""

    price: Price
    qty: Qty


class Quote(Message, frozen=True, kw_only=True):
    """The best bid and ask, with the quantities offered there; ``None`` where the source has none.

    Of an order book ``bids`` and ``asks`` are the levels behind them, the nearest first.
    """

    kind: ClassVar[str] = "quote"
    symbol: str
    ts_event: Nanos
    bid: Price
    ask: Price
    bid_qty: Qty | None = None
    ask_qty: Qty | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class SymbolPrices(Value, frozen=True, kw_only=True):
    """A symbol as the market last told of it, ``age_ms`` ago: the venue's mark, and the middle of its book.

    ``mid`` is ``None`` while a side of the book is empty. ``bid_qty`` and ``ask_qty`` are offered at the best prices;
    ``None`` where nobody told.
    """

    symbol: str
    age_ms: int
    mark: Price
    mid: Price | None
    bid_qty: Qty | None = None
    ask_qty: Qty | None = None


class PricesSeen(Message, frozen=True, kw_only=True):
    """What a live market is like right now, before bars on which may be decided, or because equity fell on it.

    It moves no mark of the book: those are the closes of bars, as in a backtest.
    """

    kind: ClassVar[str] = "prices"
    ts_event: Nanos
    prices: tuple[SymbolPrices, ...]


class Gap(Message, frozen=True, kw_only=True):
    """Bars that never came: ``missing`` of them, opening from ``ts_from`` up to ``ts_to``, exclusive."""

    kind: ClassVar[str] = "gap"
    symbol: str
    timeframe: Timeframe
    ts_from: Nanos
    ts_to: Nanos
    missing: int


class Disorder(Message, frozen=True, kw_only=True):
    """A bar or trade that came late or twice and was left out; ``ts_last`` is the newest one kept."""

    kind: ClassVar[str] = "disorder"
    symbol: str
    timeframe: Timeframe
    ts_event: Nanos
    ts_last: Nanos


class BarsClosed(Message, frozen=True):
    """All bars of one symbol that closed with this turn, longest timeframe first."""

    kind: ClassVar[str] = "bars_closed"
    symbol: str
    ts_event: Nanos
    bars: tuple[Bar, ...]


def check_bar(open_: Decimal, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> str | None:
    """Return what is wrong with the numbers of a bar, or ``None``. NaN and infinities are wrong."""
    if not (low.is_finite() and high.is_finite() and open_.is_finite() and close.is_finite() and volume.is_finite()):
        return "a value is not a finite number"
    if low <= 0:
        return f"low {low} is not above 0"
    if volume < 0:
        return f"volume {volume} is below 0"
    if high < low:
        return f"high {high} is below low {low}"
    if not low <= open_ <= high:
        return f"open {open_} is outside low {low} to high {high}"
    if not low <= close <= high:
        return f"close {close} is outside low {low} to high {high}"
    return None
