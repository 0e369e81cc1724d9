"""The coins of the exchange: their numbers, grids and limits, and the rules of prices and sizes.

A price has at most five significant figures and at most ``6 - szDecimals`` decimals; whole prices are always
legal. A size has at most ``szDecimals`` decimals. What does not fit is refused, never rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from tradebot.devnet.wire import Json
from tradebot.model.instrument import Instrument
from tradebot.model.money import ONE, ZERO

PRICE_DECIMALS = 6
SIGNIFICANT = 5
MIN_NOTIONAL = Decimal(10)
BAND = Decimal("0.8")
"""How far, as a part of the reference price, a buy may lie below it; a sell may lie as many times above."""
_KNOWN: Mapping[str, tuple[int, int]] = {
    "BTC": (5, 40),
    "ETH": (4, 25),
    "SOL": (2, 20),
    "XRP": (0, 20),
    "BNB": (3, 10),
    "DOGE": (0, 10),
    "AVAX": (2, 10),
    "LINK": (1, 10),
}
_DEFAULT = (2, 10)
_ORDER_CAPS = ((25, Decimal(30_000_000)), (20, Decimal(5_000_000)), (10, Decimal(2_000_000)))
_SMALL_CAP = Decimal(500_000)
_FINEST = Decimal("1e-8")


@dataclass(eq=False)
class Coin:
    """One perpetual: ``asset`` is its index in the universe. ``change`` gives it other rules while it is traded.

    ``is_delisted``: it is traded no more. ``is_halted``: it is listed, and no order of it is taken.
    """

    name: str
    asset: int
    sz_decimals: int
    max_leverage: int
    is_delisted: bool = False
    is_halted: bool = False

    def change(self, sz_decimals: int | None = None, max_leverage: int | None = None) -> None:
        """Let it be traded in other lots, and so on other ticks, or with another leverage at most."""
        self.sz_decimals = self.sz_decimals if sz_decimals is None else sz_decimals
        self.max_leverage = self.max_leverage if max_leverage is None else max_leverage
        for name in ("lot", "finest_tick", "instrument", "max_value"):
            self.__dict__.pop(name, None)

    @property
    def refusal(self) -> str:
        """Why no order of it is taken, or an empty text."""
        if self.is_delisted:
            return f"{self.name} is delisted."
        return f"Trading of {self.name} is halted." if self.is_halted else ""

    @cached_property
    def lot(self) -> Decimal:
        """The smallest size."""
        return ONE.scaleb(-self.sz_decimals)

    @cached_property
    def finest_tick(self) -> Decimal:
        """The smallest step of any price."""
        return ONE.scaleb(self.sz_decimals - PRICE_DECIMALS)

    @cached_property
    def instrument(self) -> Instrument:
        """The rules that the simulated venue checks: the finest of all, for those of the protocol are checked here.

        A position may be no whole number of lots once those have changed.
        """
        return Instrument(symbol=self.name, tick=_FINEST, lot=_FINEST, max_leverage=self.max_leverage)

    @cached_property
    def max_value(self) -> Decimal:
        """The largest notional of one order."""
        return next((cap for leverage, cap in _ORDER_CAPS if self.max_leverage >= leverage), _SMALL_CAP)

    @property
    def default_leverage(self) -> int:
        """The leverage of a market nobody has set one for."""
        return min(20, self.max_leverage)

    def tick_at(self, price: Decimal) -> Decimal:
        """Return the step of prices near ``price``."""
        significant = ONE.scaleb(price.adjusted() - SIGNIFICANT + 1)
        return min(ONE, max(significant, self.finest_tick)) if price >= 1 else max(significant, self.finest_tick)

    def on_grid(self, price: Decimal) -> Decimal:
        """Return the legal price nearest to ``price`` > 0, and not below the finest tick."""
        tick = self.tick_at(price)
        return max(self.finest_tick, round(price / tick) * tick)

    def qty_down(self, qty: Decimal) -> Decimal:
        """Return the largest legal size at or below ``qty``."""
        return max(ZERO, qty // self.lot * self.lot)

    def is_on_grid(self, price: Decimal) -> bool:
        """Return whether ``price`` has no more significant figures than allowed, or is whole."""
        return price == price.to_integral_value() or price % self.tick_at(price) == 0

    def static_error(self, px: Decimal, sz: Decimal, *, is_whole_position: bool = False) -> str:
        """Return why a price or size can never be legal, or an empty text."""
        if px == 0:
            return "Order has zero price."
        if px % self.finest_tick and px != px.to_integral_value():
            return "Order has invalid price."
        if sz == 0 and not is_whole_position:
            return "Order has zero size."
        return "Order has invalid size." if sz % self.lot else ""

    def band_error(self, px: Decimal, reference: Decimal) -> str:
        """Return why a limit price is too far from ``reference``, or an empty text."""
        nearest = ONE - BAND
        if nearest * reference < px <= reference / nearest:
            return ""
        return "Order price cannot be more than 80% away from the reference price"

    def meta(self) -> Json:
        """Return its entry in the universe."""
        entry: Json = {
            "szDecimals": self.sz_decimals,
            "name": self.name,
            "maxLeverage": self.max_leverage,
            "marginTableId": self.max_leverage,
        }
        return entry | {"isDelisted": True} if self.is_delisted else entry


def coins_of(names: Sequence[str]) -> Mapping[str, Coin]:
    """Return the coins of these names, numbered in their order."""
    return {name: Coin(name, asset, *_KNOWN.get(name, _DEFAULT)) for asset, name in enumerate(names)}
