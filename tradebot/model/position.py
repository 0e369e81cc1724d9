"""Positions, round trips and the money between them."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import PositionSide
from tradebot.model.time import Nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What a strategy holds of a symbol: ``qty`` != 0, short < 0; ``entry_price`` is size-weighted."""

    symbol: str
    strategy: str
    qty: Qty
    entry_price: Price
    entry_ts: Nanos

    @property
    def side(self) -> PositionSide:
        """Long or short."""
        return PositionSide.LONG if self.qty > 0 else PositionSide.SHORT


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChanged(Message):
    """A strategy's position in a symbol after a fill; ``None`` when flat."""

    kind: ClassVar[str] = "position_changed"
    ts_event: Nanos
    symbol: str
    strategy: str
    position: Position | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPaid(Message):
    """Funding of one hour on one position: ``amount`` > 0 received, < 0 paid.

    ``is_estimate``: no rate was known for ``ts_event``, so the configured one was used.
    """

    kind: ClassVar[str] = "funding"
    ts_event: Nanos
    symbol: str
    rate: Decimal
    amount: Cash
    is_estimate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip(Message):
    """A finished position, from flat to flat. ``net_pnl = gross_pnl - fees + funding``.

    ``mae`` and ``mfe`` are the worst and best open P&L on the way, as money >= 0.
    """

    kind: ClassVar[str] = "round_trip"
    symbol: str
    strategy: str
    side: PositionSide
    qty: Qty
    entry_ts: Nanos
    entry_price: Price
    exit_ts: Nanos
    exit_price: Price
    exit_reason: str
    gross_pnl: Cash
    fees: Cash
    funding: Cash
    net_pnl: Cash
    mae: Cash
    mfe: Cash


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMark(Message):
    """Equity after the last turn of one closing time. ``is_exposed``: a position was open."""

    kind: ClassVar[str] = "equity"
    ts_event: Nanos
    equity: Cash
    is_exposed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit(Message):
    """Money that came to the account from outside, or left it: ``amount`` < 0. ``id`` is unique.

    The first one is what a real venue's account held when the bot first saw it: the starting cash.
    """

    kind: ClassVar[str] = "deposit"
    ts_event: Nanos
    id: str
    amount: Cash
