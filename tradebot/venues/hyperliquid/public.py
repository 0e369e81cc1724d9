"""The market of the exchange as a ``Market``: what it lists, its bars and its sockets, whoever trades there."""

from collections.abc import Mapping, Sequence

from tradebot.model.market import Bar
from tradebot.model.time import Nanos, Timeframe, timeframe_name
from tradebot.model.venue import (
    Down,
    Formed,
    Garbled,
    Heard,
    Listed,
    MarketContext,
    MarketEvent,
    OrderBook,
    Printed,
    Purpose,
    Quoted,
    Silent,
    Up,
)
from tradebot.venues.hyperliquid.bars import market_time, read_bars
from tradebot.venues.hyperliquid.gateway import VenueTime
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.market import assets
from tradebot.venues.hyperliquid.stream import Stream, Subscription
from tradebot.venues.hyperliquid.venue import CAPABILITIES, HyperliquidVenue
from tradebot.venues.hyperliquid.wire import Asset


def market_subscriptions(symbols: Mapping[str, Timeframe], *, has_quotes: bool = False) -> Sequence[Subscription]:
    """Return what the socket of a market subscribes to: bars and marks of each symbol, best prices of all or one.

    Those of one are for its stamps.
    """
    quoted = sorted(symbols) if has_quotes else sorted(symbols)[:1]
    wanted: list[Subscription] = [{"type": "bbo", "coin": symbol} for symbol in quoted]
    for symbol, timeframe in symbols.items():
        wanted.append({"type": "candle", "coin": symbol, "interval": timeframe_name(timeframe)})
        wanted.append({"type": "activeAssetCtx", "coin": symbol})
    return wanted


class MarketSocket:
    """The socket of a market; ``has_quotes``: with the best prices of all its symbols."""

    def __init__(self, stream: Stream, *, has_quotes: bool = False) -> None:
        self._stream, self._has_quotes = stream, has_quotes

    @property
    def is_up(self) -> bool:
        """Whether all subscriptions stand."""
        return self._stream.is_up

    async def next(self) -> MarketEvent:
        """Return what happens next; waits as long as it takes."""
        while True:
            match await self._stream.next():
                case (
                    Up()
                    | Down()
                    | Garbled()
                    | Silent()
                    | Heard()
                    | Formed()
                    | MarketContext()
                    | Quoted()
                    | OrderBook()
                    | Printed()
                ) as event:
                    return event
                case _:
                    pass

    async def want(self, symbols: Mapping[str, Timeframe]) -> None:
        """Be told of exactly ``symbols`` from here on, without a reconnect."""
        await self._stream.want(market_subscriptions(symbols, has_quotes=self._has_quotes))

    async def close(self) -> None:
        """Close the socket."""
        await self._stream.close()


class HyperliquidMarket:
    """The market over ``link``. With an account its listing, and its clock, are those of ``venue``."""

    capabilities = CAPABILITIES

    def __init__(self, link: Link, time: VenueTime, venue: HyperliquidVenue | None) -> None:
        self._link, self._time, self._venue = link, time, venue
        self._assets: Mapping[str, Asset] = {}

    @property
    def listed(self) -> Mapping[str, Listed]:
        """The perpetuals by symbol, as ``refresh`` last saw them."""
        known = self._assets if self._venue is None else self._venue.assets
        return {symbol: Listed(asset.instrument(), asset.is_delisted) for symbol, asset in known.items()}

    async def refresh(self) -> None:
        """Read anew what is listed. Raises ``VenueError``."""
        if self._venue is not None:
            await self._venue.refresh()
            return
        found = assets(await self._link.rest.info({"type": "meta"}, Purpose.PROTECT))
        self._assets = {asset.symbol: asset for asset in found}

    def now_ms(self) -> int:
        """Return venue time."""
        return self._time.ms()

    async def market_time(self, symbol: str, purpose: Purpose) -> Nanos:
        """Return when the book of ``symbol`` last changed."""
        return await market_time(self._link.rest, symbol, purpose)

    async def bars(
        self, symbol: str, timeframe: Timeframe, span: tuple[Nanos, Nanos], purpose: Purpose
    ) -> Sequence[Bar]:
        """Return the closed bars that open from ``span[0]`` on, up to market time ``span[1]``, oldest first."""
        return await read_bars(self._link.rest, symbol, timeframe, span, purpose)

    def stream(self, symbols: Mapping[str, Timeframe], *, has_quotes: bool = False) -> MarketSocket:
        """Return a socket with bars, marks and by ``has_quotes`` best prices of ``symbols``, not yet connected."""
        subscriptions = market_subscriptions(symbols, has_quotes=has_quotes)
        return MarketSocket(self._link.stream(subscriptions), has_quotes=has_quotes)

    def budget_left(self) -> int:
        """Return the weight of requests that may still be sent this minute."""
        resilience = self._link.resilience
        return resilience.requests.left(resilience.now())
