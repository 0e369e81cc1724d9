"""What an account may ask for: placing, cancelling and changing orders, leverage and margin.

Every refusal has the text of the real exchange. Whole-batch errors are found before anything is placed; the
others fall on one order and leave those before it in place.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.devnet.account import CROSS, TAKER_BPS, ChosenLeverage, UserAccount
from tradebot.devnet.checks import Checks, Failure, grouping_error
from tradebot.devnet.coins import Coin
from tradebot.devnet.execution import UserTrading
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.orders import Status, UserOrder
from tradebot.devnet.record import Counters
from tradebot.devnet.schema import OrderSpec
from tradebot.devnet.wire import Json, RefusedWhole, number
from tradebot.model.money import BPS, ONE, ZERO

_MARKET_SLIPPAGE = Decimal("0.1")
_FEE = TAKER_BPS * BPS
_NEVER_PLACED = "Order was never placed, already canceled, or filled."
_CANNOT_MODIFY = "Cannot modify canceled or filled order."

Builder = tuple[str, Decimal] | None


class UserDesk:
    """The desk of one account. ``is_post_only``: for a while after an upgrade only post-only orders are taken.

    ``sleeping_stops``: the coin whose stops do not wake; ``unfilled_stops``: one whose stops stay triggered, and how
    much of them trades before. Empty for all coins, ``None`` for none.
    """

    def __init__(self, account: UserAccount, markets: Mapping[str, CoinMarket], counters: Counters) -> None:
        self.account = account
        self.execution = UserTrading(account, markets, counters)
        self.is_post_only = False
        self.sleeping_stops: str | None = None
        self.unfilled_stops: tuple[str, Decimal] | None = None
        self._markets = markets
        self._counters = counters
        self._checks = Checks(account, markets)
        self._coins = {coin.asset: coin for coin in account.coins.values()}

    def place(self, specs: Sequence[OrderSpec], grouping: str, builder: Builder = None) -> list[object]:
        """Place orders and return the status of each, or one for all when the batch cannot be read."""
        error = self._batch_error(specs, grouping)
        if error:
            return [{"error": error}]
        if grouping == "na":
            return [self._place_one(self._new_order(spec, builder)) for spec in specs]
        if grouping == "positionTpsl":
            return [self._place_wide(self._new_order(spec, builder)) for spec in specs]
        return self._place_bracket(specs, builder)

    def cancel(self, asset: int, oid: object) -> object:
        """Cancel an order by its id or client order id."""
        order = self.account.find(oid)
        if order is None or not order.status.is_live or order.coin.asset != asset:
            return {"error": f"{_NEVER_PLACED} asset={asset}"}
        self.execution.end(order, Status.CANCELED)
        return "success"

    def modify(self, oid: object, spec: OrderSpec) -> object:
        """Cancel an order and place ``spec`` in its place, under a new id."""
        order = self.account.find(oid)
        if order is None or not order.status.is_live:
            return {"error": _CANNOT_MODIFY}
        error = self._batch_error([spec], "na", skip_size=order.is_position_wide)
        if error:
            return {"error": error}
        self.execution.end(order, Status.CANCELED)
        fresh = self._new_order(spec, order.builder)
        status = self._place_wide(fresh) if order.is_position_wide else self._place_one(fresh)
        if isinstance(status, dict) and "error" in status:
            return {"error": f"Error placing new order during modify: {status['error']}"}
        return status

    def cancel_all(self, status: Status) -> None:
        """Cancel every order."""
        for order in list(self.account.open.values()):
            self.execution.end(order, status)

    def settle(self, coin: str) -> None:
        """End the orders of ``coin``, and its position at the mark, as the exchange does with what it delists."""
        for order in [order for order in self.account.open.values() if order.coin.name == coin]:
            self.execution.end(order, Status.DELISTED_CANCELED)
        self.execution.settle(coin)

    def set_leverage(self, asset: int, leverage: ChosenLeverage) -> None:
        """Choose leverage and margin mode of a coin. Raises ``RefusedWhole``."""
        coin = self.coin(asset)
        if not 1 <= leverage.value <= coin.max_leverage:
            raise RefusedWhole("Invalid leverage value")
        before = self.account.leverage_of(coin.name)
        busy = any(order.coin is coin for order in self.account.open.values())
        if before.is_cross is not leverage.is_cross and (self.account.position(coin.name) or busy):
            raise RefusedWhole("Cannot switch leverage type with open position.")
        if not leverage.is_cross and self.account.position(coin.name):
            notional = abs(self.account.position(coin.name)) * self._markets[coin.name].mark
            if self.account.equity(coin.name) < notional / leverage.value:
                raise RefusedWhole(
                    "Isolated position does not have sufficient margin available to decrease leverage. "
                    "To decrease leverage, add margin to the position."
                )
        self.account.leverage[coin.name] = leverage

    def move_isolated_margin(self, asset: int, amount: Decimal) -> None:
        """Add margin to an isolated position, or take it away when < 0. Raises ``RefusedWhole``."""
        coin = self.coin(asset)
        if self.account.leverage_of(coin.name).is_cross:
            raise RefusedWhole("Position does not use isolated margin.")
        if not self.account.position(coin.name):
            raise RefusedWhole("Cannot update margin for empty position.")
        needed = self.account.margin_of(coin.name)
        available = self.account.free_margin()
        if amount > available or -amount > self.account.equity(coin.name) - needed:
            raise RefusedWhole("Insufficient margin available.")
        self.account.shift(coin.name, amount)

    def on_tick(self, coin: str) -> None:
        """Let the mark of ``coin`` meet the account: funding, fills, liquidation, triggers."""
        account = self.account
        if not account.position(coin) and not any(order.coin.name == coin for order in account.open.values()):
            return
        mark = self._markets[coin].mark
        self.execution.quote(coin, mark, mark)
        for order in list(account.open.values()):
            if order.coin.name == coin and order.awaits_mark and order.is_reached(mark) and not self._sleeps(order):
                self._fire(order)

    def coin(self, asset: int) -> Coin:
        """Return the coin of that number. Raises ``RefusedWhole``."""
        coin = self._coins.get(asset)
        if coin is None:
            raise RefusedWhole(f"Invalid asset: {asset}")
        return coin

    def _batch_error(self, specs: Sequence[OrderSpec], grouping: str, *, skip_size: bool = False) -> str:
        if not specs:
            return "Orders are empty."
        error = grouping_error(specs, grouping)
        if error:
            return error
        for spec in specs:
            coin = self.coin(spec.asset)
            if coin.refusal:
                return coin.refusal
            whole = skip_size or grouping == "positionTpsl"
            for price in (spec.px, spec.trigger_px):
                error = "" if price is None else coin.static_error(price, spec.sz, is_whole_position=whole)
                if error:
                    return error
            if spec.trigger_px is None:
                error = coin.band_error(spec.px, self._markets[coin.name].mark)
            if error:
                return error
        return ""

    def _new_order(self, spec: OrderSpec, builder: Builder) -> UserOrder:
        coin = self.coin(spec.asset)
        now = self.execution.now_ms
        return UserOrder(self._counters.next_oid(), coin, spec, now, spec.sz, status_ms=now, builder=builder)

    def _place_bracket(self, specs: Sequence[OrderSpec], builder: Builder) -> list[object]:
        parent, *children = [self._new_order(spec, builder) for spec in specs]
        parent.children = children
        for child in children:
            child.parent, child.is_waiting = parent, True
            self.account.orders[child.oid] = child
        for child in children:
            failure = self._checks.grid_failure(child)
            if failure is not None:
                return [{"error": f"{failure[1]} asset={child.coin.asset}"}]
        first = self._place_one(parent)
        if isinstance(first, dict) and "error" in first:
            for child in children:
                del self.account.orders[child.oid]
            return [first] * len(specs)
        for child in children:
            # Those of an entry that ended in part have ended with it, unless it ended for want of margin.
            if child.status.is_live:
                self.account.set_status(child, Status.OPEN, self.execution.now_ms)
        return [first, *("waitingForFill" if child.is_waiting else "waitingForTrigger" for child in children)]

    def _place_wide(self, order: UserOrder) -> object:
        order.is_position_wide = True
        failure = (
            self._checks.reduce_only_failure(order)
            or self._checks.grid_failure(order)
            or self._checks.trigger_failure(order)
        )
        if failure is not None:
            return self._refused(order, failure)
        self.account.set_status(order, Status.OPEN, self.execution.now_ms)
        return "waitingForTrigger"

    def _place_one(self, order: UserOrder) -> object:
        failure = self._checks.failure(order, is_post_only=self.is_post_only)
        if failure is not None:
            return self._refused(order, failure)
        if order.is_trigger:
            self.account.set_status(order, Status.OPEN, self.execution.now_ms)
            return _placed("resting", order)
        return self._match(order)

    def _match(self, order: UserOrder) -> object:
        spec, market = order.spec, self._markets[order.coin.name]
        crosses = spec.px >= market.ask if spec.is_buy else spec.px <= market.bid
        if spec.tif == "Alo" and crosses:
            text = f"Post only order would have immediately matched, bbo was {market.bid:f}@{market.ask:f}."
            return self._refused(order, (Status.POST_ONLY_REJECTED, text))
        is_ioc = spec.tif in ("Ioc", "FrontendMarket")
        if is_ioc and not crosses:
            text = "Order could not immediately match against any resting orders."
            return self._refused(order, (Status.IOC_REJECTED, text))
        affordable = self._affordable(order)
        if affordable <= 0 or (not crosses and affordable < order.sz):
            return self._refused(order, (Status.MARGIN_REJECTED, "Insufficient margin to place order."))
        self.account.set_status(order, Status.OPEN, self.execution.now_ms)
        if crosses:
            self.execution.take(order, min(order.sz, affordable), spec.px)
        if order.status.is_live:
            self._keep_rest(order, is_ioc=is_ioc)
        if order.filled:
            return _placed("filled", order)
        return _placed("resting", order) if order.status.is_live else {"error": self._text(order, _NEVER_PLACED)}

    def _keep_rest(self, order: UserOrder, *, is_ioc: bool) -> None:
        if is_ioc:
            self.execution.end(order, Status.CANCELED)
        elif self._affordable(order) < order.sz:
            self.execution.end(order, Status.MARGIN_CANCELED)
        else:
            self._displace(order)
            self.execution.rest(order)

    def _displace(self, order: UserOrder) -> None:
        # Resting reduce-only orders never close more than is held: the older ones give way.
        if not order.spec.reduce_only:
            return
        resting = [other for other in self.account.open.values() if other.resting_id and other.spec.reduce_only]
        resting = [other for other in resting if other.coin is order.coin and other.side is order.side]
        excess = sum((other.sz for other in resting), order.sz) - abs(self.account.position(order.coin.name))
        for other in resting:
            if excess > 0:
                excess -= other.sz
                self.execution.end(other, Status.REDUCE_ONLY_CANCELED)

    def _fire(self, order: UserOrder) -> None:
        market, held = self._markets[order.coin.name], self.account.position(order.coin.name)
        if order.spec.reduce_only and held * order.side.sign >= 0:
            self.execution.end(order, Status.REDUCE_ONLY_CANCELED)
            return
        if order.is_position_wide or (order.spec.reduce_only and order.sz > abs(held)):
            order.sz = abs(held)
        self.account.set_status(order, Status.TRIGGERED, self.execution.now_ms)
        slipped = market.mark * (ONE + _MARKET_SLIPPAGE * order.side.sign)
        stuck_after, bound = self._stuck_after(order), slipped if order.spec.is_market else order.spec.px
        qty = min(order.sz, self._affordable(order))
        self.execution.take(order, qty if stuck_after is None else min(qty, stuck_after), bound)
        if not order.status.is_live or stuck_after is not None:
            return
        if order.spec.is_market:
            self.execution.end(order, Status.CANCELED if order.filled else Status.NO_LIQUIDITY_REJECTED)
        else:
            self._keep_rest(order, is_ioc=False)

    def _sleeps(self, order: UserOrder) -> bool:
        return order.spec.tpsl == "sl" and self.sleeping_stops in ("", order.coin.name)

    def _stuck_after(self, order: UserOrder) -> Decimal | None:
        """Return how much of a stop trades before it stays as it is; ``None`` for one that is not to."""
        coin, qty = self.unfilled_stops or (None, ZERO)
        return qty if order.spec.tpsl == "sl" and coin in ("", order.coin.name) else None

    def _affordable(self, order: UserOrder) -> Decimal:
        spec, coin = order.spec, order.coin.name
        if spec.reduce_only:
            return min(order.sz, abs(self.account.position(coin)))
        market = self._markets[coin]
        held = self.account.position(coin)
        closing = abs(held) if held * order.side.sign < 0 else ZERO
        free = self.account.free_margin(leaving_out=order)
        if self.account.pool_key(coin) == CROSS and closing:
            free += self.account.margin_of(coin)
        best = market.ask if spec.is_buy else market.bid
        price = min(spec.px, best) if spec.is_buy else max(spec.px, best)
        if order.is_trigger:
            price = best
        adding = max(ZERO, free) / (price / self.account.leverage_of(coin).value + price * _FEE)
        return min(order.sz, closing + order.coin.qty_down(adding))

    def _refused(self, order: UserOrder, failure: Failure) -> object:
        status, text = failure
        self.execution.reject(order, status)
        return {"error": self._text(order, text)}

    def _text(self, order: UserOrder, text: str) -> str:
        return f"{text} asset={order.coin.asset}"


def _placed(kind: str, order: UserOrder) -> Json:
    body: Json = {"oid": order.oid}
    if kind == "filled":
        average = round(order.filled_notional / order.filled, 8)
        body = {"totalSz": number(order.filled), "avgPx": number(average), "oid": order.oid}
    if order.spec.cloid is not None:
        body["cloid"] = order.spec.cloid
    return {kind: body}
