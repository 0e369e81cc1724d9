"""Preflight as doctor runs it, with a say in whether the home has traded."""

from collections.abc import Sequence
from pathlib import Path

from tradebot.live.preflight import TOTAL_S, has_never_traded, preflight
from tradebot.log import log
from tradebot.model.finding import Finding
from tradebot.ports import Clock
from tradebot.runtime.alone import shared_log
from tradebot.runtime.real_venue import venue_config
from tradebot.settings.load import Loaded
from tradebot.venues.hyperliquid.connect import HyperliquidConnection
from tradebot.venues.hyperliquid.doctor import checks
from tradebot.venues.hyperliquid.gateway import VenueTime
from tradebot.venues.hyperliquid.link import Links
from tradebot.venues.hyperliquid.public import HyperliquidMarket
from tradebot.venues.resilience import Policy


async def checked(
    loaded: Loaded, home: Path, clock: Clock, *, is_fresh: bool | None = None, total_s: float = TOTAL_S
) -> Sequence[Finding]:
    """Return the findings of every check."""
    config = venue_config(loaded.settings, home, clock)
    is_new = has_never_traded(home) if is_fresh is None else is_fresh
    async with checks(config, clock, shared_log, is_fresh=is_new) as found:
        return await preflight(found, loaded, total_s=total_s)


def bare_connection(loaded: Loaded, home: Path, clock: Clock) -> tuple[HyperliquidConnection, Links]:
    """Return a connection over which nothing was asked yet, and its links."""
    config = venue_config(loaded.settings, home, clock)
    links = Links(clock, Policy(), shared_log, log)
    market = HyperliquidMarket(links.to(config.url), VenueTime(clock), None)
    return HyperliquidConnection(config, links, market, None, clock, lambda: None), links
