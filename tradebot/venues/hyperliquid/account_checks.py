"""What preflight asks of an account: its key, its money, what rests and is held there, and what may still be sent."""

from collections.abc import Sequence

from tradebot.model.errors import NotPermitted
from tradebot.model.finding import Grade
from tradebot.model.money import Cash, plain
from tradebot.venues.allowance import LOW, RESERVE
from tradebot.venues.hyperliquid.access import Role, RoleKind, agent_expiry, role
from tradebot.venues.hyperliquid.account import (
    account_state,
    address_budget,
    is_unified,
    open_orders,
    spot_collateral,
)
from tradebot.venues.hyperliquid.check_rules import expiry_finding, missing_key, unfit_account
from tradebot.venues.hyperliquid.cloid import TAG_BYTES, account_cloids
from tradebot.venues.hyperliquid.config import AccountConfig, VenueConfig
from tradebot.venues.hyperliquid.inquiry import Inquiry
from tradebot.venues.hyperliquid.keys import KeyMissing

_APPROVE = "approve it (tradebot agent approve, or API on the venue's page), or make a new one when it has expired"


class AccountChecks:
    """The checks of one account. ``equity`` is what there is to trade with, ``None`` before it is known.

    ``is_fresh``: the home never traded, so what is on the account is of a lost one or not ours. ``is_brief``: only
    what can be a red line is asked.
    """

    def __init__(self, inquiry: Inquiry, config: VenueConfig, *, is_fresh: bool, is_brief: bool = False) -> None:
        self._inquiry, self._config, self._is_fresh = inquiry, config, is_fresh
        self._is_brief = is_brief
        self._stopped: set[str] = set()
        self.equity: Cash | None = None

    def key(self, venue: AccountConfig) -> str | None:
        """Return the address of the key, ``None`` when there is none to be used. Asks nothing."""
        try:
            signer = venue.key.read().address
        except KeyMissing as error:
            self._inquiry.add("key", Grade.FAIL, f"{venue.key.where}: {error.what}", missing_key(venue.network))
            return None
        except NotPermitted as error:
            self._inquiry.add("key", Grade.FAIL, f"{venue.key.where}: {error.what}", error.mend)
            return None
        self._inquiry.add("key", Grade.OK, f"{venue.key.where}, of {signer}")
        return signer

    async def run(self, venue: AccountConfig, signer: str) -> None:
        """Check the account that ``signer`` is to trade for. Raises ``VenueError``."""
        own = role(await self._inquiry.ask("userRole", user=signer))
        address = venue.account.lower() if venue.account else own.master or signer
        if not await self._may_trade(venue, address, signer, own):
            return
        if not self._is_brief:
            # Orders that are not the bot's are told of by the comparison that follows.
            await self._inquiry.guarded("orders", lambda: self._orders(address))
        await self._inquiry.guarded("balance", lambda: self._balance(address))
        await self._inquiry.guarded("budget", lambda: self._budget(address))

    async def _may_trade(self, venue: AccountConfig, address: str, signer: str, own: Role) -> bool:
        account = own if address == signer else role(await self._inquiry.ask("userRole", user=address))
        wrong = unfit_account(address, account, venue.network)
        if wrong is not None:
            self._inquiry.findings.append(wrong)
            return False
        if address == signer:
            grade = Grade.OK if venue.network == "devnet" else Grade.WARN
            mend = "" if grade is Grade.OK else "use the key of an agent: it can trade, but not withdraw"
            self._inquiry.add("account", grade, f"{address}, with its own key", mend)
            return True
        if own.kind is not RoleKind.AGENT or own.master != address:
            self._inquiry.add("account", Grade.FAIL, f"the key's address {signer} is no agent of {address}", _APPROVE)
            return False
        self._inquiry.add("account", Grade.OK, f"{address}, by its agent {signer}")
        expiry = await agent_expiry(self._inquiry.rest, address, signer, self._inquiry.purpose)
        self._inquiry.findings.append(expiry_finding(expiry, self._inquiry.clock.now()))
        return True

    async def _balance(self, address: str) -> None:
        state = account_state(await self._inquiry.ask("clearinghouseState", user=address))
        spot = spot_collateral(await self._inquiry.ask("spotClearinghouseState", user=address))
        mode = await self._inquiry.ask("userAbstraction", user=address)
        self.equity = equity = spot if is_unified(mode) else state.equity
        words = f"{plain(state.equity)} in perpetuals, {plain(spot)} in spot, account mode {mode.text()}"
        if equity > 0:
            self._inquiry.add("balance", Grade.OK, f"{plain(equity)} USDC to trade with ({words})")
        else:
            mend = "move USDC from spot to perpetuals" if spot > 0 else "deposit USDC with the account"
            self._inquiry.add("balance", Grade.FAIL, f"nothing to trade with ({words})", mend)
        traded = self._config.symbols
        ours = [position.symbol for position in state.positions if position.symbol in traded]
        others = [position.symbol for position in state.positions if position.symbol not in traded]
        self._positions(ours)
        if others:
            what = f"there are positions that are not the bot's: {', '.join(others)}"
            mend = "they share its margin; give the bot an account of its own"
            self._inquiry.add("positions", Grade.WARN, what, mend)

    def _positions(self, traded: Sequence[str]) -> None:
        if not self._is_fresh:
            return
        known = [symbol for symbol in traded if symbol in self._stopped]
        unknown = [symbol for symbol in traded if symbol not in self._stopped]
        if known:
            what = f"the position in {', '.join(known)} has a stop of this bot's: both are taken over"
            self._inquiry.add("positions", Grade.WARN, what, "if its journal is not lost, start with its --home")
        if unknown:
            what = f"there is a position in {', '.join(unknown)}, and this home has never traded"
            self._inquiry.add("positions", Grade.FAIL, what, "close it first, or trade other symbols")

    async def _orders(self, address: str) -> None:
        resting = open_orders(await self._inquiry.ask("frontendOpenOrders", user=address))
        strategies = () if self._config.account is None else self._config.account.strategies
        cloids = account_cloids(bytes(TAG_BYTES), address, strategies)
        own = [order for order in resting if order.cloid and cloids.decode(order.cloid, order.symbol) is not None]
        self._stopped = {order.symbol for order in own if order.reduce_only and order.trigger is not None}
        foreign = [order for order in resting if order.cloid is None or (self._is_fresh and order not in own)]
        if foreign:
            symbols = ", ".join(sorted({order.symbol for order in foreign}))
            what = f"{len(foreign)} open orders are not the bot's: {symbols}"
            self._inquiry.add("orders", Grade.WARN, what, "cancel them, or give the bot an account of its own")

    async def _budget(self, address: str) -> None:
        budget = address_budget(await self._inquiry.ask("userRateLimit", user=address))
        left = budget.cap - budget.used
        what = f"{left} of {budget.cap} actions of the address are left"
        if left < RESERVE:
            mend = f"trade by hand or buy requests: below {RESERVE} the bot enters nothing"
            # What is held already is still protected and closed: that is what the reserve is for.
            self._inquiry.add("budget", Grade.FAIL if self._is_fresh else Grade.WARN, what, mend)
        elif left < LOW:
            mend = "trade larger and less often: each USDC traded gives one action"
            self._inquiry.add("budget", Grade.WARN, what, mend)
        else:
            self._inquiry.add("budget", Grade.OK, what)
