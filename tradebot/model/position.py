"""Positions, round trips and the money between them."""

from decimal import Decimal
from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.money import Cash, Price, Qty
from tradebot.model.order import PositionSide
from tradebot.model.record import Value
from tradebot.model.time import Nanos


class Position(Value, frozen=True, kw_only=True):
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


class PositionChanged(Message, frozen=True, kw_only=True):
    """A strategy's position in a symbol after a fill; ``None`` when flat. ``signal_id`` is that of the fill."""

    kind: ClassVar[str] = "position_changed"
    ts_event: Nanos
    symbol: str
    strategy: str
    position: Position | None
    signal_id: str = ""


class FundingPaid(Message, frozen=True, kw_only=True):
    """Funding of one hour on one position: ``amount`` > 0 received, < 0 paid.

    ``is_estimate``: no rate was known for ``ts_event``, so the configured one was used.
    """

    kind: ClassVar[str] = "funding"
    ts_event: Nanos
    symbol: str
    rate: Decimal
    amount: Cash
    is_estimate: bool


class RoundTrip(Message, frozen=True, kw_only=True):
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


class EquityMark(Message, frozen=True, kw_only=True):
    """Equity after the last turn of one closing time. ``is_exposed``: a position was open."""

    kind: ClassVar[str] = "equity"
    ts_event: Nanos
    equity: Cash
    is_exposed: bool


class ResidualSeen(Message, frozen=True, kw_only=True):
    """What a real venue's cash is more than ours, unexplained after it was asked again; 0 when they agree."""

    kind: ClassVar[str] = "residual"
    ts_event: Nanos
    amount: Cash


class Deposit(Message, frozen=True, kw_only=True):
    """Money that came to the account from outside, or left it: ``amount`` < 0. ``id`` is unique.

    The first one is what a real venue's account held when the bot first saw it: the starting cash.
    """

    kind: ClassVar[str] = "deposit"
    ts_event: Nanos
    id: str
    amount: Cash
