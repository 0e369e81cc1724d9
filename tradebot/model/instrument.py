"""What a venue lets us trade of a symbol: its grid of prices and quantities, and its limits."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import ClassVar, assert_never

from tradebot.model.market import Message
from tradebot.model.money import BOOKING_UNIT, ONE, ZERO, Price, Qty
from tradebot.model.order import OrderSide, OrderType
from tradebot.model.record import Value
from tradebot.model.time import Nanos

# So many powers of ten below its own a price keeps: the error of a step is at most 0.001 % of it.
_DIGITS = 5
_COARSEST = -8


class Instrument(Value, frozen=True, kw_only=True):
    """The trading rules of one symbol. Raises ``ValueError`` on a rule that is not positive.

    ``tick``: the step of all prices; ``None`` where nobody said it. It is then assumed, for each price by its size.
    """

    symbol: str
    tick: Decimal | None = None
    lot: Decimal = BOOKING_UNIT
    min_notional: Decimal = ZERO
    max_leverage: int = 50

    def __post_init__(self) -> None:
        has_tick = self.tick is None or self.tick > 0
        if not (has_tick and self.lot > 0 and self.min_notional >= 0 and self.max_leverage >= 1):
            raise ValueError(f"instrument {self.symbol}: tick, lot and max_leverage must be positive")

    def tick_at(self, price: Decimal) -> Decimal:
        """Return the step of prices around ``price``.

        One that is assumed is 1e-8, or a power of ten between a millionth and a hundred-thousandth of the price
        where that is smaller. A coarser step is a multiple of a finer one, so a rounded price stays on its grid.

        >>> Instrument(symbol="BTC").tick_at(Decimal(100_000)), Instrument(symbol="PEPE").tick_at(Decimal("0.000015"))
        (Decimal('1E-8'), Decimal('1E-10'))
        """
        if self.tick is not None:
            return self.tick
        places = price.adjusted() - _DIGITS
        return BOOKING_UNIT if places >= _COARSEST or not price else ONE.scaleb(places)

    def price_down(self, price: Decimal) -> Price:
        """Return the highest tick at or below ``price``."""
        tick = self.tick_at(price)
        return Price((price / tick).to_integral_value(ROUND_FLOOR) * tick)

    def price_up(self, price: Decimal) -> Price:
        """Return the lowest tick at or above ``price``."""
        tick = self.tick_at(price)
        return Price((price / tick).to_integral_value(ROUND_CEILING) * tick)

    def price_against(self, price: Decimal, side: OrderSide) -> Price:
        """Return ``price`` on the tick, in the direction that is worse for ``side``: buys up, sells down."""
        return self.price_up(price) if side is OrderSide.BUY else self.price_down(price)

    def price_passive(self, price: Decimal, side: OrderSide) -> Price:
        """Return ``price`` on the tick, never worse than asked for ``side``: buys down, sells up."""
        return self.price_down(price) if side is OrderSide.BUY else self.price_up(price)

    def entry_prices(
        self, type_: OrderType, price: Decimal | None, side: OrderSide
    ) -> tuple[Price | None, Price | None]:
        """Return price and trigger, on the tick, of an entry that waits at ``price``, which one at market does not.

        Raises ``ValueError`` on a type that opens nothing.
        """
        match type_:
            case OrderType.MARKET:
                return None, None
            case OrderType.LIMIT:
                return None if price is None else self.price_passive(price, side), None
            case OrderType.STOP_MARKET:
                return None, None if price is None else self.price_against(price, side)
            case OrderType.STOP_LIMIT | OrderType.TAKE_PROFIT | OrderType.TRAILING_STOP:
                raise ValueError(f"a {type_} order is no entry")
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)

    def qty_down(self, qty: Decimal) -> Qty:
        """Return the largest whole number of lots at or below ``qty`` >= 0."""
        return Qty((qty / self.lot).to_integral_value(ROUND_FLOOR) * self.lot)

    def qty_up(self, qty: Decimal) -> Qty:
        """Return the smallest whole number of lots at or above ``qty`` >= 0."""
        return Qty((qty / self.lot).to_integral_value(ROUND_CEILING) * self.lot)

    def below_minimum(self, qty: Decimal, price: Decimal) -> bool:
        """Return whether an order of ``qty`` at ``price`` is smaller than a lot or the minimum notional."""
        return qty < self.lot or qty * price < self.min_notional


class Listing(StrEnum):
    """Whether a venue trades a symbol."""

    TRADED = "traded"
    HALTED = "halted"
    """It is listed, and the venue takes no orders for now."""
    DELISTED = "delisted"
    """It is traded no more: the venue cancels its orders and settles its positions by itself."""
    UNLISTED = "unlisted"
    """The venue does not know it."""

    @property
    def has_ended(self) -> bool:
        """Whether no order of the symbol is taken any more."""
        return self in (Listing.DELISTED, Listing.UNLISTED)


class InstrumentSeen(Message, frozen=True, kw_only=True):
    """What the venue says of a symbol from here on: its rules, and whether it is traded; ``words`` are the venue's."""

    kind: ClassVar[str] = "instrument"
    ts_event: Nanos
    instrument: Instrument
    listing: Listing = Listing.TRADED
    words: str = ""

    @property
    def symbol(self) -> str:
        """The symbol."""
        return self.instrument.symbol
