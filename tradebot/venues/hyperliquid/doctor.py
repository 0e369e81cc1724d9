"""The checks of the exchange for one who has no connection yet: quick, and with the lowest priority."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from tradebot.model.venue import Purpose
from tradebot.ports import Clock
from tradebot.venues.hyperliquid.checks import HyperliquidChecks
from tradebot.venues.hyperliquid.config import VenueConfig
from tradebot.venues.hyperliquid.inquiry import Inquiry
from tradebot.venues.hyperliquid.link import Share
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Policy, Resilience

_TIMEOUT_S = 3.0
_PATIENCE_S = 10.0


@asynccontextmanager
async def checks(
    config: VenueConfig, clock: Clock, share: Share, *, is_fresh: bool
) -> AsyncIterator[HyperliquidChecks]:
    """Give the checks of ``config``. ``is_fresh``: the home never traded."""
    async with inquiry(config, clock, share) as asked:
        yield HyperliquidChecks(asked, config, is_fresh=is_fresh)


@asynccontextmanager
async def inquiry(config: VenueConfig, clock: Clock, share: Share) -> AsyncIterator[Inquiry]:
    """Give who asks the venue of ``config``."""
    policy = Policy(
        weight_per_minute=config.weight_per_minute, attempts=2, deadline_s=_TIMEOUT_S, patience_s=_PATIENCE_S
    )
    with closing(share(config.url, policy.span_s)) as sent:
        resilience = Resilience(policy, clock, asyncio.sleep, seed=1, log=sent)
        async with RestClient(config.url, resilience, timeout_s=_TIMEOUT_S) as rest:
            # A daemon beside it trades with the same requests of a minute.
            yield Inquiry(rest, config.url, clock, Purpose.HISTORY)
