"""What trading costs on the simulated venue."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from tradebot.model.instrument import Instrument
from tradebot.model.money import BPS, ONE, ZERO, Cash, Price, Qty, book_fee
from tradebot.model.order import Liquidity, OrderSide
from tradebot.model.time import Nanos

NO_LATENCY = Nanos(0)


class MatchOn(StrEnum):
    """Which market messages orders are matched against; the others are ignored."""

    BAR = "bar"
    QUOTE = "quote"
    TRADE = "trade"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Fees, slippage, latency, size, leverage and funding.

    ``latency`` passes between a decision and the moment an order or a cancel can take effect. ``leverage`` is
    what the account uses, an instrument may allow less. ``maintenance`` is a fraction of the initial margin at
    the instrument's maximum leverage. ``funding_rate`` is for hours without a known rate. A negative
    ``maker_bps`` is a rebate. ``volume_share`` is the part of a bar's volume that our orders may take together,
    ``None`` any quantity. Raises ``ValueError`` on numbers out of range.
    """

    taker_bps: Decimal = ZERO
    maker_bps: Decimal = ZERO
    slippage_bps: Decimal = ZERO
    latency: Nanos = NO_LATENCY
    leverage: int = 1
    maintenance: Decimal = Decimal("0.5")
    funding_rate: Decimal = ZERO
    volume_share: Decimal | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.slippage_bps < 10_000:
            raise ValueError(f"slippage_bps {self.slippage_bps} is not from 0 to below 10000")
        if self.latency < 0:
            raise ValueError(f"latency {self.latency} is below 0")
        if self.leverage < 1:
            raise ValueError(f"leverage {self.leverage} is below 1")
        if not 0 <= self.maintenance <= 1:
            raise ValueError(f"maintenance {self.maintenance} is not from 0 to 1")
        if self.volume_share is not None and not 0 < self.volume_share <= 1:
            raise ValueError(f"volume_share {self.volume_share} is not above 0 and up to 1")

    def fee(self, notional: Decimal, liquidity: Liquidity) -> Cash:
        """Return the booked fee on ``notional`` >= 0; > 0 is paid."""
        return book_fee(notional * (self._taker_rate if liquidity is Liquidity.TAKER else self._maker_rate))

    def price_against(self, price: Decimal, side: OrderSide, instrument: Instrument) -> Price:
        """Return ``price`` moved against ``side`` by the slippage, then to the tick: buys up, sells down."""
        return instrument.price_against(price * (self._up if side is OrderSide.BUY else self._down), side)

    def available(self, volume: Decimal, instrument: Instrument) -> Qty | None:
        """Return how much our orders may trade in a bar of ``volume``, in whole lots; ``None``: any quantity."""
        return None if self.volume_share is None else instrument.qty_down(volume * self.volume_share)

    # Computed once: each fill asks for them.

    @cached_property
    def _taker_rate(self) -> Decimal:
        return self.taker_bps * BPS

    @cached_property
    def _maker_rate(self) -> Decimal:
        return self.maker_bps * BPS

    @cached_property
    def _up(self) -> Decimal:
        return ONE + self.slippage_bps * BPS

    @cached_property
    def _down(self) -> Decimal:
        return ONE - self.slippage_bps * BPS
