"""What a configuration needs before it may trade for real, and what one that does becomes on the simulated exchange."""

from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from tradebot.pipeline.risk.gates.sequence import LIMITS
from tradebot.settings.build import feed_network, feed_url, venue_url
from tradebot.settings.errors import Problem
from tradebot.settings.files import URLS
from tradebot.settings.layers import dotted
from tradebot.settings.load import Loaded
from tradebot.settings.model import (
    HyperliquidFeedSettings,
    HyperliquidVenueSettings,
    RealVenueSettings,
    Settings,
    SimulatedVenueSettings,
)

EXTRA_MEND = "install tradebot[hyperliquid]"
_EXTRA = ("coincurve", "Crypto", "msgpack")
_KEY_MEND = (
    "make an agent (API wallet) of the account, keep its key by `tradebot secrets set NAME --kind agent-key`, "
    "and name it in venue.key_secret; or name a file of mode 0600 that holds it"
)
_MONEY_LIMITS = tuple(gate.setting for gate in LIMITS if gate.is_needed_live)


def missing_packages(settings: Settings) -> list[str]:
    """Return the packages that a live market or a real venue needs and that are not installed."""
    if not isinstance(settings.feed, HyperliquidFeedSettings):
        return []
    return [name for name in _EXTRA if find_spec(name) is None]


def on_paper(settings: Settings) -> Settings:
    """Return the settings with a real venue replaced by a simulated one: its usual costs, no consent needed."""
    venue = settings.venue
    if not isinstance(venue, RealVenueSettings):
        return settings
    return settings.model_copy(
        update={
            "bot": settings.bot.model_copy(update={"mode": "paper"}),
            "venue": SimulatedVenueSettings(leverage=venue.leverage),
        }
    )


def live_problems(loaded: Loaded, *, is_live: bool) -> Iterator[Problem]:
    """Yield what stands between this configuration and a real venue; ``is_live`` is whether ``--live`` was said."""
    settings = loaded.settings
    is_live_mode = settings.bot.mode == "live"
    is_real = isinstance(settings.venue, RealVenueSettings)
    if is_live != is_live_mode:
        what = 'live trading needs both mode = "live" and --live; only one was given'
        yield _problem(loaded, ("bot", "mode"), what, "give both, or neither")
    if is_live_mode and not is_real:
        mend = 'set venue.kind = "hyperliquid", or mode = "paper"'
        yield _problem(loaded, ("venue", "kind"), 'mode = "live" needs a real venue', mend)
    if is_real and not is_live_mode:
        mend = 'set mode = "live" and start with --live; or venue.kind = "simulated" to trade on paper'
        yield _problem(loaded, ("venue", "kind"), 'a real venue needs mode = "live"', mend)
    yield from _network_problems(loaded)
    if isinstance(settings.venue, RealVenueSettings) and settings.feed.kind != settings.venue.kind:
        what = f'a real venue needs its own market, not feed.kind = "{settings.feed.kind}"'
        yield _problem(loaded, ("feed", "kind"), what, f'set feed.kind = "{settings.venue.kind}"')
    if isinstance(settings.venue, HyperliquidVenueSettings):
        yield from _feed_problems(loaded, settings.venue)
        has_key = settings.venue.key_file is not None or settings.venue.key_secret is not None
        if not has_key and settings.venue.network != "devnet":
            yield _problem(loaded, ("venue", "key_file"), "is missing", _KEY_MEND)
    if is_live_mode:
        yield from _risk_problems(loaded)


def _problem(loaded: Loaded, path: tuple[str | int, ...], what: str, mend: str) -> Problem:
    return Problem(dotted(path), what, loaded.where(*path), mend)


def _network_problems(loaded: Loaded) -> Iterator[Problem]:
    venue, feed = loaded.settings.venue, loaded.settings.feed
    if isinstance(venue, HyperliquidVenueSettings):
        yield from _url_problems(loaded, "venue", venue.network, venue_url(venue))
    if isinstance(feed, HyperliquidFeedSettings):
        yield from _url_problems(loaded, "feed", feed_network(loaded.settings), feed_url(loaded.settings))


def _url_problems(loaded: Loaded, section: str, network: str, url: str) -> Iterator[Problem]:
    path = (section, "url")
    if network == "mainnet":
        if url.rstrip("/") != URLS["mainnet"]:
            what = f"mainnet is at {URLS['mainnet']} and nowhere else"
            yield _problem(loaded, path, what, f'remove the url, or set {section}.network = "testnet" or "devnet"')
        return
    owners = {urlsplit(known).hostname: name for name, known in URLS.items() if name != "devnet"}
    owner = owners.get(urlsplit(url).hostname, network)
    if owner != network:
        yield _problem(loaded, path, f"that is {owner}, not {network}", f'set {section}.network = "{owner}"')


def _feed_problems(loaded: Loaded, venue: HyperliquidVenueSettings) -> Iterator[Problem]:
    settings = loaded.settings
    if not isinstance(settings.feed, HyperliquidFeedSettings):
        return
    if feed_network(settings) != venue.network:
        what = f"the feed is of {feed_network(settings)}, the venue of {venue.network}"
        yield _problem(loaded, ("feed", "network"), what, "leave feed.network out: the venue's is the default")
    elif feed_url(settings).rstrip("/") != venue_url(venue).rstrip("/"):
        what = "the feed is of another exchange than the venue"
        yield _problem(loaded, ("feed", "url"), what, "leave feed.url out: the venue's is the default")


def _risk_problems(loaded: Loaded) -> Iterator[Problem]:
    settings = loaded.settings
    for index, strategy in enumerate(settings.strategy):
        if strategy.stop is None:
            what = '"none" is for paper and backtest only'
            yield _problem(loaded, ("strategy", index, "stop"), what, "set a stop")
    for key in _MONEY_LIMITS:
        if getattr(settings.risk, key) is None:
            yield _problem(loaded, ("risk", key), "live trading needs it set", f"set risk.{key}")
