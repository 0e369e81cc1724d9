"""Ticks that nobody configured: which were assumed, and finer than the ordinary one, for the prices of a market."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from tradebot.model.money import BOOKING_UNIT, Price, plain
from tradebot.report.shapes import Json
from tradebot.settings.build import build_instruments
from tradebot.settings.model import ReplayFeedSettings, Settings
from tradebot.store.candles import BarFile


@dataclass(frozen=True, slots=True)
class AssumedTick:
    """A symbol without a tick in the configuration, and the one that holds around ``price``."""

    symbol: str
    price: Price
    tick: Price

    @property
    def row(self) -> Mapping[str, Json]:
        """The object that tells of it."""
        return {"symbol": self.symbol, "price": plain(self.price), "tick": plain(self.tick)}

    def __str__(self) -> str:
        return (
            f"{self.symbol} has no tick in the configuration: at a price of {plain(self.price)} it is taken to be "
            f"{plain(self.tick)}; give it that of its exchange with [[instrument]]"
        )


def assumed_ticks(settings: Settings, prices: Mapping[str, Price]) -> tuple[AssumedTick, ...]:
    """Return the symbols of the bot of whose ``prices`` the ordinary tick of 1e-8 would leave too few digits."""
    found = []
    for symbol, instrument in sorted(build_instruments(settings).items()):
        price = prices.get(symbol)
        if instrument.tick is None and price is not None:
            tick = instrument.tick_at(price)
            if tick < BOOKING_UNIT:
                found.append(AssumedTick(symbol, price, Price(tick)))
    return tuple(found)


def first_prices(settings: Settings) -> Mapping[str, Price]:
    """Return where the market of each symbol begins, of those that come from files; elsewhere none is that small.

    Raises ``DataError`` for a file that cannot be read so far.
    """
    feed = settings.feed
    if not isinstance(feed, ReplayFeedSettings):
        return {}
    return {
        one.symbol: bar.open for one in feed.series for bar in islice(BarFile(one.path, one.symbol, one.timeframe), 1)
    }
