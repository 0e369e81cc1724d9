"""What is asked of the exchange before it is trusted with orders: its clock, its symbols, the account and its key."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.finding import Finding, Grade
from tradebot.model.market import Bar
from tradebot.model.money import Cash, plain
from tradebot.model.near import did_you_mean
from tradebot.model.time import Nanos, Timeframe
from tradebot.model.venue import Priced
from tradebot.venues.hyperliquid.account_checks import AccountChecks
from tradebot.venues.hyperliquid.bars import read_bars
from tradebot.venues.hyperliquid.check_rules import clock_finding
from tradebot.venues.hyperliquid.config import VenueConfig
from tradebot.venues.hyperliquid.inquiry import Inquiry, mend_of
from tradebot.venues.hyperliquid.market import asset_contexts, venue_time
from tradebot.venues.hyperliquid.wire import Asset
from tradebot.venues.resilience import RateLimited


class HyperliquidChecks:
    """One run of the checks. ``is_fresh``: the home never traded. ``is_arming``: a daemon is about to trade.

    What is on the account of a fresh home is of a lost one or not ours.
    """

    def __init__(self, inquiry: Inquiry, config: VenueConfig, *, is_fresh: bool, is_arming: bool = False) -> None:
        self._inquiry, self._config = inquiry, config
        self._is_strict = is_fresh and not is_arming
        # What only a start that never traded is judged by need not be asked of another.
        is_brief = is_arming and not is_fresh
        self._account = AccountChecks(inquiry, config, is_fresh=is_fresh, is_brief=is_brief)
        self.markets: Mapping[str, Priced] = {}

    @property
    def findings(self) -> Sequence[Finding]:
        """Those so far."""
        return tuple(self._inquiry.findings)

    def add(self, finding: Finding) -> None:
        """Take down one more."""
        self._inquiry.findings.append(finding)

    @property
    def equity(self) -> Cash | None:
        """What there is to trade with; ``None`` before it is known."""
        return self._account.equity

    @property
    def where(self) -> str:
        """Where the exchange is asked."""
        return self._inquiry.url

    async def guarded(self, check: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; what it raises is a finding of ``check``."""
        await self._inquiry.guarded(check, work)

    async def run(self) -> bool:
        """Run all checks, those that need no network first; return whether the exchange could be asked."""
        account = self._config.account
        signer = None if account is None else self._account.key(account)
        if not await self._is_reachable():
            return False
        await self._inquiry.guarded("symbols", self._symbols)
        if account is not None and signer is not None:
            await self._inquiry.guarded("account", lambda: self._account.run(account, signer))
        return True

    async def bars(self, symbol: str, timeframe: Timeframe, bars: int) -> Sequence[Bar]:
        """Return about the last ``bars`` closed bars. Raises ``VenueError``."""
        now = self._inquiry.clock.now()
        span = (Nanos(now - bars * timeframe), now)
        return await read_bars(self._inquiry.rest, symbol, timeframe, span, self._inquiry.purpose)

    async def _is_reachable(self) -> bool:
        try:
            before = self._inquiry.clock.now()
            stamp = venue_time(await self._inquiry.ask("exchangeStatus"))
            after = self._inquiry.clock.now()
        except VenueError as error:
            self._inquiry.add("venue", Grade.FAIL, f"{self.where} {_failure(error)}", mend_of(error))
            return False
        self._inquiry.add("venue", Grade.OK, f"{self.where} answers in {(after - before) // 1_000_000} ms")
        self._inquiry.findings.append(clock_finding(before, stamp, after))
        return True

    async def _symbols(self) -> None:
        assets, contexts = asset_contexts(await self._inquiry.ask("metaAndAssetCtxs", max_age_s=self._inquiry.recent_s))
        known = {asset.symbol: (asset, context) for asset, context in zip(assets, contexts, strict=True)}
        markets: dict[str, Priced] = {}
        for symbol in self._config.symbols:
            asset, context = known.get(symbol, (None, None))
            if asset is None or asset.is_delisted or context is None:
                what = f"{symbol} is not traded here" if asset is None else f"{symbol} is delisted"
                near = did_you_mean(symbol, (name for name, (one, _) in known.items() if not one.is_delisted))
                mend = f"correct bot.symbols; they are case-sensitive, such as BTC, kPEPE; {near}"
                # A start has been refused for it by now, unless there is something to look after.
                self._inquiry.add("symbols", Grade.FAIL if self._is_strict else Grade.WARN, what, mend)
                continue
            markets[symbol] = Priced(asset.instrument(), context.mark)
            self._leverage(asset)
        self.markets = markets
        if len(markets) == len(self._config.symbols):
            prices = ", ".join(f"{symbol} {plain(market.mark)}" for symbol, market in markets.items())
            self._inquiry.add("symbols", Grade.OK, prices)

    def _leverage(self, asset: Asset) -> None:
        if self._config.account is None:
            return
        trading = self._config.account.trading
        if trading.leverage > asset.max_leverage:
            what = f"{asset.symbol} allows {asset.max_leverage}, not {trading.leverage}: it gets {asset.max_leverage}"
            self._inquiry.add("leverage", Grade.WARN, what, f"set venue.leverage = {asset.max_leverage} or less")
        if trading.is_cross and asset.only_isolated:
            what = f"{asset.symbol} is only traded with isolated margin, and gets it"
            self._inquiry.add("leverage", Grade.WARN, what, 'set venue.margin = "isolated", or leave the symbol out')


def _failure(error: VenueError) -> str:
    if isinstance(error, RateLimited):
        return f"limits our rate: {error.what}"
    return f"cannot be used: {error.what}" if _has_answered(error) else f"does not answer: {error.what}"


def _has_answered(error: VenueError) -> bool:
    return not isinstance(error, Unavailable) or error.what.startswith("HTTP ")
