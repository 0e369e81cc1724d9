"""How an account's orders meet the market: parts of them go to its pools, and what the pools report is told.

A taker walks the levels of the book, each a part of its own; a resting order lies in the pool until the price goes
strictly through it, and then fills whole.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from tradebot.devnet.account import CROSS, TAKER_BPS, UserAccount
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.orders import Status, UserOrder
from tradebot.devnet.record import Counters, PoolRecord
from tradebot.model.market import Message, Quote
from tradebot.model.money import BPS, ZERO, Cash, Price, Qty
from tradebot.model.order import (
    FillReport,
    OrderCanceled,
    OrderRejected,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
)
from tradebot.model.position import FundingPaid
from tradebot.model.time import Nanos

_FEE = TAKER_BPS * BPS


class UserTrading:
    """The trading of one account. ``now_ms`` is the exchange's time of what happens now."""

    def __init__(self, account: UserAccount, markets: Mapping[str, CoinMarket], counters: Counters) -> None:
        self.account = account
        self.markets = markets
        self._record = PoolRecord(account, counters)
        self.now_ms = 0
        self._again: list[UserOrder] = []

    def take(self, order: UserOrder, qty: Decimal, bound: Decimal) -> Decimal:
        """Trade up to ``qty`` against the book, no worse than ``bound``, and return how much."""
        market = self.markets[order.coin.name]
        levels = market.sides[1 if order.spec.is_buy else 0]
        sign = order.side.sign
        left = qty
        while left > 0 and levels and (levels[0].px - bound) * sign <= 0:
            level = levels[0]
            part = min(left, level.sz)
            before = order.filled
            self._cross_own(order, level.px)
            self._trade(order, part, level.px)
            traded = order.filled - before
            level.sz -= traded
            left -= traded
            if level.sz <= 0:
                levels.pop(0)
            if traded < part:
                break
        if left < qty:
            self.quote(order.coin.name, market.mark, market.mark)
        return qty - left

    def rest(self, order: UserOrder) -> None:
        """Let what is left of ``order`` rest at its limit."""
        pool = self.account.pool_key(order.coin.name)
        market = self.markets[order.coin.name]
        if pool != CROSS and not order.spec.reduce_only:
            self._post_isolated(order, order.sz, order.spec.px)
        order.resting_id = order.next_part()
        request = self._request(order, order.resting_id, OrderType.LIMIT, order.sz)
        self._book(pool, self.account.pools[pool].submit([request], self._now()))
        # It first meets the book it was placed into, as one that does not cross; from then on it is a maker.
        self.quote(order.coin.name, market.bid, market.ask)

    def withdraw(self, order: UserOrder) -> None:
        """Take what rests of ``order`` out of its pool."""
        if order.resting_id is None:
            return
        name, resting_id = order.coin.name, order.resting_id
        order.resting_id = None
        for venue in self.account.pools.values():
            venue.cancel(name, resting_id, self._now())

    def end(self, order: UserOrder, status: Status) -> None:
        """End ``order`` with ``status``, and what depends on it."""
        if not order.status.is_live:
            return
        self.withdraw(order)
        self.account.set_status(order, status, self.now_ms)
        # Exits of an entry that ends for want of margin protect what it got; those of any other end with it.
        is_armed = status is Status.MARGIN_CANCELED and bool(order.filled)
        for child in order.children:
            if child.is_waiting and is_armed:
                child.is_waiting = False
            elif child.is_waiting:
                self.end(child, Status.CANCELED)
        self._tidy(order.coin.name)

    def quote(self, coin: str, bid: Decimal, ask: Decimal) -> None:
        """Show all pools that trade ``coin`` a bid and an ask."""
        quote = Quote(symbol=coin, ts_event=self._now(), bid=Price(bid), ask=Price(ask))
        for key, venue in list(self.account.pools.items()):
            if key in (CROSS, coin):
                self._book(key, venue.on_quote(quote))

    def settle(self, coin: str) -> None:
        """Close what is held of ``coin`` at the mark, without a fee and without an order."""
        held, mark, now = self.account.position(coin), self.markets[coin].mark, self._now()
        if not held:
            return
        pool = self.account.pool_key(coin)
        request = OrderRequest(
            client_order_id=f"settlement-{coin}-{self.now_ms}",
            symbol=coin,
            strategy="",
            signal_id="",
            role=OrderRole.EXIT,
            side=OrderSide.SELL if held > 0 else OrderSide.BUY,
            type=OrderType.MARKET,
            qty=Qty(abs(held)),
            ts_event=now,
            reduce_only=True,
        )
        venue = self.account.pools[pool]
        quote = Quote(symbol=coin, ts_event=now, bid=Price(mark), ask=Price(mark))
        reports = [*venue.submit([request], now), *venue.on_quote(quote)]
        name = request.client_order_id
        others = [report for report in reports if getattr(report, "client_order_id", "") != name]
        for report in reports:
            if isinstance(report, FillReport) and report.client_order_id == name:
                self.account.transfer(pool, report.fee)
                self._record.settlement(replace(report, fee=Cash(ZERO)), self.now_ms)
        self._book(pool, others)
        self._tidy(coin)

    def reject(self, order: UserOrder, status: Status) -> None:
        """Record that ``order`` was refused."""
        self.account.set_status(order, status, self.now_ms)

    def _now(self) -> Nanos:
        # The pools have one time for all coins: nothing may be quoted before what another coin has shown.
        return Nanos(max(market.ts for market in self.markets.values()))

    def _trade(self, order: UserOrder, qty: Decimal, price: Decimal) -> None:
        pool = self.account.pool_key(order.coin.name)
        market = self.markets[order.coin.name]
        if pool != CROSS and not order.spec.reduce_only:
            self._post_isolated(order, qty, price)
        venue, ts = self.account.pools[pool], self._now()
        request = self._request(order, order.next_part(), OrderType.MARKET, qty)
        bid, ask = (market.bid, price) if order.spec.is_buy else (price, market.ask)
        quote = Quote(symbol=order.coin.name, ts_event=ts, bid=Price(bid), ask=Price(ask))
        self._book(pool, [*venue.submit([request], ts), *venue.on_quote(quote)])

    def _post_isolated(self, order: UserOrder, qty: Decimal, price: Decimal) -> None:
        coin = order.coin.name
        held = self.account.position(coin)
        grows = qty if held * order.side.sign >= 0 else max(ZERO, qty - abs(held))
        notional = grows * price
        self.account.shift(coin, notional / self.account.leverage_of(coin).value + notional * _FEE)

    def _tidy(self, coin: str) -> None:
        if coin not in self.account.pools or self.account.position(coin):
            return
        if any(order.resting_id is not None for order in self.account.open.values() if order.coin.name == coin):
            return
        cash = self.account.equity(coin)
        if cash:
            self.account.shift(coin, -cash)

    def _request(self, order: UserOrder, part: str, type_: OrderType, qty: Decimal) -> OrderRequest:
        return OrderRequest(
            client_order_id=part,
            symbol=order.coin.name,
            strategy="",
            signal_id="",
            role=OrderRole.ENTRY,
            side=order.side,
            type=type_,
            qty=Qty(qty),
            ts_event=self._now(),
            price=Price(order.spec.px) if type_ is OrderType.LIMIT else None,
            reduce_only=order.spec.reduce_only,
        )

    def _cross_own(self, order: UserOrder, price: Decimal) -> None:
        # Against oneself nothing trades: the resting order is cancelled, the taker goes on.
        for other in list(self.account.open.values()):
            if other.resting_id is None or other.coin is not order.coin or other.spec.is_buy is order.spec.is_buy:
                continue
            if (other.spec.px - price) * order.side.sign <= 0:
                self.end(other, Status.SELF_TRADE_CANCELED)

    def _book(self, pool: str, reports: Sequence[Message]) -> None:
        liquidates = any(isinstance(report, FillReport) and report.client_order_id is None for report in reports)
        for report in reports:
            match report:
                case FillReport(client_order_id=None):
                    self._liquidated(pool, report)
                case FillReport():
                    self._filled(report)
                case OrderCanceled() if report.reason != "canceled":
                    self._fell(report, liquidates=liquidates)
                case FundingPaid():
                    self._record.funding(report, self.now_ms)
                case OrderRejected():
                    order = self._owner(report.client_order_id)
                    if order.resting_id == report.client_order_id:
                        order.resting_id = None
                        self.end(order, Status.REDUCE_ONLY_CANCELED)
        again, self._again = self._again, []
        for order in again:
            if order.status.is_live:
                self.rest(order)

    def _owner(self, part: str) -> UserOrder:
        return self.account.orders[int(part.partition(".")[0])]

    def _fell(self, report: OrderCanceled, *, liquidates: bool) -> None:
        order = self._owner(report.client_order_id)
        if order.resting_id != report.client_order_id:
            return
        order.resting_id = None
        if liquidates:
            self.end(order, Status.LIQUIDATED_CANCELED)
        elif report.reason == "insufficient_margin":
            self.end(order, Status.MARGIN_CANCELED)
        elif order.spec.reduce_only:
            self.end(order, Status.REDUCE_ONLY_CANCELED)
        else:
            # The simulated venue ends the rest of an entry with its position; this exchange does not.
            self._again.append(order)

    def _filled(self, report: FillReport) -> None:
        assert report.client_order_id is not None  # noqa: S101 - the other kind is a liquidation  # nosec B101
        order = self._owner(report.client_order_id)
        is_maker = report.client_order_id == order.resting_id
        self._record.fill(report, order, self.now_ms, is_maker=is_maker)
        order.sz -= report.qty
        order.filled += report.qty
        order.filled_notional += report.qty * report.price
        if order.sz <= 0:
            order.resting_id = None
            self.account.set_status(order, Status.FILLED, self.now_ms)
        elif is_maker:
            self.account.outbox.order_updates.append(order.update_row() | {"statusTimestamp": self.now_ms})
        self._after_fill(order)

    def _after_fill(self, order: UserOrder) -> None:
        if order.parent is not None:
            for sibling in order.parent.children:
                if sibling is not order:
                    self.end(sibling, Status.SIBLING_FILLED_CANCELED)
        if order.status is Status.FILLED:
            for child in order.children:
                child.is_waiting = False
        self._fit_reduce_only(order.coin.name, order)
        self._tidy(order.coin.name)

    def _fit_reduce_only(self, coin: str, but: UserOrder) -> None:
        held = self.account.position(coin)
        for other in list(self.account.open.values()):
            if other is but or other.coin.name != coin or not other.spec.reduce_only or other.is_waiting:
                continue
            if held * other.side.sign >= 0:
                self.end(other, Status.REDUCE_ONLY_CANCELED)
            elif not other.is_position_wide and other.sz > abs(held):
                other.sz = abs(held)
                if other.resting_id is not None:
                    self.withdraw(other)
                    self._again.append(other)

    def _liquidated(self, pool: str, report: FillReport) -> None:
        self._record.liquidation(report, pool, self.markets[report.symbol].mark, self.now_ms)
        for order in list(self.account.open.values()):
            if order.coin.name == report.symbol:
                self.end(order, Status.LIQUIDATED_CANCELED)
        debt = self.account.equity(pool)
        if debt < 0 and not any(self.account.position(coin) for coin in self.account.coins):
            # What a position loses beyond its margin is the exchange's loss.
            self.account.transfer(pool, -debt)
        self._tidy(report.symbol)
