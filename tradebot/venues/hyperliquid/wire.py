"""Our orders as the venue's actions: no float anywhere, keys in the order that is hashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import Price, Qty, plain
from tradebot.model.order import OrderRequest, OrderSide, OrderType
from tradebot.venues.hyperliquid.sign import Action

_SIGNIFICANT = 5
_PERP_DECIMALS = 6
MIN_NOTIONAL = Decimal(10)
"""The smallest order, in USDC, unless it closes the whole position."""
# A market trigger fires with at most ten per cent slippage; its price must not be tighter than that.
_TRIGGER_BOUND = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A perpetual as ``meta`` lists it; ``id`` is its place there and never changes."""

    symbol: str
    id: int
    size_decimals: int
    max_leverage: int
    is_delisted: bool = False
    only_isolated: bool = False

    @property
    def price_decimals(self) -> int:
        """How many decimals a price may have at most."""
        return _PERP_DECIMALS - self.size_decimals

    def instrument(self) -> Instrument:
        """Return the fixed part of the rules; ``price`` adds the rule of five significant figures."""
        return Instrument(
            symbol=self.symbol,
            tick=Decimal(1).scaleb(-self.price_decimals),
            lot=Decimal(1).scaleb(-self.size_decimals),
            min_notional=MIN_NOTIONAL,
            max_leverage=self.max_leverage,
        )

    def price(self, price: Decimal, *, is_up: bool) -> Price:
        """Return the nearest legal price at or beyond ``price`` > 0, above it or below it.

        Legal: at most five significant figures and ``price_decimals`` decimals; an integer always is.
        Raises ``ValueError`` when there is none > 0.
        """
        if price == price.to_integral_value():
            return Price(price.quantize(Decimal(1)))
        # adjusted() is the power of ten of the first figure.
        exponent = min(0, max(price.adjusted() - (_SIGNIFICANT - 1), -self.price_decimals))
        unit = Decimal(1).scaleb(exponent)
        rounded = price.quantize(unit, rounding=ROUND_CEILING if is_up else ROUND_FLOOR)
        if rounded <= 0:
            raise ValueError(f"{self.symbol}: {price} is below the smallest price {unit}")
        return Price(rounded)

    def size(self, qty: Decimal) -> Qty:
        """Return ``qty`` > 0 when it is a whole number of lots, else raise ``ValueError``: never round here."""
        rounded = qty.quantize(Decimal(1).scaleb(-self.size_decimals), rounding=ROUND_FLOOR)
        if rounded != qty or qty <= 0:
            raise ValueError(f"{self.symbol}: {qty} is no positive multiple of the lot 1e-{self.size_decimals}")
        return Qty(rounded)


def passive(asset: Asset, price: Decimal, side: OrderSide) -> Price:
    """Return the legal price that is never worse than asked: buys down, sells up."""
    return asset.price(price, is_up=side is OrderSide.SELL)


def market_bound(asset: Asset, reference: Decimal, side: OrderSide, slippage: Decimal) -> Price:
    """Return the worst price at which a market order may fill, ``slippage`` (a fraction) from ``reference``."""
    return passive(asset, reference * (1 + side.sign * slippage), side)


def order_wire(asset: Asset, request: OrderRequest, cloid: str, reference: Decimal, slippage: Decimal) -> Action:
    """Return one order of an action.

    ``reference`` is the price a market order may slip from. Raises ``ValueError`` on a size off the lot, on
    a limit or trigger that is missing, and on a trailing stop, which there is none of.
    """
    price, kind = _terms(asset, request, reference, slippage)
    return {
        "a": asset.id,
        "b": request.side is OrderSide.BUY,
        "p": plain(price),
        "s": plain(asset.size(request.qty)),
        "r": request.reduce_only,
        "t": kind,
        "c": cloid,
    }


def _terms(
    asset: Asset, request: OrderRequest, reference: Decimal, slippage: Decimal
) -> tuple[Price, dict[str, object]]:
    side = request.side
    match request.type:
        case OrderType.MARKET:
            return market_bound(asset, reference, side, slippage), {"limit": {"tif": "Ioc"}}
        case OrderType.LIMIT:
            return passive(asset, _needed(request, request.price), side), {"limit": {"tif": "Gtc"}}
        case OrderType.STOP_MARKET:
            trigger = _stop_trigger(asset, request)
            return market_bound(asset, trigger, side, _TRIGGER_BOUND), _trigger(trigger, "sl", is_market=True)
        case OrderType.STOP_LIMIT:
            trigger = _stop_trigger(asset, request)
            price = passive(asset, _needed(request, request.price), side)
            return price, _trigger(trigger, "sl", is_market=False)
        case OrderType.TAKE_PROFIT:
            trigger = passive(asset, _needed(request, request.trigger or request.price), side)
            price = passive(asset, _needed(request, request.price or request.trigger), side)
            return price, _trigger(trigger, "tp", is_market=False)
        case OrderType.TRAILING_STOP:
            raise ValueError("Hyperliquid trails no stops: they are moved in steps")
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _stop_trigger(asset: Asset, request: OrderRequest) -> Price:
    # A protective stop wakes rather too early than too late, an entry rather too late.
    is_sell = request.side is OrderSide.SELL
    return asset.price(_needed(request, request.trigger), is_up=is_sell == request.reduce_only)


def _trigger(price: Price, kind: str, *, is_market: bool) -> dict[str, object]:
    return {"trigger": {"isMarket": is_market, "triggerPx": plain(price), "tpsl": kind}}


def _needed(request: OrderRequest, price: Price | None) -> Price:
    if price is None or price <= 0:
        raise ValueError(f"{request.client_order_id}: a {request.type} order needs its price")
    return price


def order_action(orders: Sequence[Action], grouping: str = "na") -> Action:
    """Return the action that places ``orders``; ``normalTpsl`` makes the exits wait for the first."""
    return {"type": "order", "orders": list(orders), "grouping": grouping}


def cancel_action(rows: Sequence[tuple[int, int]]) -> Action:
    """Return the action that cancels by (asset id, venue order id)."""
    return {"type": "cancel", "cancels": [{"a": asset, "o": oid} for asset, oid in rows]}


def cancel_by_cloid_action(rows: Sequence[tuple[int, str]]) -> Action:
    """Return the action that cancels by (asset id, cloid)."""
    return {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": cloid} for asset, cloid in rows]}


def leverage_action(asset: int, leverage: int, *, is_cross: bool) -> Action:
    """Return the action that sets leverage and margin mode of one asset."""
    return {"type": "updateLeverage", "asset": asset, "isCross": is_cross, "leverage": leverage}


NOOP: Action = {"type": "noop"}
"""Burns its nonce: an action with the same nonce that has not landed yet never will."""
