"""What can be asked of a venue before it is trusted with orders: each finding with what is, and the mend.

Nothing here signs or sends an action. It raises nothing: what cannot be asked is a finding too.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from decimal import Decimal, localcontext
from pathlib import Path

from tradebot.model.errors import StorageFailed, Unavailable, VenueError
from tradebot.model.money import MONEY_CONTEXT, ZERO, Cash, plain
from tradebot.model.near import did_you_mean
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.base import StrategySpec
from tradebot.ports import Clock
from tradebot.runtime.findings import Finding, Grade
from tradebot.runtime.live.connect import Link, shared_log, weight_per_minute
from tradebot.runtime.live.inquiry import Inquiry, mend_of
from tradebot.runtime.live.opening import FIRST_DEPOSIT
from tradebot.runtime.live.preflight_account import AccountChecks
from tradebot.runtime.live.preflight_rules import clock_finding
from tradebot.runtime.live.preflight_sizes import Basis, Market, average_range, size_findings
from tradebot.settings.build import build_limits, build_size, feed_url, venue_url
from tradebot.settings.check import LIVE_TIMEFRAMES, build_specs
from tradebot.settings.load import Loaded
from tradebot.settings.model import HyperliquidVenueSettings, RiskFractionSize, SimulatedVenueSettings
from tradebot.store.lock import holder
from tradebot.store.rows import JournalReader
from tradebot.store.upkeep import JOURNAL_NAME
from tradebot.venues.http_mends import SLOW
from tradebot.venues.hyperliquid.bars import read_bars
from tradebot.venues.hyperliquid.market import asset_contexts, venue_time
from tradebot.venues.hyperliquid.rest import RECENT_S, RestClient
from tradebot.venues.hyperliquid.wire import Asset
from tradebot.venues.resilience import Policy, Purpose, RateLimited, Resilience

TOTAL_S = 15.0
_TIMEOUT_S = 3.0
_PATIENCE_S = 10.0
_MOST_SERIES = 8
_LOOKS, _LOOK_AGAIN_S = 3, 1.0


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
    policy = Policy(
        weight_per_minute=weight_per_minute(loaded.settings),
        attempts=2,
        deadline_s=_TIMEOUT_S,
        patience_s=_PATIENCE_S,
    )
    with contextlib.closing(shared_log(url, policy)) as sent:
        resilience = Resilience(policy, clock, asyncio.sleep, seed=1, log=sent)
        async with RestClient(url, resilience, timeout_s=_TIMEOUT_S) as rest:
            # A daemon beside it trades with the same requests of a minute.
            inquiry = Inquiry(rest, url, clock, Purpose.HISTORY)
            return await _checked(_Preflight(inquiry, loaded, home, is_fresh=is_fresh), total_s)


def _is_fresh(home: Path) -> bool:
    """Return whether no account was ever opened in ``home``; one whose daemon runs is not fresh."""
    path = home / JOURNAL_NAME
    if not path.exists():
        return True
    if holder(home) is not None:
        return False
    try:
        with JournalReader(path) as journal:
            return next(iter(journal.rows(FIRST_DEPOSIT)), None) is None
    except StorageFailed:
        return False


async def red_lines(link: Link, loaded: Loaded, home: Path, clock: Clock, *, is_fresh: bool) -> Sequence[Finding]:
    """Return the findings with which nothing is armed, asked over ``link`` and paid from its budget.

    What is red in one look and not in the next was an answer that got lost.
    """
    red: Sequence[Finding] = ()
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(_LOOK_AGAIN_S)
        # A home that traded may have something to protect, which waits for this.
        purpose, recent_s = Purpose.TRADE if is_fresh else Purpose.PROTECT, 0.0 if look else RECENT_S
        inquiry = Inquiry(link.rest, link.url, clock, purpose, recent_s)
        run = _Preflight(inquiry, loaded, home, is_fresh=is_fresh, is_arming=True)
        red = [finding for finding in await _checked(run, TOTAL_S) if finding.grade is Grade.FAIL]
        if not red:
            break
    return red


async def _checked(run: "_Preflight", total_s: float) -> Sequence[Finding]:
    inquiry = run.inquiry
    try:
        async with asyncio.timeout(total_s):
            await run.run()
    except TimeoutError:
        what = f"{inquiry.url}: not everything was answered within {total_s:g} s"
        inquiry.add("venue", Grade.FAIL, what, SLOW)
    return tuple(inquiry.findings)


def _failure(error: VenueError) -> str:
    if isinstance(error, RateLimited):
        return f"limits our rate: {error.what}"
    return f"cannot be used: {error.what}" if _has_answered(error) else f"does not answer: {error.what}"


def _has_answered(error: VenueError) -> bool:
    return not isinstance(error, Unavailable) or error.what.startswith("HTTP ")


class _Preflight:
    """One run of the checks. What later ones need of earlier ones is ``None`` where those failed."""

    def __init__(
        self, inquiry: Inquiry, loaded: Loaded, home: Path, *, is_fresh: bool, is_arming: bool = False
    ) -> None:
        self.inquiry = inquiry
        self._is_strict = is_fresh and not is_arming
        # What only a start that never traded is judged by need not be asked of another.
        self._is_brief = is_arming and not is_fresh
        self._loaded, self._settings = loaded, loaded.settings
        self._account = AccountChecks(inquiry, loaded.settings, home, is_fresh=is_fresh, is_brief=self._is_brief)
        self._markets: dict[str, Market] = {}
        self._equity: Cash | None = None

    async def run(self) -> None:
        """Run all checks, those that need no network first."""
        venue = self._settings.venue
        signer = self._account.key(venue) if isinstance(venue, HyperliquidVenueSettings) else None
        if not await self._is_reachable():
            return
        await self.inquiry.guarded("symbols", self._symbols)
        if isinstance(venue, SimulatedVenueSettings):
            self._equity = Cash(venue.starting_cash)
        elif signer is not None:
            await self.inquiry.guarded("account", lambda: self._account.run(venue, signer))
            self._equity = self._account.equity
        await self.inquiry.guarded("sizes", self._sizes)

    # The venue and its market ---------------------------------------------------------------------------

    async def _is_reachable(self) -> bool:
        try:
            before = self.inquiry.clock.now()
            stamp = venue_time(await self.inquiry.ask("exchangeStatus"))
            after = self.inquiry.clock.now()
        except VenueError as error:
            self.inquiry.add("venue", Grade.FAIL, f"{self.inquiry.url} {_failure(error)}", mend_of(error))
            return False
        self.inquiry.add("venue", Grade.OK, f"{self.inquiry.url} answers in {(after - before) // 1_000_000} ms")
        self.inquiry.findings.append(clock_finding(before, stamp, after))
        return True

    async def _symbols(self) -> None:
        assets, contexts = asset_contexts(await self.inquiry.ask("metaAndAssetCtxs", max_age_s=self.inquiry.recent_s))
        known = {asset.symbol: (asset, context) for asset, context in zip(assets, contexts, strict=True)}
        for symbol in self._settings.bot.symbols:
            asset, context = known.get(symbol, (None, None))
            if asset is None or asset.is_delisted or context is None:
                what = f"{symbol} is not traded here" if asset is None else f"{symbol} is delisted"
                near = did_you_mean(symbol, (name for name, (one, _) in known.items() if not one.is_delisted))
                mend = f"correct bot.symbols; they are case-sensitive, such as BTC, kPEPE; {near}"
                # A start has been refused for it by now, unless there is something to look after.
                self.inquiry.add("symbols", Grade.FAIL if self._is_strict else Grade.WARN, what, mend)
                continue
            self._markets[symbol] = Market(asset.instrument(), context.mark)
            self._leverage(asset)
        if len(self._markets) == len(self._settings.bot.symbols):
            prices = ", ".join(f"{symbol} {plain(market.mark)}" for symbol, market in self._markets.items())
            self.inquiry.add("symbols", Grade.OK, prices)

    def _leverage(self, asset: Asset) -> None:
        venue = self._settings.venue
        if not isinstance(venue, HyperliquidVenueSettings):
            return
        if venue.leverage > asset.max_leverage:
            what = f"{asset.symbol} allows {asset.max_leverage}, not {venue.leverage}: it gets {asset.max_leverage}"
            self.inquiry.add("leverage", Grade.WARN, what, f"set venue.leverage = {asset.max_leverage} or less")
        if venue.margin == "cross" and asset.only_isolated:
            what = f"{asset.symbol} is only traded with isolated margin, and gets it"
            self.inquiry.add("leverage", Grade.WARN, what, 'set venue.margin = "isolated", or leave the symbol out')

    # Sizes ----------------------------------------------------------------------------------------------

    async def _sizes(self) -> None:
        if self._equity is None or self._equity <= 0:
            return
        settings = self._settings
        specs = build_specs(self._loaded)
        is_linear = settings.risk.confidence_scale == "linear"
        basis = Basis(
            equity=self._equity,
            rule=build_size(settings.risk, settings.strategy),
            limits=build_limits(settings.risk, settings.bot.mode),
            min_confidence=settings.risk.min_confidence if is_linear else ZERO,
            ranges=await self._ranges(specs),
        )
        worst = Grade.FAIL if settings.bot.mode == "live" else Grade.WARN
        with localcontext(MONEY_CONTEXT):
            self.inquiry.findings.extend(size_findings(specs, self._markets, basis, worst))

    async def _ranges(self, specs: Sequence[StrategySpec]) -> dict[tuple[str, str], Decimal]:
        """Return the average true ranges that sizes by risk need, as far as the venue gives bars cheaply."""
        if self._is_brief or not isinstance(self._settings.risk.size, RiskFractionSize):
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
            now = self.inquiry.clock.now()
            span = (Nanos(now - (n + 2) * spec.timeframe), now)
            bars = await read_bars(self.inquiry.rest, symbol, spec.timeframe, span, self.inquiry.purpose) if n else ()
            mean = average_range(bars, n)
            if mean is not None:
                found[spec.name, symbol] = mean
        return found
