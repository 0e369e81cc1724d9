"""What is refused before an order meets the market: the status it is left with, and the text."""

from collections.abc import Mapping, Sequence

from tradebot.devnet.account import UserAccount
from tradebot.devnet.coins import MIN_NOTIONAL
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.orders import Status, UserOrder
from tradebot.devnet.schema import OrderSpec

MAX_OPEN = 1_000
MAX_EXITS = 2
_RESTING = frozenset({"Gtc", "Alo"})
_RESTING_FACTOR = 10
Failure = tuple[Status, str]


class Checks:
    """The checks of one account's orders, in the order in which the exchange makes them."""

    def __init__(self, account: UserAccount, markets: Mapping[str, CoinMarket]) -> None:
        self._account = account
        self._markets = markets

    def failure(self, order: UserOrder, *, is_post_only: bool) -> Failure | None:
        """Return why ``order`` is refused, or ``None``; a reduce-only one is cut to the position."""
        if is_post_only and order.spec.tif != "Alo":
            text = "Only post-only orders allowed immediately after network upgrade"
            return Status.POST_ONLY_REJECTED, text
        return (
            self.grid_failure(order)
            or self.reduce_only_failure(order)
            or self._size_failure(order)
            or self.trigger_failure(order)
        )

    def grid_failure(self, order: UserOrder) -> Failure | None:
        """Return whether a price has too many significant figures."""
        for price in (order.spec.px, order.spec.trigger_px):
            if price is not None and not order.coin.is_on_grid(price):
                return Status.TICK_REJECTED, "Price must be divisible by tick size."
        return None

    def reduce_only_failure(self, order: UserOrder) -> Failure | None:
        """Return whether there is nothing that ``order`` could reduce, and cut it to what there is."""
        spec, held = order.spec, self._account.position(order.coin.name)
        if not spec.reduce_only:
            return None
        if held * order.side.sign >= 0:
            return Status.REDUCE_ONLY_REJECTED, "Reduce only order would increase position."
        if not order.is_position_wide:
            order.sz = min(order.sz, abs(held))
        return None

    def trigger_failure(self, order: UserOrder) -> Failure | None:
        """Return whether a trigger has been reached already, or its limit is on the wrong side of it."""
        spec, mark = order.spec, self._markets[order.coin.name].mark
        if spec.trigger_px is None:
            return None
        bad_limit = spec.tpsl == "sl" and (spec.px - spec.trigger_px) * order.side.sign < 0
        if bad_limit or order.is_reached(mark):
            return Status.TRIGGER_REJECTED, "Invalid TP/SL price."
        return None

    def _size_failure(self, order: UserOrder) -> Failure | None:
        spec, coin = order.spec, order.coin
        value = spec.sz * (spec.trigger_px or spec.px)
        closes_all = spec.reduce_only and spec.sz >= abs(self._account.position(coin.name))
        if value < MIN_NOTIONAL and not closes_all:
            return Status.MIN_NOTIONAL_REJECTED, "Order must have minimum value of $10."
        most = coin.max_value * (_RESTING_FACTOR if spec.tif in _RESTING else 1)
        if value > most:
            return Status.MARGIN_REJECTED, f"Order value too large. Max is ${most:f}."
        if len(self._account.open) >= MAX_OPEN and (spec.reduce_only or order.is_trigger):
            return Status.TOO_MANY_REJECTED, "Too many open orders."
        return None


def grouping_error(specs: Sequence[OrderSpec], grouping: str) -> str:
    """Return what is wrong with the shape of a group of orders, or an empty text."""
    if grouping == "na":
        return ""
    children = specs
    if grouping == "normalTpsl":
        parent, *children = specs
        if parent.trigger_px is not None:
            return "Main order cannot be trigger order."
        if any(child.is_buy is parent.is_buy for child in children):
            return "Trigger order has unexpected side."
    if any(child.trigger_px is None for child in children) or not 1 <= len(children) <= MAX_EXITS:
        return "Unexpected number of trigger orders"
    return "" if all(child.reduce_only for child in children) else "Trigger order is not reduce only."
