"""What can be asked of a venue before it is trusted with orders: each finding with what is, and the mend.

Nothing here signs or sends an action. It raises nothing: what cannot be asked is a finding too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal, localcontext
from pathlib import Path

from tradebot.model.errors import NotPermitted, StorageFailed, TradebotError, VenueError
from tradebot.model.money import MONEY_CONTEXT, ZERO, Cash, plain
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.base import StrategySpec
from tradebot.ports import Clock
from tradebot.runtime.findings import Finding, Grade
from tradebot.runtime.live.connect import account_cloids
from tradebot.runtime.live.judging import clock_finding, expiry_finding, missing_key, unfit_account
from tradebot.runtime.live.sizes import Account, Market, average_range, size_findings
from tradebot.runtime.settings import Loaded
from tradebot.runtime.settings_build import build_limits, build_size, feed_url, key_path, venue_url
from tradebot.runtime.settings_check import LIVE_TIMEFRAMES, build_specs
from tradebot.runtime.settings_model import HyperliquidVenueSettings, RiskFractionSize, SimulatedVenueSettings
from tradebot.store.lock import holder
from tradebot.store.rows import JournalReader, Query
from tradebot.store.upkeep import JOURNAL_NAME
from tradebot.venues.hyperliquid.access import agent_expiry
from tradebot.venues.hyperliquid.account import (
    Role,
    RoleKind,
    account_state,
    address_budget,
    open_orders,
    role,
    spot_collateral,
)
from tradebot.venues.hyperliquid.bars import read_bars
from tradebot.venues.hyperliquid.cloid import TAG_BYTES
from tradebot.venues.hyperliquid.keys import read_key
from tradebot.venues.hyperliquid.market import asset_contexts, venue_time
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.wire import Asset
from tradebot.venues.resilience import Policy, Purpose, Resilience

TOTAL_S = 15.0
_TIMEOUT_S = 3.0
_BUDGET_WARN = 2_000
_MOST_SERIES = 20
_UNIFIED = frozenset({"unifiedAccount", "portfolioMargin"})
_APPROVE = "approve its address as an API wallet of the account, or make a new one when it has expired"


async def preflight(
    loaded: Loaded, home: Path, clock: Clock, *, is_fresh: bool | None = None, total_s: float = TOTAL_S
) -> Sequence[Finding]:
    """Return the findings of every check of the venue, within ``total_s`` seconds.

    ``is_fresh`` says that this home has never traded, so that what is on the account is of a lost one or not ours; by
    default its journal is asked.
    """
    if is_fresh is None:
        is_fresh = _is_fresh(home)
    venue = loaded.settings.venue
    url = venue_url(venue) if isinstance(venue, HyperliquidVenueSettings) else feed_url(loaded.settings)
    resilience = Resilience(Policy(attempts=2, deadline_s=_TIMEOUT_S), clock, asyncio.sleep, seed=1)
    async with RestClient(url, resilience, timeout_s=_TIMEOUT_S) as rest:
        return await _checked(_Preflight(loaded, home, clock, rest, url, is_fresh=is_fresh), total_s)


def _is_fresh(home: Path) -> bool:
    """Return whether no account was ever opened in ``home``; one whose daemon runs is not fresh."""
    path = home / JOURNAL_NAME
    if not path.exists():
        return True
    if holder(home) is not None:
        return False
    try:
        with JournalReader(path) as journal:
            return next(iter(journal.rows(Query(kinds=(Deposit.kind,), limit=1))), None) is None
    except StorageFailed:
        return False


async def preflight_over(
    rest: RestClient, url: str, loaded: Loaded, home: Path, clock: Clock, *, is_fresh: bool
) -> Sequence[Finding]:
    """Return the findings as ``preflight`` does, asked over a connection that is there, and paid from its budget."""
    return await _checked(_Preflight(loaded, home, clock, rest, url, is_fresh=is_fresh), TOTAL_S)


async def _checked(checks: "_Preflight", total_s: float) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(total_s):
            await checks.run()
    except TimeoutError:
        what = f"{checks.url}: not everything was answered within {total_s:g} s"
        checks.add("venue", Grade.FAIL, what, "check the network, then try again")
    return tuple(checks.findings)


class _Preflight:
    """One run of the checks. What later ones need of earlier ones is ``None`` where those failed."""

    def __init__(self, loaded: Loaded, home: Path, clock: Clock, rest: RestClient, url: str, *, is_fresh: bool) -> None:
        self.findings: list[Finding] = []
        self._loaded, self._settings, self._home, self._clock = loaded, loaded.settings, home, clock
        self._rest, self.url, self._is_fresh = rest, url, is_fresh
        self._markets: dict[str, Market] = {}
        self._stopped: set[str] = set()
        self._equity: Cash | None = None

    def add(self, check: str, grade: Grade, what: str, mend: str = "") -> None:
        """Take down a finding."""
        self.findings.append(Finding(check, grade, what, mend))

    async def run(self) -> None:
        """Run all checks, those that need no network first."""
        venue = self._settings.venue
        signer = self._key(venue) if isinstance(venue, HyperliquidVenueSettings) else None
        if not await self._is_reachable():
            return
        await self._guarded("symbols", self._symbols)
        if isinstance(venue, SimulatedVenueSettings):
            self._equity = Cash(venue.starting_cash)
        elif signer is not None:
            await self._guarded("account", lambda: self._account(venue, signer))
        await self._guarded("sizes", self._sizes)

    async def _guarded(self, check: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except TradebotError as error:
            mend = error.mend or "check the network, then try again"
            self.add(check, Grade.FAIL, f"{error.where}: {error.what}" if error.where else error.what, mend)

    async def _ask(self, kind: str, **fields: object) -> Node:
        # As urgent as an entry: what merely watches would be held to a quarter of the budget.
        return await self._rest.info({"type": kind, **fields}, Purpose.TRADE)

    # The venue and its market ---------------------------------------------------------------------------

    async def _is_reachable(self) -> bool:
        try:
            before = self._clock.now()
            stamp = venue_time(await self._ask("exchangeStatus"))
            after = self._clock.now()
        except VenueError as error:
            mend = "check the network and the url; on a devnet: is `tradebot devnet` running?"
            self.add("venue", Grade.FAIL, f"{self.url} does not answer: {error.what}", mend)
            return False
        self.add("venue", Grade.OK, f"{self.url} answers in {(after - before) // 1_000_000} ms")
        self.findings.append(clock_finding(before, stamp, after))
        return True

    async def _symbols(self) -> None:
        assets, contexts = asset_contexts(await self._ask("metaAndAssetCtxs"))
        known = {asset.symbol: (asset, context) for asset, context in zip(assets, contexts, strict=True)}
        for symbol in self._settings.bot.symbols:
            asset, context = known.get(symbol, (None, None))
            if asset is None or asset.is_delisted or context is None:
                what = f"{symbol} is not traded here" if asset is None else f"{symbol} is delisted"
                self.add("symbols", Grade.FAIL, what, "correct bot.symbols; they are case-sensitive: BTC, kPEPE")
                continue
            self._markets[symbol] = Market(asset.instrument(), context.mark)
            self._leverage(asset)
        if len(self._markets) == len(self._settings.bot.symbols):
            prices = ", ".join(f"{symbol} {plain(market.mark)}" for symbol, market in self._markets.items())
            self.add("symbols", Grade.OK, prices)

    def _leverage(self, asset: Asset) -> None:
        venue = self._settings.venue
        if not isinstance(venue, HyperliquidVenueSettings):
            return
        if venue.leverage > asset.max_leverage:
            what = f"{asset.symbol} allows {asset.max_leverage}, not {venue.leverage}: it gets {asset.max_leverage}"
            self.add("leverage", Grade.WARN, what, f"set venue.leverage = {asset.max_leverage} or less")
        if venue.margin == "cross" and asset.only_isolated:
            what = f"{asset.symbol} is only traded with isolated margin, and gets it"
            self.add("leverage", Grade.WARN, what, 'set venue.margin = "isolated", or leave the symbol out')

    # The key and the account ----------------------------------------------------------------------------

    def _key(self, venue: HyperliquidVenueSettings) -> str | None:
        path = key_path(venue, self._home)
        try:
            signer = read_key(path).address
        except NotPermitted as error:
            mend = error.mend if path.exists() else missing_key(venue.network)
            self.add("key", Grade.FAIL, f"{path}: {error.what}", mend)
            return None
        self.add("key", Grade.OK, f"{path}, of {signer}")
        return signer

    async def _account(self, venue: HyperliquidVenueSettings, signer: str) -> None:
        own = role(await self._ask("userRole", user=signer))
        address = venue.account.lower() if venue.account else own.master or signer
        if not await self._may_trade(venue, address, signer, own):
            return
        await self._guarded("orders", lambda: self._orders(address))
        await self._guarded("balance", lambda: self._balance(address))
        await self._guarded("budget", lambda: self._budget(address))

    async def _may_trade(self, venue: HyperliquidVenueSettings, address: str, signer: str, own: Role) -> bool:
        account = own if address == signer else role(await self._ask("userRole", user=address))
        wrong = unfit_account(address, account, venue.network)
        if wrong is not None:
            self.findings.append(wrong)
            return False
        if address == signer:
            grade = Grade.OK if venue.network == "devnet" else Grade.WARN
            mend = "" if grade is Grade.OK else "use the key of an agent: it can trade, but not withdraw"
            self.add("account", grade, f"{address}, with its own key", mend)
            return True
        if own.kind is not RoleKind.AGENT or own.master != address:
            self.add("account", Grade.FAIL, f"the key's address {signer} is no agent of {address}", _APPROVE)
            return False
        self.add("account", Grade.OK, f"{address}, by its agent {signer}")
        expiry = await agent_expiry(self._rest, address, signer)
        self.findings.append(expiry_finding(expiry, self._clock.now()))
        return True

    async def _balance(self, address: str) -> None:
        state = account_state(await self._ask("clearinghouseState", user=address))
        spot = spot_collateral(await self._ask("spotClearinghouseState", user=address))
        mode = (await self._ask("userAbstraction", user=address)).value
        is_unified = mode in _UNIFIED
        self._equity = equity = spot if is_unified else state.equity
        words = f"{plain(state.equity)} in perpetuals, {plain(spot)} in spot, account mode {mode}"
        if equity > 0:
            self.add("balance", Grade.OK, f"{plain(equity)} USDC to trade with ({words})")
        else:
            mend = "move USDC from spot to perpetuals" if spot > 0 else "deposit USDC with the account"
            self.add("balance", Grade.FAIL, f"nothing to trade with ({words})", mend)
        traded = self._settings.bot.symbols
        ours = [position.symbol for position in state.positions if position.symbol in traded]
        others = [position.symbol for position in state.positions if position.symbol not in traded]
        self._positions(ours)
        if others:
            what = f"there are positions that are not the bot's: {', '.join(others)}"
            self.add("positions", Grade.WARN, what, "they share its margin; give the bot an account of its own")

    def _positions(self, traded: Sequence[str]) -> None:
        if not self._is_fresh:
            return
        known = [symbol for symbol in traded if symbol in self._stopped]
        unknown = [symbol for symbol in traded if symbol not in self._stopped]
        if known:
            what = f"the position in {', '.join(known)} has a stop of this bot's: both are taken over"
            self.add("positions", Grade.WARN, what, "if its journal is not lost, start with its --home")
        if unknown:
            what = f"there is a position in {', '.join(unknown)}, and this home has never traded"
            self.add("positions", Grade.FAIL, what, "close it first, or trade other symbols")

    async def _orders(self, address: str) -> None:
        resting = open_orders(await self._ask("frontendOpenOrders", user=address))
        cloids = account_cloids(bytes(TAG_BYTES), address, self._settings)
        own = [order for order in resting if order.cloid and cloids.decode(order.cloid, order.symbol) is not None]
        self._stopped = {order.symbol for order in own if order.reduce_only and order.trigger is not None}
        foreign = [order for order in resting if order.cloid is None or (self._is_fresh and order not in own)]
        if foreign:
            symbols = ", ".join(sorted({order.symbol for order in foreign}))
            what = f"{len(foreign)} open orders are not the bot's: {symbols}"
            self.add("orders", Grade.WARN, what, "cancel them, or give the bot an account of its own")

    async def _budget(self, address: str) -> None:
        budget = address_budget(await self._ask("userRateLimit", user=address))
        left = budget.cap - budget.used
        what = f"{left} of {budget.cap} actions of the address are left"
        reserve = Policy().budget_reserve
        if left < reserve:
            mend = f"trade by hand or buy requests: below {reserve} the bot enters nothing"
            self.add("budget", Grade.FAIL, what, mend)
        elif left < _BUDGET_WARN:
            self.add("budget", Grade.WARN, what, "trade larger and less often: each USDC traded gives one action")
        else:
            self.add("budget", Grade.OK, what)

    # Sizes ----------------------------------------------------------------------------------------------

    async def _sizes(self) -> None:
        if self._equity is None or self._equity <= 0:
            return
        settings = self._settings
        specs = build_specs(self._loaded)
        is_linear = settings.risk.confidence_scale == "linear"
        account = Account(
            equity=self._equity,
            rule=build_size(settings.risk, settings.strategy),
            limits=build_limits(settings.risk, settings.bot.mode),
            min_confidence=settings.risk.min_confidence if is_linear else ZERO,
            ranges=await self._ranges(specs),
        )
        worst = Grade.FAIL if settings.bot.mode == "live" else Grade.WARN
        with localcontext(MONEY_CONTEXT):
            self.findings.extend(size_findings(specs, self._markets, account, worst))

    async def _ranges(self, specs: Sequence[StrategySpec]) -> dict[tuple[str, str], Decimal]:
        """Return the average true ranges that sizes by risk need, as far as the venue gives bars cheaply."""
        if not isinstance(self._settings.risk.size, RiskFractionSize):
            return {}
        wanted = [
            (spec, symbol)
            for spec in specs
            for symbol in spec.symbols
            if symbol in self._markets and spec.timeframe in LIVE_TIMEFRAMES
        ]
        found: dict[tuple[str, str], Decimal] = {}
        for spec, symbol in wanted[:_MOST_SERIES]:
            n = spec.stop.n if spec.stop is not None else 0
            now = self._clock.now()
            span = (Nanos(now - (n + 2) * spec.timeframe), now)
            bars = await read_bars(self._rest, symbol, spec.timeframe, span, Purpose.TRADE) if n else ()
            mean = average_range(bars, n)
            if mean is not None:
                found[spec.name, symbol] = mean
        return found
