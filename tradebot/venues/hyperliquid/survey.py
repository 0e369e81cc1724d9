"""What there is at the venue, for comparison with what we believe: orders, positions, money, transfers, leverage.

Every question takes the purpose it is asked for: the continuous comparison has a budget of its own.
"""

from collections.abc import Sequence
from decimal import Decimal

from tradebot.model.errors import Rejected
from tradebot.model.money import ZERO, Cash
from tradebot.model.position import Deposit
from tradebot.model.time import to_ms
from tradebot.model.venue import AccountState, LeverageChoice, OwnOrder, Purpose, RestingOrder, Success, VenueOrder
from tradebot.venues.hyperliquid.account import (
    VenueFill,
    account_state,
    fills,
    is_unified,
    open_orders,
    spot_collateral,
)
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.transfers import transfers
from tradebot.venues.hyperliquid.wire import Asset, cancel_action

_PAGE = 2000
_LEDGER_PAGE = 500


class HyperliquidSurvey:
    """Looks at one account. ``open`` first."""

    def __init__(self, gateway: Gateway, cloids: Cloids) -> None:
        self._gateway = gateway
        self._cloids = cloids
        self._is_unified = False
        self.counted_ms: int | None = None
        """Venue time at which the account's money was first counted: later transfers come on top."""

    async def open(self) -> None:
        """Learn how the account keeps its money."""
        self._is_unified = is_unified(await self._gateway.ask("userAbstraction", Purpose.PROTECT))

    def counted(self, ms: int) -> None:
        """Take note that the money was counted at venue time ``ms``: what moved it before is in that count."""
        self.counted_ms = ms

    def now_ms(self) -> int:
        """Return venue time."""
        return self._gateway.time.ms()

    async def resting(self, purpose: Purpose) -> Sequence[RestingOrder]:
        """Return all that rests, with whose it is."""
        reply = await self._gateway.ask("frontendOpenOrders", purpose)
        return [RestingOrder(order, self._owner(order)) for order in open_orders(reply)]

    def _owner(self, order: VenueOrder) -> OwnOrder | None:
        return None if order.cloid is None else self._cloids.decode(order.cloid, order.symbol)

    async def account(self, purpose: Purpose) -> AccountState:
        """Return money and positions."""
        return account_state(await self._gateway.ask("clearinghouseState", purpose))

    async def collateral(self, account: AccountState, purpose: Purpose) -> Cash:
        """Return the money that backs positions; a unified account keeps it among the spot balances."""
        if not self._is_unified:
            return account.equity
        return spot_collateral(await self._gateway.ask("spotClearinghouseState", purpose))

    async def cash(self, account: AccountState, purpose: Purpose) -> Cash:
        """Return the money of ``account`` without the open P&L of its positions."""
        unrealized: Decimal = sum((position.unrealized_pnl for position in account.positions), ZERO)
        return Cash(await self.collateral(account, purpose) - unrealized)

    async def transfers(self, purpose: Purpose) -> Sequence[Deposit]:
        """Return what came to the account from outside, or left it, since it was counted; oldest first."""
        found: dict[str, Deposit] = {}
        if self.counted_ms is None:
            return ()
        start = self.counted_ms + 1
        while True:
            reply = await self._gateway.ask("userNonFundingLedgerUpdates", purpose, startTime=start)
            page = transfers(reply, self._gateway.account, is_unified=self._is_unified)
            found |= {deposit.id: deposit for deposit in page.deposits}
            if page.rows < _LEDGER_PAGE or page.last is None or to_ms(page.last) <= start:
                return tuple(found.values())
            # The page may have cut through a millisecond; its rows are told apart by their ids.
            start = to_ms(page.last)

    async def leverage(self, symbol: str, purpose: Purpose) -> LeverageChoice:
        """Return what is set for ``symbol``, with or without a position."""
        leverage = (await self._gateway.ask("activeAssetData", purpose, coin=symbol)).at("leverage")
        is_cross = leverage.at("type").one_of("cross", "isolated") == "cross"
        return LeverageChoice(leverage.at("value").integer(1, 1001), is_cross)

    async def cancel(self, asset: Asset, order: VenueOrder) -> bool:
        """Cancel exactly ``order``, by the venue's own id; return whether it was there to cancel.

        Raises ``Rejected`` when the venue refused the request as a whole.
        """
        reply = await self._gateway.act(cancel_action([(asset.id, int(order.oid))]), 1)
        if reply.refusal is not None:
            raise Rejected(f"cancel of {order.oid}: {reply.refusal.text}")
        return isinstance(reply.legs[0], Success)


async def fills_since(gateway: Gateway, start_ms: int, purpose: Purpose) -> Sequence[VenueFill]:
    """Return the fills of the account from ``start_ms`` on, oldest first."""
    found: list[VenueFill] = []
    while True:
        page = fills(await gateway.ask("userFillsByTime", purpose, startTime=start_ms))
        found += page
        last = max((to_ms(fill.ts_event) for fill in page), default=start_ms)
        # A full page of one millisecond cannot be paged past; the rest of it is not to be had.
        if len(page) < _PAGE or last <= start_ms:
            return found
        start_ms = last
