"""What holds of each symbol: as it was configured, until the venue says otherwise."""

from collections.abc import Iterator, Mapping

from tradebot.model.instrument import Instrument, InstrumentSeen, Listing


def untraded(seen: Mapping[str, InstrumentSeen]) -> dict[str, Listing]:
    """Return the symbols of ``seen`` that the venue does not trade, and why; in their order."""
    listings = {symbol: one.listing for symbol, one in sorted(seen.items())}
    return {symbol: listing for symbol, listing in listings.items() if listing is not Listing.TRADED}


class Instruments:
    """The rules and the listing of symbols. ``seen`` is what the venue said last, by symbol: a stage keeps it.

    A symbol that nothing is known of gets the defaults.
    """

    __slots__ = ("_configured", "seen")

    def __init__(self, configured: Mapping[str, Instrument]) -> None:
        self._configured = configured
        self.seen: dict[str, InstrumentSeen] = {}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._configured or symbol in self.seen

    def __iter__(self) -> Iterator[str]:
        return iter({**self._configured, **self.seen})

    def of(self, symbol: str) -> Instrument:
        """Return the rules of ``symbol``."""
        seen = self.seen.get(symbol)
        if seen is not None:
            return seen.instrument
        return self._configured.get(symbol) or Instrument(symbol=symbol)

    def listing(self, symbol: str) -> Listing:
        """Return whether ``symbol`` is traded."""
        seen = self.seen.get(symbol)
        return Listing.TRADED if seen is None else seen.listing

    def is_news(self, seen: InstrumentSeen) -> bool:
        """Return whether ``seen`` would change anything."""
        symbol = seen.symbol
        return seen.instrument != self.of(symbol) or seen.listing is not self.listing(symbol)

    def learn(self, seen: InstrumentSeen) -> None:
        """Let ``seen`` hold from here on."""
        self.seen[seen.symbol] = seen
