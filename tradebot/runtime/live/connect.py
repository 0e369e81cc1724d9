"""From settings and key to the ways to a venue: requests, socket, signer. Imported only where something is live."""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tradebot.model.errors import NotPermitted
from tradebot.model.logevent import LogEvent
from tradebot.model.time import to_ms
from tradebot.ports import Clock
from tradebot.runtime.boot import CONFIG
from tradebot.runtime.live.intents import IntentLog
from tradebot.runtime.live.memory import Memory
from tradebot.runtime.logs import log
from tradebot.settings.build import feed_url, key_path, socket_url, venue_url
from tradebot.settings.load import Loaded
from tradebot.settings.model import HyperliquidFeedSettings, HyperliquidVenueSettings, Settings
from tradebot.store.account_lock import AccountLock
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import Query
from tradebot.store.schema import INSTANCE
from tradebot.store.sent_log import SharedLog
from tradebot.venues.hyperliquid.access import RoleKind, role
from tradebot.venues.hyperliquid.cloid import TAG_BYTES, Cloids
from tradebot.venues.hyperliquid.gateway import Gateway, VenueTime
from tradebot.venues.hyperliquid.keys import SigningKey, read_key
from tradebot.venues.hyperliquid.market import assets, venue_time
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.stream import Stream, Subscription
from tradebot.venues.hyperliquid.submit import Rules, Submitter
from tradebot.venues.hyperliquid.venue import HyperliquidVenue, TradingRules, check_traded
from tradebot.venues.hyperliquid.wire import Asset
from tradebot.venues.resilience import Policy, Purpose, Resilience

_KIND = "hyperliquid"
_ACCOUNT_CHANNELS = ("orderUpdates", "userFills", "userFundings")


@dataclass(frozen=True, slots=True)
class Link:
    """Requests to one address of a venue, with the budget that all who ask it share."""

    url: str
    rest: RestClient
    resilience: Resilience
    shared: tuple[SharedLog, ...]

    def stream(self, subscriptions: Sequence[Subscription]) -> Stream:
        """Return a socket with ``subscriptions``, not yet connected."""
        return Stream(lambda: self.rest.session, socket_url(self.url), subscriptions, self.resilience)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the venue, and who signs for it."""

    link: Link
    address: str
    signer: str
    gateway: Gateway
    submitter: Submitter
    cloids: Cloids
    venue: HyperliquidVenue
    slippage: Decimal

    def stream(self) -> Stream:
        """Return the socket that tells of the account."""
        return self.link.stream([{"type": kind, "user": self.address} for kind in _ACCOUNT_CHANNELS])


def shared_log(place: str, policy: Policy) -> SharedLog:
    """Return what this machine sent to ``place``, by whatever daemon or command."""
    return SharedLog(place, policy.span_s, lambda why: log(LogEvent.BUDGET_UNSHARED, level="warning", reason=why))


def weight_per_minute(settings: Settings) -> int:
    """Return the weight that this machine may send to one address of a venue in any 60 seconds."""
    feed = settings.feed
    return feed.weight_per_minute if isinstance(feed, HyperliquidFeedSettings) else Policy().weight_per_minute


class Links:
    """The links of one daemon: one for each address, for the venue counts what comes from one machine."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock, self._policy = clock, policy
        self._links: dict[str, Link] = {}

    def to(self, url: str) -> Link:
        """Return the link to ``url``."""
        url = url.rstrip("/")
        if url not in self._links:
            sent, sockets = shared_log(url, self._policy), shared_log(f"{url} sockets", self._policy)
            resilience = Resilience(
                self._policy, self._clock, asyncio.sleep, os.getpid(), log=sent, sockets=sockets, tell=log
            )
            self._links[url] = Link(url, RestClient(url, resilience), resilience, (sent, sockets))
        return self._links[url]

    async def close(self) -> None:
        """Close all connections."""
        for link in self._links.values():
            await link.rest.close()
            for shared in link.shared:
                shared.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The ways of one daemon to a live market and, unless the venue is simulated, to an account.

    ``assets`` is what the venue lists, by symbol; not all of it is traded.
    """

    links: Links
    market: Link
    time: VenueTime
    assets: Mapping[str, Asset]
    account: Account | None
    lock: AccountLock | None

    async def close(self) -> None:
        """Close all connections, and let others have the account."""
        await self.links.close()
        if self.lock is not None:
            self.lock.release()


async def connect(loaded: Loaded, home: Path, journal: SqliteJournal, clock: Clock) -> Connection:
    """Ask the venue what it has and whether we may trade there, and lock the account on this machine.

    Raises ``NotPermitted`` for a key that may not trade for the account, ``ConfigError`` for a symbol that the venue
    does not trade where nothing has to be looked after, ``LockHeld``, and ``VenueError`` while it cannot be asked.
    """
    links = Links(clock, Policy(weight_per_minute=weight_per_minute(loaded.settings)))
    try:
        market = links.to(feed_url(loaded.settings))
        tag = await _tag(journal, home, clock)
        account = await _open_account(loaded, home, links, tag, journal, clock)
        listed = await read_assets(market) if account is None else account.venue.assets
        if await _may_refuse(journal, account):
            check_traded(listed.values(), loaded.settings.bot.symbols)
        if account is None:
            time, lock = await _read_time(market, clock), None
        else:
            place = _place(loaded.settings, account.link)
            time, lock = account.gateway.time, AccountLock(_KIND, place, account.address, home)
            lock.acquire()
    except BaseException:
        await links.close()
        raise
    return Connection(links=links, market=market, time=time, assets=listed, account=account, lock=lock)


def _place(settings: Settings, link: Link) -> str:
    """Return where an account is, however its address is spelt: there is one of each network, but many devnets."""
    venue = settings.venue
    if isinstance(venue, HyperliquidVenueSettings) and venue.network != "devnet":
        return venue.network
    return link.url


async def _may_refuse(journal: SqliteJournal, account: Account | None) -> bool:
    """Return whether nobody has to be looked after: this home was never up, and the account holds nothing."""
    if await journal.rows(Query(kinds=[CONFIG], limit=1)):
        return False
    return account is None or not (await account.venue.survey.account(Purpose.PROTECT)).positions


async def read_assets(link: Link) -> Mapping[str, Asset]:
    """Return what the venue lists, by symbol."""
    listed = assets(await link.rest.info({"type": "meta"}, Purpose.PROTECT))
    return {asset.symbol: asset for asset in listed}


async def _read_time(link: Link, clock: Clock) -> VenueTime:
    """Return the clock of the venue. Raises ``ConfigError`` when this machine is hours off."""
    time = VenueTime(clock)
    status = await link.rest.info({"type": "exchangeStatus"}, Purpose.PROTECT)
    time.start(to_ms(venue_time(status)))
    return time


async def _open_account(
    loaded: Loaded,
    home: Path,
    links: Links,
    tag: bytes,
    journal: SqliteJournal,
    clock: Clock,
) -> Account | None:
    """Return the account of the configuration, ready to trade; ``None`` when the venue is simulated."""
    settings = loaded.settings
    venue = settings.venue
    if not isinstance(venue, HyperliquidVenueSettings):
        return None
    key = read_key(key_path(venue, home))
    link = links.to(venue_url(venue))
    memory = Memory(journal, clock, link.rest, link.url, key.address)
    await memory.recall()
    address = venue.account.lower() if venue.account else await master_of(link, key)
    rules = Rules()
    signer = ActionSigner(key, is_mainnet=venue.network == "mainnet")
    gateway = Gateway(link.rest, signer, address, clock, IntentLog(journal).record, rules)
    submitter = Submitter(gateway, rules)
    cloids = account_cloids(tag, address, settings)
    trading = TradingRules(leverage=venue.leverage, is_cross=venue.margin == "cross", slippage=venue.slippage)
    made = HyperliquidVenue(link.rest, gateway, submitter, cloids, trading)
    try:
        await made.open(address, key.address)
    except NotPermitted:
        if not memory.doubt():
            raise
        await made.open(address, key.address)
    await memory.keep()
    return Account(link, address, key.address, gateway, submitter, cloids, made, venue.slippage)


async def master_of(link: Link, key: SigningKey) -> str:
    """Return the account that the key signs for: its master's where it is an agent, else its own."""
    found = role(await link.rest.info({"type": "userRole", "user": key.address}, Purpose.PROTECT))
    if found.kind is RoleKind.MISSING:
        raise NotPermitted(
            f"the venue does not know {key.address}, the address of the key",
            where="venue.key_file",
            mend="approve it as an API wallet of your account, or deposit first; check the network",
        )
    return found.master if found.kind is RoleKind.AGENT and found.master is not None else key.address


def account_cloids(tag: bytes, address: str, settings: Settings) -> Cloids:
    """Return the ids of orders of a state directory with ``tag`` on the account ``address``."""
    # The key is of the account, not of the signer: a new agent must still know the orders of the last one.
    key = hashlib.blake2s(f"tradebot {address}".encode()).digest()
    return Cloids(tag, key, (strategy.name for strategy in settings.strategy))


async def _tag(journal: SqliteJournal, home: Path, clock: Clock) -> bytes:
    """Return the tag of this state directory, given once."""
    known = await journal.meta(INSTANCE)
    if known is None:
        # No two directories of one account begin in one nanosecond of one process.
        name = f"{home} {os.getpid()} {clock.now()}"
        known = hashlib.blake2s(name.encode(), digest_size=TAG_BYTES).hexdigest()
        await journal.set_meta(INSTANCE, known)
    return bytes.fromhex(known)
