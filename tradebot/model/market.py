"""What the market tells us. Bars, trades and quotes are inputs; each one is a turn of the line."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import Price, Qty
from tradebot.model.time import Nanos, Timeframe


class Message:
    """Anything that travels along the line. ``kind`` names it in the journal."""

    __slots__ = ()
    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Bar(Message):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade(Message):
    """A print on the market. ``is_buy``: the buyer was the taker."""

    kind: ClassVar[str] = "trade"
    symbol: str
    ts_event: Nanos
    price: Price
    qty: Qty
    is_buy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Message):
    """The best bid and ask, with the quantities offered there; ``None`` where the source has none."""

    kind: ClassVar[str] = "quote"
    symbol: str
    ts_event: Nanos
    bid: Price
    ask: Price
    bid_qty: Qty | None = None
    ask_qty: Qty | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Message):
    """Bars that never came: ``missing`` of them, opening from ``ts_from`` up to ``ts_to``, exclusive."""

    kind: ClassVar[str] = "gap"
    symbol: str
    timeframe: Timeframe
    ts_from: Nanos
    ts_to: Nanos
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disorder(Message):
    """A bar or trade that came late or twice and was left out; ``ts_last`` is the newest one kept."""

    kind: ClassVar[str] = "disorder"
    symbol: str
    timeframe: Timeframe
    ts_event: Nanos
    ts_last: Nanos


@dataclass(frozen=True, slots=True)
class BarsClosed(Message):
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
