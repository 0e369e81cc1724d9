"""What somebody does with an account by hand, past its keys: trades, orders, cancels, transfers, agents."""

from collections.abc import Sequence
from decimal import Decimal

from tradebot.devnet.account import ApprovedAgent, UserAccount
from tradebot.devnet.coins import PRICE_DECIMALS, Coin
from tradebot.devnet.desk import UserDesk
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.orders import Status, UserOrder
from tradebot.devnet.schema import OrderSpec
from tradebot.devnet.wire import RefusedWhole
from tradebot.model.errors import UsageError

_AGGRESSIVE = Decimal("0.05")


class Hand:
    """Acts on accounts of ``exchange``. An empty user is the only account; all raise ``UsageError``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def desk(self, user: str) -> UserDesk:
        """Return the desk of ``user``."""
        if not user and len(self._exchange.desks) == 1:
            return next(iter(self._exchange.desks.values()))
        desk = self._exchange.desks.get(user)
        if desk is None:
            raise UsageError(f"there is no account {user!r}", mend="give user")
        return desk

    def trade(self, user: str, coin: str, size: Decimal | None, price: Decimal | None = None) -> object:
        """Trade ``size``, < 0 to sell, at the market, or let it rest at ``price``; return the order's status."""
        desk, market = self.desk(user), self._exchange.markets.get(coin)
        if market is None or not size:
            raise UsageError("a trade by hand needs coin and size", mend="the size is signed: below 0 sells")
        if price is not None and price <= 0:
            raise UsageError(f"{price} is no price", mend="leave it out to trade at the market")
        is_buy = size > 0
        bound = market.mark * (1 + _AGGRESSIVE if is_buy else 1 - _AGGRESSIVE)
        spec = OrderSpec(
            asset=market.coin.asset,
            is_buy=is_buy,
            px=market.coin.on_grid(bound if price is None else price),
            sz=market.coin.qty_down(abs(size)),
            reduce_only=False,
            tif="FrontendMarket" if price is None else "Gtc",
        )
        desk.execution.now_ms = self._exchange.now_ms
        (status,) = desk.place([spec], "na")
        self._exchange.on_change(desk.account)
        return status

    def cancel(self, user: str, coin: str = "", oid: object = None) -> Sequence[int]:
        """Cancel the order ``oid``, or all of ``coin``, or all there are; return their ids."""
        desk = self.desk(user)
        chosen: list[UserOrder] = list(desk.account.open.values())
        if oid is not None:
            chosen = [order for order in chosen if oid in (order.oid, order.spec.cloid)]
        elif coin:
            chosen = [order for order in chosen if order.coin.name == coin]
        desk.execution.now_ms = self._exchange.now_ms
        for order in chosen:
            desk.execution.end(order, Status.CANCELED)
        self._exchange.on_change(desk.account)
        return [order.oid for order in chosen]

    def withdraw(self, user: str, amount: Decimal) -> UserAccount:
        """Take ``amount`` out of the account."""
        account = self.desk(user).account
        try:
            self._exchange.withdraw(account, amount)
        except RefusedWhole as refusal:
            raise UsageError(str(refusal), mend=f"at most {account.withdrawable():f} can leave") from refusal
        return account

    def liquidate(self, user: str) -> None:
        """Let all positions be liquidated."""
        desk = self.desk(user)
        account = desk.account
        for coin in [coin for coin in account.coins if account.position(coin)]:
            pool = account.pool_key(coin)
            # Taken away what keeps it above maintenance, the next mark liquidates.
            account.transfer(pool, account.maintenance(pool) - account.equity(pool) - 1)
            desk.execution.now_ms = self._exchange.now_ms
            mark = self._exchange.markets[coin].mark
            desk.execution.quote(coin, mark, mark)
        self._exchange.on_change(account)

    def delist(self, coin: str) -> None:
        """Let ``coin`` be traded no more: its channels fall silent, its orders end; positions wait for ``settle``."""
        self._coin(coin).is_delisted = True
        for desk in self._exchange.desks.values():
            desk.execution.now_ms = self._exchange.now_ms
            for order in [order for order in desk.account.open.values() if order.coin.name == coin]:
                desk.execution.end(order, Status.DELISTED_CANCELED)
            self._exchange.on_change(desk.account)

    def list_again(self, coin: str) -> None:
        """Let ``coin`` be traded as before it was delisted or halted."""
        self._coin(coin).is_delisted = self._coin(coin).is_halted = False

    def halt(self, coin: str) -> None:
        """Let no orders of ``coin`` be taken, while it stays listed and its price goes on."""
        self._coin(coin).is_halted = True

    def settle(self, coin: str) -> None:
        """Close every position in ``coin`` at the mark, as the exchange does with what it delists."""
        self._coin(coin)
        for desk in self._exchange.desks.values():
            desk.execution.now_ms = self._exchange.now_ms
            desk.settle(coin)
            self._exchange.on_change(desk.account)

    def change_rules(self, coin: str, sz_decimals: int | None, max_leverage: int | None) -> Coin:
        """Let ``coin`` be traded in other lots and on other ticks, or with another leverage at most.

        What rests stays as it is.
        """
        found = self._coin(coin)
        if sz_decimals is not None and not 0 <= sz_decimals <= PRICE_DECIMALS:
            raise UsageError(f"{sz_decimals} is no number of decimals", mend=f"from 0 to {PRICE_DECIMALS}")
        if max_leverage is not None and max_leverage < 1:
            raise UsageError(f"{max_leverage} is no leverage", mend="1 or more")
        found.change(sz_decimals, max_leverage)
        return found

    def _coin(self, coin: str) -> Coin:
        found = self._exchange.coins.get(coin)
        if found is None:
            raise UsageError(f"there is no coin {coin!r}", mend=f"one of {', '.join(self._exchange.coins)}")
        return found

    def approve(self, user: str, address: str, name: str, life_ms: int) -> ApprovedAgent:
        """Let ``address`` trade for the account for ``life_ms``, as its owner would by a signature."""
        account = self.desk(user).account
        try:
            return self._exchange.registry.approve(self._exchange, account, address, name, life_ms)
        except RefusedWhole as refusal:
            raise UsageError(str(refusal), mend="take a key that was never an agent") from refusal

    def expire_agents(self, user: str) -> None:
        """Let all agents of the account run out."""
        self._exchange.registry.expire_agents(self.desk(user).account)
