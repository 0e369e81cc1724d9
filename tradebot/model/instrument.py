"""What a venue lets us trade of a symbol: its grid of prices and quantities, and its limits."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradebot.model.money import BOOKING_UNIT, ZERO, Cash, Price, Qty
from tradebot.model.order import OrderSide


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The trading rules of one symbol. Raises ``ValueError`` on a rule that is not positive."""

    symbol: str
    tick: Decimal = BOOKING_UNIT
    lot: Decimal = BOOKING_UNIT
    min_notional: Decimal = ZERO
    max_leverage: int = 50

    def __post_init__(self) -> None:
        if not (self.tick > 0 and self.lot > 0 and self.min_notional >= 0 and self.max_leverage >= 1):
            raise ValueError(f"instrument {self.symbol}: tick, lot and max_leverage must be positive")

    def price_down(self, price: Decimal) -> Price:
        """Return the highest tick at or below ``price``."""
        return Price((price / self.tick).to_integral_value(ROUND_FLOOR) * self.tick)

    def price_up(self, price: Decimal) -> Price:
        """Return the lowest tick at or above ``price``."""
        return Price((price / self.tick).to_integral_value(ROUND_CEILING) * self.tick)

    def price_against(self, price: Decimal, side: OrderSide) -> Price:
        """Return ``price`` on the tick, in the direction that is worse for ``side``: buys up, sells down."""
        return self.price_up(price) if side is OrderSide.BUY else self.price_down(price)

    def price_passive(self, price: Decimal, side: OrderSide) -> Price:
        """Return ``price`` on the tick, never worse than asked for ``side``: buys down, sells up."""
        return self.price_down(price) if side is OrderSide.BUY else self.price_up(price)

    def qty_down(self, qty: Decimal) -> Qty:
        """Return the largest whole number of lots at or below ``qty`` >= 0."""
        return Qty((qty / self.lot).to_integral_value(ROUND_FLOOR) * self.lot)

    def below_minimum(self, qty: Decimal, price: Decimal) -> bool:
        """Return whether an order of ``qty`` at ``price`` is smaller than a lot or the minimum notional."""
        return qty < self.lot or qty * price < self.min_notional


def notional(qty: Decimal, price: Decimal) -> Cash:
    """Return the absolute value of ``qty`` at ``price``."""
    return Cash(abs(qty * price))
