"""Where the market comes from: the sections `[feed]`."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from tradebot.model.time import NANOS_PER_MS, Nanos
from tradebot.settings.dataspec import Series, SymbolFile, parse_series, parse_symbol_file
from tradebot.settings.model.fields import (
    Int,
    Section,
    SeriesText,
    Speed,
    Start,
    StoredText,
    SymbolFileText,
    TimeframeText,
)


class FeedSettings(Section):
    """What every feed has."""

    speed: Speed = Field(default="max", description='"max", or market seconds per real second (0 < speed <= 1e9).')
    at_end: Literal["stay", "stop"] = Field(
        default="stay", description="At the end of the data: stay up, or end with exit 0."
    )

    @property
    def speed_factor(self) -> float | None:
        """Market seconds per real second; ``None`` as fast as possible."""
        return None if self.speed == "max" else float(self.speed)


class GeneratedFeedSettings(FeedSettings):
    """A seeded market that needs no data and no network."""

    kind: Literal["generated"] = Field(description="Names this feed.")
    seed: Int = Field(default=1, ge=0, lt=2**63, description="The same seed gives the same market.")
    timeframe: TimeframeText = Field(default="1m", description="The length of its bars.")
    start: Start = Field(default="2025-01-01T00:00:00Z", description="The opening time of the first bar, UTC.")
    bars: Int | None = Field(
        default=None, ge=1, le=10**9, description="Bars for each symbol; without it the market never ends."
    )

    @property
    def start_ts(self) -> Nanos:
        """The opening time of the first bar."""
        return Nanos(int(datetime.fromisoformat(self.start).timestamp()) * 1000 * NANOS_PER_MS)


class ReplayFeedSettings(FeedSettings):
    """Bars from files, interleaved by time."""

    kind: Literal["replay"] = Field(description="Names this feed.")
    data: tuple[SeriesText, ...] = Field(default=(), description='Bar files, each "SYMBOL:TIMEFRAME=FILE".')
    store: tuple[StoredText, ...] = Field(
        default=(), description='Series of the store of bars, each "VENUE:SYMBOL:TIMEFRAME"; see `tradebot data list`.'
    )
    trades: tuple[SymbolFileText, ...] = Field(
        default=(), description='Trades that orders meet instead of bars, each "SYMBOL=FILE" (ts_ms,price,size).'
    )
    quotes: tuple[SymbolFileText, ...] = Field(
        default=(), description='Quotes that orders meet instead of bars, each "SYMBOL=FILE" (ts_ms,bid,ask).'
    )
    books: tuple[SymbolFileText, ...] = Field(
        default=(), description='Order books that orders meet instead of bars, each "SYMBOL=FILE" (ts_ms,bp1,bs1,...).'
    )

    @property
    def ticks(self) -> tuple[str, tuple[SymbolFile, ...]]:
        """What orders meet, ``trades``, ``quotes`` or ``books``, with its files; ``bars`` with none."""
        given = {"trades": self.trades, "quotes": self.quotes, "books": self.books}
        return next(
            ((kind, tuple(map(parse_symbol_file, texts))) for kind, texts in given.items() if texts), ("bars", ())
        )

    @property
    def series(self) -> tuple[Series, ...]:
        """The files, in the order of the configuration: those that it names, then those of the store."""
        # Of VENUE:SYMBOL:TIMEFRAME=FILE the venue says only where it is kept.
        return tuple(parse_series(text) for text in (*self.data, *(text.partition(":")[2] for text in self.store)))

    @model_validator(mode="after")
    def _has_series(self) -> Self:
        if not self.data and not self.store:
            raise ValueError('a replay needs bars: list files in data = ["BTC:5m=btc.csv.gz"], or series in store')
        if sum(map(bool, (self.trades, self.quotes, self.books))) > 1:
            raise ValueError("orders meet trades, quotes or books: give files of one kind")
        return self


Network = Literal["mainnet", "testnet", "devnet"]
URL_PATTERN = r"^https?://[^\s/?#@]+(/[^\s?#]*)?$"
ADDRESS_PATTERN = r"^0x[0-9a-fA-F]{40}$"
Url = Annotated[str, Field(pattern=URL_PATTERN, max_length=200)]


class HyperliquidFeedSettings(Section):
    """The live market of Hyperliquid, or of a devnet."""

    kind: Literal["hyperliquid"] = Field(description="Names this feed.")
    network: Network | None = Field(
        default=None, description="Which market; default: the venue's, and mainnet for paper trading."
    )
    url: Url | None = Field(default=None, description="Where it answers; default: that of the network.")
    history_bars: Int = Field(
        default=500, ge=0, le=5000, description="Past bars of each symbol that a first start lets the strategies see."
    )
    stale_s: Int = Field(
        default=30, ge=5, le=3600, description="A symbol silent for longer gets no entries until it speaks, seconds."
    )
    weight_per_minute: Int = Field(
        default=1200,
        ge=300,
        le=1_000_000,
        description="The weight of requests that all bots of this machine may send in any 60 s, to market and account; "
        "less where other programs or machines share the address.",
    )

    @property
    def speed_factor(self) -> float | None:
        """A live market goes at its own pace."""
        return None

    @property
    def at_end(self) -> str:
        """It has no end."""
        return "stay"


LiveFeedSettings = HyperliquidFeedSettings
"""The feeds of a live market: a further one joins by ``|``, and mypy names what it lacks."""
