"""From configuration and key to the ways to the exchange: requests, sockets, signer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tradebot.model.errors import NotPermitted
from tradebot.model.time import to_ms
from tradebot.model.venue import Purpose
from tradebot.ports import Clock, Notes
from tradebot.venues.hyperliquid.access import master_of
from tradebot.venues.hyperliquid.checks import HyperliquidChecks
from tradebot.venues.hyperliquid.cloid import account_cloids
from tradebot.venues.hyperliquid.config import AccountConfig, VenueConfig
from tradebot.venues.hyperliquid.gateway import Gateway, Recorder, VenueTime
from tradebot.venues.hyperliquid.inquiry import Inquiry
from tradebot.venues.hyperliquid.link import Link, Links, Share
from tradebot.venues.hyperliquid.market import venue_time
from tradebot.venues.hyperliquid.memory import Memory
from tradebot.venues.hyperliquid.public import HyperliquidMarket
from tradebot.venues.hyperliquid.rest import RECENT_S
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.venue import CAPABILITIES, HyperliquidVenue, check_traded
from tradebot.venues.resilience import Policy, Tell
from tradebot.venues.submit import Rules, Submitter

Admit = Callable[[str, str], Callable[[], None]]
"""Hears place and account before anything is traded there, and may raise; returns what lets others have it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a state directory gives to a connection.

    ``tag`` is its own, given once; ``recorder`` makes durable what is about to be sent. ``is_new``: it was never up.
    """

    tag: bytes
    notes: Notes
    recorder: Recorder
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The machine around a connection. ``share`` is what it sent to a place, ``tell`` logs."""

    clock: Clock
    share: Share
    admit: Admit
    tell: Tell


class HyperliquidConnection:
    """The ways of one daemon to the exchange."""

    def __init__(
        self,
        config: VenueConfig,
        links: Links,
        market: HyperliquidMarket,
        execution: HyperliquidVenue | None,
        clock: Clock,
        let_go: Callable[[], None],
    ) -> None:
        self.market, self.execution = market, execution
        self._config, self._links, self._clock, self._let_go = config, links, clock, let_go

    def checks(self, *, is_fresh: bool, may_be_recent: bool) -> HyperliquidChecks:
        """Return what is looked at before arming, paid from the budget of this connection."""
        link = self._links.to(self._config.url)
        # A home that traded may have something to protect, which waits for this.
        purpose = Purpose.TRADE if is_fresh else Purpose.PROTECT
        inquiry = Inquiry(link.rest, link.url, self._clock, purpose, RECENT_S if may_be_recent else 0.0)
        return HyperliquidChecks(inquiry, self._config, is_fresh=is_fresh, is_arming=True)

    async def close(self) -> None:
        """Close all connections, and let others have the account."""
        await self._links.close()
        self._let_go()


async def connect(config: VenueConfig, home: Home, outside: Outside) -> HyperliquidConnection:
    """Ask the exchange what it has and whether we may trade there, and have the account for ourselves.

    Raises ``NotPermitted`` for a key that may not trade for the account, ``ConfigError`` for a symbol that the exchange
    does not trade where nothing has to be looked after, ``LockHeld``, and ``VenueError`` while it cannot be asked.
    """
    clock = outside.clock
    links = Links(clock, Policy(weight_per_minute=config.weight_per_minute), outside.share, outside.tell)
    try:
        link, venue, let_go = links.to(config.market_url), None, _nothing
        if config.account is not None:
            venue = await open_account(config.account, links.to(config.account.url), home, clock)
        time = VenueTime(clock) if venue is None else venue.time
        market = HyperliquidMarket(link, time, venue)
        if venue is None:
            await market.refresh()
        if home.is_new and (venue is None or not (await venue.survey.account(Purpose.PROTECT)).positions):
            check_traded(market.listed, config.symbols)
        if venue is None or config.account is None:
            await _start(time, link)
        else:
            let_go = outside.admit(config.account.place, venue.account)
    except BaseException:
        await links.close()
        raise
    return HyperliquidConnection(config, links, market, venue, clock, let_go)


async def _start(time: VenueTime, link: Link) -> None:
    """Learn the clock of the venue. Raises ``ConfigError`` when this machine is hours off."""
    status = await link.rest.info({"type": "exchangeStatus"}, Purpose.PROTECT)
    time.start(to_ms(venue_time(status)))


async def open_account(config: AccountConfig, link: Link, home: Home, clock: Clock) -> HyperliquidVenue:
    """Return the account, ready to trade. Raises ``NotPermitted``, ``ConfigError`` and ``VenueError``."""
    # A keystore takes a while to open.
    key = await asyncio.to_thread(config.key.read)
    memory = Memory(home.notes, clock, link.rest, link.url, key.address)
    await memory.recall()
    address = config.account.lower() if config.account else await master_of(link.rest, key.address)
    rules = Rules.of(CAPABILITIES)
    signer = ActionSigner(key, is_mainnet=config.network == "mainnet")
    gateway = Gateway(link.rest, signer, address, clock, home.recorder, rules)
    cloids = account_cloids(home.tag, address, config.strategies)
    venue = HyperliquidVenue(link, gateway, Submitter(gateway, rules), cloids, config.trading)
    try:
        await venue.open()
    except NotPermitted:
        if not memory.doubt():
            raise
        await venue.open()
    await memory.keep()
    return venue


def _nothing() -> None:
    pass
