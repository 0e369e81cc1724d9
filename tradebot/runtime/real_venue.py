"""Which real venue the settings name, and what it is made of: the only place of a daemon that knows one by name."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import assert_never

from tradebot.live.intents import IntentLog
from tradebot.live.market import FeedPace
from tradebot.live.preflight import has_never_traded
from tradebot.log import log
from tradebot.model.errors import ConfigError, InvariantError
from tradebot.model.venue import why_not_live
from tradebot.ports import Clock, Connection, VenueChecks
from tradebot.runtime.alone import key_source, shared_log
from tradebot.runtime.config_rows import CONFIG
from tradebot.settings.build import feed_url, key_path, venue_url
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    HyperliquidFeedSettings,
    HyperliquidVenueSettings,
    LiveFeedSettings,
    RealVenueSettings,
    Settings,
)
from tradebot.store.account_lock import AccountLock
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import INSTANCE
from tradebot.venues.hyperliquid.config import AccountConfig, TradingRules, VenueConfig
from tradebot.venues.hyperliquid.connect import Home, Outside, connect
from tradebot.venues.hyperliquid.doctor import checks
from tradebot.venues.resilience import Policy

_TAG_BYTES = 4


async def connect_venue(loaded: Loaded, home: Path, journal: SqliteJournal, clock: Clock) -> Connection:
    """Ask the venue what it has and whether we may trade there, and lock the account on this machine.

    Raises ``NotPermitted``, ``ConfigError``, ``LockHeld``, and ``VenueError`` while it cannot be asked.
    """
    connection = await _connected(loaded, home, journal, clock)
    if connection.execution is not None:
        why = why_not_live(connection.execution.capabilities)
        if why:
            await connection.close()
            raise ConfigError(f"this venue is not traded for real: {why}", where="[venue]", mend="choose another")
    return connection


async def _connected(loaded: Loaded, home: Path, journal: SqliteJournal, clock: Clock) -> Connection:
    match _named(loaded.settings):
        case HyperliquidVenueSettings() | HyperliquidFeedSettings():
            return await _hyperliquid(loaded, home, journal, clock)
        case _ as never:
            assert_never(never)


def _named(settings: Settings) -> RealVenueSettings | LiveFeedSettings:
    """Return what names the venue: the account's, else the market's."""
    if isinstance(settings.venue, RealVenueSettings):
        return settings.venue
    if isinstance(settings.feed, LiveFeedSettings):
        return settings.feed
    raise InvariantError("a real venue is asked of a bot without one")


async def _hyperliquid(loaded: Loaded, home: Path, journal: SqliteJournal, clock: Clock) -> Connection:
    config = venue_config(loaded.settings, home, clock)
    given = Home(
        tag=await _tag(journal, home, clock),
        notes=journal,
        recorder=IntentLog(journal).record,
        is_new=not await journal.rows(Query(kinds=[CONFIG], limit=1)),
    )
    outside = Outside(
        clock=clock, share=shared_log, admit=lambda place, account: _admit(place, account, home), tell=log
    )
    return await connect(config, given, outside)


@asynccontextmanager
async def venue_checks(loaded: Loaded, home: Path, clock: Clock) -> AsyncIterator[VenueChecks]:
    """Give what can be asked of the venue without a daemon."""
    match _named(loaded.settings):
        case HyperliquidVenueSettings() | HyperliquidFeedSettings():
            config = venue_config(loaded.settings, home, clock)
            async with checks(config, clock, shared_log, is_fresh=has_never_traded(home)) as found:
                yield found
        case _ as never:
            assert_never(never)


def feed_pace(settings: Settings) -> FeedPace:
    """Return how the live feed is to be. Raises ``InvariantError`` where there is none."""
    if not isinstance(settings.feed, LiveFeedSettings):
        raise InvariantError("a live feed is asked of another one")
    return FeedPace(settings.feed.stale_s, settings.feed.history_bars)


def venue_config(settings: Settings, home: Path, clock: Clock) -> VenueConfig:
    """Return what a connection is made of by ``settings``."""
    venue, feed = settings.venue, settings.feed
    account = None
    if isinstance(venue, HyperliquidVenueSettings):
        key_file = None if venue.key_secret is not None else key_path(venue, home)
        account = AccountConfig(
            network=venue.network,
            url=venue_url(venue),
            account=venue.account,
            key=key_source(key_file, venue.key_secret, settings.secrets.texts, home, clock),
            trading=TradingRules(leverage=venue.leverage, is_cross=venue.margin == "cross", slippage=venue.slippage),
            strategies=tuple(strategy.name for strategy in settings.strategy),
        )
    weight = feed.weight_per_minute if isinstance(feed, HyperliquidFeedSettings) else Policy().weight_per_minute
    return VenueConfig(
        market_url=feed_url(settings),
        symbols=settings.bot.symbols,
        weight_per_minute=weight,
        account=account,
    )


def _admit(place: str, account: str, home: Path) -> Callable[[], None]:
    lock = AccountLock("hyperliquid", place, account, home)
    lock.acquire()
    return lock.release


async def _tag(journal: SqliteJournal, home: Path, clock: Clock) -> bytes:
    """Return the tag of this state directory, given once."""
    known = await journal.meta(INSTANCE)
    if known is None:
        # No two directories of one account begin in one nanosecond of one process.
        name = f"{home} {os.getpid()} {clock.now()}"
        known = hashlib.blake2s(name.encode(), digest_size=_TAG_BYTES).hexdigest()
        await journal.set_meta(INSTANCE, known)
    return bytes.fromhex(known)
