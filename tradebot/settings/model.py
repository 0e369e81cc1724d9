"""The configuration as pydantic models: each key with its type, range, unit and default.

Numbers that become money are ``Decimal``, read from their text. The models know one key at a time; what
must fit together is checked in ``check``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from tradebot.model.money import plain
from tradebot.model.time import NANOS_PER_MS, Nanos, parse_timeframe, timeframe_name
from tradebot.settings.dataspec import Series, SymbolFile, parse_series, parse_stored, parse_symbol_file
from tradebot.settings.layers import Layer
from tradebot.settings.source import LayerSource
from tradebot.settings.tiers import check_tiers, read_tiers, whole_tiers, written

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$"
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,31}$"


def _timeframe(text: str) -> str:
    return timeframe_name(parse_timeframe(text))


def _series(text: str) -> str:
    parse_series(text)
    return text


def _stored(text: str) -> str:
    parse_stored(text.partition("=")[0])
    return text


def _symbol_file(text: str) -> str:
    parse_symbol_file(text)
    return text


def _speed(value: object) -> object:
    if value == "max":
        return value
    try:
        factor = float(str(value))
    except ValueError:
        factor = 0.0
    if isinstance(value, bool) or not 0 < factor <= 1e9:
        raise ValueError('must be "max" or market seconds per real second, above 0 and up to 1e9')
    return factor


def _start(value: object) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("must be a time such as 2025-01-01T00:00:00Z") from error
    if not isinstance(value, datetime):
        raise ValueError("must be a time such as 2025-01-01T00:00:00Z")
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if not datetime(1980, 1, 1, tzinfo=UTC) <= value < datetime(2200, 1, 1, tzinfo=UTC):
        raise ValueError("must be between 1980 and 2200")
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _none_or_table(value: object) -> object:
    if value is None or value == "none":
        return None
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError('must be "none" or a table with its kind')
    return value


def _true_or_table(value: object) -> object:
    # pydantic gives the environment's words as text.
    if value is None or value is False or value == "false":
        return None
    if value is True or value == "true":
        return {"kind": "distance"}
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError("must be true, false or a table with its kind")
    return value


def _no_truth(value: object) -> object:
    # pydantic would read true as 1.
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _one_form(number: Decimal) -> Decimal:
    # 1.0 and 1 are one setting, and must make prices with the same digits.
    return Decimal(plain(number))


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands there twice")
    return values


def _as_number(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _as_number(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_number(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _webhook(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if len(text) > 1000 or not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s#]*)?", text):
        raise ValueError("is not a URL such as https://example.org/path")
    return url


def place_of(url: SecretStr) -> str:
    """Return what of a secret URL may be shown: its host, since the path is as good as a password."""
    place = urlsplit(url.get_secret_value())
    return f"{place.scheme}://{place.hostname}" + (f":{place.port}" if place.port else "") + "/..."


Int = Annotated[int, BeforeValidator(_no_truth)]
Number = Annotated[float, BeforeValidator(_no_truth)]
Exact = Annotated[Decimal, BeforeValidator(_no_truth), AfterValidator(_one_form)]
TimeframeText = Annotated[str, AfterValidator(_timeframe)]
SeriesText = Annotated[str, AfterValidator(_series)]
StoredText = Annotated[str, AfterValidator(_stored)]
SymbolFileText = Annotated[str, AfterValidator(_symbol_file)]
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN)]
Symbols = Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=500), AfterValidator(_unique)]
Regime = Literal["trend_up", "trend_down", "range", "quiet", "usual", "wild"]
Speed = Annotated[Any, BeforeValidator(_speed)]
Start = Annotated[str, BeforeValidator(_start)]
Parameter = Annotated[Any, PlainSerializer(_as_number, when_used="json")]
SecretUrl = Annotated[SecretStr, AfterValidator(_webhook), PlainSerializer(place_of, when_used="json")]


class Section(BaseModel):
    """A table of the configuration: frozen, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BotSettings(Section):
    """Who trades what."""

    name: str = Field(
        default="tradebot", pattern=NAME_PATTERN, description="The bot's name in status, reports and logs."
    )
    mode: Literal["paper", "live"] = Field(
        default="paper", description="Simulated money, or the account of a real venue."
    )
    symbols: Symbols = Field(
        description="The symbols that are traded: letters, digits and -_./, as the market spells them."
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


class HyperliquidVenueSettings(Section):
    """An account at Hyperliquid, or at a devnet."""

    kind: Literal["hyperliquid"] = Field(description="Names this venue.")
    network: Network = Field(default="mainnet", description="Real money, play money, or a local exchange.")
    url: Url | None = Field(
        default=None, description="Where it answers; default: that of the network. mainnet takes no other."
    )
    account: str | None = Field(
        default=None, pattern=ADDRESS_PATTERN, description="The master's address; default: that of the key."
    )
    key_file: Path | None = Field(
        default=None,
        description="The agent's key: 64 hex digits or a keystore, mode 0600. On a devnet: devnet.key of the home.",
    )
    leverage: Int = Field(default=5, ge=1, le=100, description="Leverage of each symbol, set once.")
    margin: Literal["cross", "isolated"] = Field(default="cross", description="Margin mode of each symbol, set once.")
    slippage: Exact = Field(
        default=Decimal("0.05"), gt=0, le=Decimal("0.1"), description="How far a market order may slip, as a fraction."
    )

    @property
    def identity(self) -> str:
        """Whose orders and money a journal tells of: it never changes for one home."""
        return f"{self.kind} {self.network} {(self.account or '').lower()}"

    @property
    def label(self) -> str:
        """How a human is told of it."""
        return f"{self.kind} {self.network}"


RealVenueSettings = HyperliquidVenueSettings
"""The venues of real money: a further one joins by ``|``, and mypy names what it lacks."""


class SimulatedVenueSettings(Section):
    """The simulated exchange and its costs."""

    kind: Literal["simulated"] = Field(default="simulated", description="Names this venue.")
    starting_cash: Exact = Field(
        default=Decimal(10000), gt=0, le=Decimal("1e12"), description="Cash of a fresh account."
    )
    taker_bps: Exact = Field(
        default=Decimal("4.5"), ge=-10, le=1000, description="Taker fee, basis points of notional."
    )
    maker_bps: Exact = Field(
        default=Decimal("1.5"), ge=-10, le=1000, description="Maker fee, basis points of notional."
    )
    slippage_bps: Exact = Field(
        default=Decimal("1.0"), ge=0, le=1000, description="Taker fills worsen by it, basis points."
    )
    latency_ms: Int = Field(default=0, ge=0, le=3_600_000, description="From decision to exchange, milliseconds.")
    volume_share: Exact | None = Field(
        default=None, gt=0, le=1, description="The part of a bar's volume that our orders may take; none: any quantity."
    )
    leverage: Int = Field(default=5, ge=1, le=1000, description="The highest leverage the account uses.")
    maintenance: Exact = Field(
        default=Decimal("0.5"),
        gt=0,
        le=1,
        description="Maintenance margin, as a fraction of the initial one at max leverage.",
    )
    funding: tuple[SymbolFileText, ...] = Field(
        default=(), description='Funding files, each "SYMBOL=FILE" (ts_ms,rate).'
    )
    funding_rate: Exact = Field(
        default=Decimal("0.0000125"),
        ge=Decimal("-0.1"),
        le=Decimal("0.1"),
        description="Rate of an hour no file knows.",
    )

    @property
    def identity(self) -> str:
        """Whose orders and money a journal tells of."""
        return self.kind

    @property
    def label(self) -> str:
        """How a human is told of it."""
        return self.kind

    @property
    def funding_files(self) -> tuple[SymbolFile, ...]:
        """The funding files, in the order of the configuration."""
        return tuple(parse_symbol_file(text) for text in self.funding)


class DistanceTrailSettings(Section):
    """The stop follows the best price at the distance that it began with."""

    kind: Literal["distance"] = Field(description="Names this way to trail; true is short for it.")


class StructureTrailSettings(Section):
    """The stop goes behind each swing that is confirmed after the entry, on the strategy's bars."""

    kind: Literal["structure"] = Field(description="Names this way to trail.")
    swing: Int = Field(default=5, ge=1, le=500, description="Bars on each side that make a swing.")
    buffer_atr: Exact | None = Field(
        default=None, ge=0, le=100, description="Room behind the swing, in average true ranges; default: 0.5."
    )
    buffer_ticks: Int | None = Field(
        default=None, ge=0, le=1_000_000, description="That room in ticks, in place of buffer_atr."
    )
    n: Int = Field(default=14, ge=1, le=10_000, description="Bars of the average true range.")

    @model_validator(mode="after")
    def _has_one_buffer(self) -> Self:
        if self.buffer_ticks is not None and self.buffer_atr is not None:
            raise ValueError("has both buffer_atr and buffer_ticks; give one of them")
        return self


class AtrTrailSettings(Section):
    """The stop goes some average true ranges, as they are now, behind the best price, on the strategy's bars."""

    kind: Literal["atr"] = Field(description="Names this way to trail.")
    n: Int = Field(default=14, ge=1, le=10_000, description="Bars of the average true range.")
    mult: Exact = Field(default=Decimal("3.0"), gt=0, le=1000, description="Distance, in average true ranges.")


class BreakEvenSettings(Section):
    """The stop goes to where the trade costs nothing, once it has been so far in profit."""

    at_r: Exact | None = Field(
        default=None, gt=0, le=1000, description="How far, in distances of the first stop; default: 1."
    )
    at_atr: Exact | None = Field(
        default=None, gt=0, le=1000, description="How far in average true ranges, in place of at_r."
    )
    n: Int = Field(default=14, ge=1, le=10_000, description="Bars of the average true range of at_atr.")
    fee_bps: Exact | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="Fee of one way, basis points; default: taker_bps of the simulated venue, of a real one 4.5.",
    )
    offset_bps: Exact = Field(
        default=Decimal(0), ge=0, le=5000, description="What is kept beyond the fees, basis points of the mean entry."
    )

    @model_validator(mode="after")
    def _has_one_measure(self) -> Self:
        if self.at_atr is not None and self.at_r is not None:
            raise ValueError("has both at_r and at_atr; give one of them")
        return self


Trail = Annotated[DistanceTrailSettings | StructureTrailSettings | AtrTrailSettings, Field(discriminator="kind")]


class StopSettings(Section):
    """What stops of every kind have."""

    kind: str = Field(description="Names this stop.")
    trail: Annotated[Trail | None, BeforeValidator(_true_or_table)] = Field(
        default=None, description="How it follows the price; true: at its distance. Without it, it stays."
    )
    break_even: BreakEvenSettings | None = Field(
        default=None, description="When it goes to where the trade costs nothing; without it, never."
    )


class AtrStopSettings(StopSettings):
    """A stop some average true ranges away."""

    kind: Literal["atr"] = Field(description="Names this stop.")
    n: Int = Field(default=14, ge=1, le=10_000, description="Bars of the average true range.")
    mult: Exact = Field(default=Decimal("2.0"), gt=0, le=1000, description="Distance, in average true ranges.")


class PercentStopSettings(StopSettings):
    """A stop some percent of the price away."""

    kind: Literal["percent"] = Field(description="Names this stop.")
    percent: Exact = Field(gt=0, lt=100, description="Distance, in percent of the entry's price.")


class DistanceStopSettings(StopSettings):
    """A stop some money of the price away."""

    kind: Literal["distance"] = Field(description="Names this stop.")
    distance: Exact = Field(gt=0, description="Distance, in units of the price.")


Stop = Annotated[AtrStopSettings | PercentStopSettings | DistanceStopSettings, Field(discriminator="kind")]


class RTargetSettings(Section):
    """A target some multiples of the stop's distance away."""

    kind: Literal["r"] = Field(description="Names this target.")
    r: Exact = Field(default=Decimal("2.0"), gt=0, le=1000, description="Distance, in distances of the stop.")


class MaxHoldSettings(Section):
    """A position ends by time, with the reason `time`: give `bars` or `time`."""

    bars: Int | None = Field(default=None, ge=1, le=1_000_000, description="How long, in bars of the strategy.")
    time: TimeframeText | None = Field(default=None, description='How long, such as "36h"; at least one bar.')
    unless_r: Exact | None = Field(
        default=None,
        ge=-1000,
        le=1000,
        description="Not while it is at least so far in profit, in distances of the first stop.",
    )

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        if (self.bars is None) is (self.time is None):
            said = "has neither bars nor time" if self.bars is None else "has both bars and time"
            raise ValueError(f"{said}; give one of them")
        return self


class StrategySettings(Section):
    """One strategy; keys that are not listed here are its own parameters."""

    model_config = ConfigDict(extra="allow", frozen=True, validate_default=True)
    __pydantic_extra__: dict[str, Parameter] = Field(init=False)

    kind: str = Field(min_length=1, max_length=4096, description='A built-in name, or "path/to/file.py:Class".')
    name: str = Field(pattern=NAME_PATTERN, description="Unique; default: the kind, or the class of a file.")
    symbols: Symbols = Field(description="What it trades; default: bot.symbols.")
    timeframe: TimeframeText | None = Field(default=None, description="Bars it sees; default: the feed's finest.")
    direction: Literal["long", "short", "both"] = Field(default="both", description="The sides it may enter.")
    stop: Annotated[Stop | None, BeforeValidator(_none_or_table)] = Field(
        default=AtrStopSettings(kind="atr"), description='Protective stop, or "none" (paper only).'
    )
    target: Annotated[RTargetSettings | None, BeforeValidator(_none_or_table)] = Field(
        default=None, description='Profit target, or "none".'
    )
    max_hold: MaxHoldSettings | None = Field(
        default=None, description="How long a position is held at most; without it, as long as its strategy says."
    )

    share: Exact = Field(
        default=Decimal(1), gt=0, le=1, description="The part of the equity that it may use; 1 may use all."
    )

    regimes: Annotated[tuple[Regime, ...], AfterValidator(_unique)] = Field(
        default=(), description="The markets that it may enter, by trend, by volatility or both; none named: any."
    )

    zone_cooldown: Int = Field(
        default=0, ge=0, le=100_000, description="Its bars in which it keeps off a zone that was entered; 0: never."
    )

    @property
    def parameters(self) -> Mapping[str, object]:
        """The strategy's own keys."""
        return dict(self.model_extra or {})


class QtySize(Section):
    """A fixed quantity."""

    kind: Literal["qty"] = Field(description="Names this size.")
    qty: Exact = Field(gt=0, le=Decimal("1e15"), description="Quantity of each entry, in the base asset.")


class NotionalSize(Section):
    """A fixed amount of money."""

    kind: Literal["notional"] = Field(description="Names this size.")
    notional: Exact = Field(gt=0, le=Decimal("1e15"), description="Value of each entry, in cash.")


class EquityFractionSize(Section):
    """A fraction of the equity."""

    kind: Literal["equity_fraction"] = Field(description="Names this size.")
    fraction: Exact = Field(gt=0, le=50, description="Value of each entry, as a fraction of equity.")


class RiskFractionSize(Section):
    """A quantity that loses a fraction of the equity at the stop."""

    kind: Literal["risk_fraction"] = Field(description="Names this size.")
    fraction: Exact = Field(gt=0, le=1, description="Lost if the stop fills, as a fraction of equity.")


Size = Annotated[QtySize | NotionalSize | EquityFractionSize | RiskFractionSize, Field(discriminator="kind")]
Money = Annotated[Exact, Field(gt=0, le=Decimal("1e15"))]


Percent = Annotated[Exact, Field(gt=0, le=100)]
Above = Annotated[Exact, Field(gt=0, le=1_000_000)]
Count = Annotated[Exact, Field(ge=1, le=1_000_000)]
_Checked = (BeforeValidator(read_tiers), AfterValidator(check_tiers), PlainSerializer(written))
PercentTiers = Annotated[tuple[Percent, ...], *_Checked]
AboveTiers = Annotated[tuple[Above, ...], *_Checked]
MoneyTiers = Annotated[tuple[Money, ...], *_Checked]
CountTiers = Annotated[tuple[Count, ...], AfterValidator(whole_tiers), *_Checked]


class MeasureSettings(Section):
    """Of what days and how correlations, volatility and bad days are measured."""

    window_days: Int = Field(
        default=90, ge=30, le=730, description="Daily returns that are looked at; nothing is said of fewer than 30."
    )
    decay: Number = Field(
        default=0.94,
        ge=0.5,
        le=1,
        description="Weight of a day in correlations and volatility, against the day after it; 1 weighs all the same.",
    )
    cluster_correlation: Number = Field(
        default=0.7, gt=0, le=1, description="From which correlation on, of either sign, two symbols are one bet."
    )


class KellySettings(Section):
    """A part of the bet that Kelly's rule makes of the strategy's own last 200 results."""

    fraction: Exact = Field(default=Decimal("0.25"), gt=0, le=1, description="Part of Kelly's bet that may be risked.")
    max_fraction: Exact = Field(
        default=Decimal("0.02"), gt=0, le=1, description="Most that is risked, as a fraction of equity."
    )
    min_trades: Int = Field(default=30, ge=10, le=200, description="Results before which it does nothing.")
    least: Exact = Field(
        default=Decimal("0.1"), ge=0, le=1, description="Part of the size that remains where the odds are bad."
    )


class DrawdownSettings(Section):
    """Smaller entries the further equity is below its peak, evenly between two points."""

    from_pct: Exact = Field(default=Decimal(5), ge=0, lt=100, description="Up to there sizes are whole, percent.")
    to_pct: Exact = Field(default=Decimal(20), gt=0, le=100, description="From there on they are smallest, percent.")
    least: Exact = Field(default=Decimal("0.25"), ge=0, le=1, description="Part of the size that remains there.")


class ScaleSettings(Section):
    """What makes entries smaller than their size says; the factors multiply, and none enlarges."""

    volatility_pct: Exact | None = Field(
        default=None, gt=0, le=1000, description="Most that a position may vary in a year, percent of equity."
    )
    regime: Literal["none", "volatility"] = Field(
        default="none", description="Size by the regime: not at all, or smaller while a symbol varies more than usual."
    )
    kelly: KellySettings | None = Field(default=None, description="A part of Kelly's bet, from realized results.")
    risk_parity: Literal["none", "strategies"] = Field(
        default="none", description="Even what strategies risk: not at all, or by how far their results spread."
    )
    drawdown: DrawdownSettings | None = Field(default=None, description="Smaller entries in a drawdown.")


class RiskSettings(Section):
    """How much is entered, the limits that cut it, and the breakers that end it."""

    size: Size = Field(
        default=RiskFractionSize(kind="risk_fraction", fraction=Decimal("0.01")),
        description="How an entry is sized.",
    )
    min_confidence: Exact = Field(
        default=Decimal(0), ge=0, le=100, description="Entries whose confidence is lower are refused; 0 refuses none."
    )
    confidence_scale: Literal["none", "linear"] = Field(
        default="none", description="Size by confidence: not at all, or size x confidence / 100."
    )
    max_order_qty: Mapping[Symbol, Annotated[Exact, Field(gt=0, le=Decimal("1e15"))]] = Field(
        default={}, description="Largest quantity of one entry, by symbol."
    )
    max_order_notional: Money | None = Field(default=None, description="Highest value of one entry, in cash.")
    max_position_notional: Money | None = Field(default=None, description="Highest value of one position, in cash.")
    max_exposure_notional: Money | None = Field(default=None, description="Highest value of all positions, in cash.")
    max_leverage: Exact | None = Field(
        default=None, gt=0, le=1000, description="Highest exposure, in multiples of equity."
    )
    max_concentration_pct: Exact | None = Field(
        default=None, gt=0, le=100_000, description="Highest value in one symbol, in percent of equity."
    )
    max_net_notional: Money | None = Field(
        default=None, description="Highest value of long less short, or short less long."
    )
    max_long_notional: Money | None = Field(default=None, description="Highest value of all longs, in cash.")
    max_short_notional: Money | None = Field(default=None, description="Highest value of all shorts, in cash.")
    max_strategy_notional: Money | None = Field(
        default=None, description="Highest value that one strategy has open, in cash."
    )
    max_cluster_notional: Money | None = Field(
        default=None, description="Highest value in symbols that move together, in cash."
    )
    max_var95: Money | None = Field(default=None, description="Highest loss of all but the worst day in 20, in cash.")
    max_cvar95: Money | None = Field(default=None, description="Highest mean loss of the worst day in 20, in cash.")
    max_var99: Money | None = Field(default=None, description="Highest loss of all but the worst day in 100, in cash.")
    max_cvar99: Money | None = Field(default=None, description="Highest mean loss of the worst day in 100, in cash.")
    max_volume_pct: Exact | None = Field(
        default=None, gt=0, le=100, description="Highest part of what traded in 24 hours that one entry is, in percent."
    )
    max_book_pct: Exact | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Highest part of what a live book offers at its best price that one entry is, in percent.",
    )
    liquidation_stops: Exact | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Least distance of an entry's liquidation, in distances of its stop.",
    )
    min_headroom_pct: Exact | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="Least part of equity left above the margin after the worst stress scenario, in percent.",
    )
    max_entries_per_hour: Int | None = Field(
        default=None, ge=1, le=1000, description="Entries of one strategy within an hour of the market."
    )
    price_collar_pct: Exact | None = Field(
        default=None, gt=0, le=100, description="How much worse than the mark an entry may be priced, in percent of it."
    )
    max_price_age_s: Exact = Field(
        default=Decimal(10),
        ge=1,
        le=3600,
        description="How old the prices of a live market may be when an entry leaves, seconds.",
    )
    duplicate_window_s: Exact = Field(
        default=Decimal(2),
        ge=0,
        le=3600,
        description="An entry like the last is not sent within, seconds; 0 allows it.",
    )
    max_orders_per_s: Int | None = Field(
        default=None, ge=1, le=100_000, description="Orders in a second beyond which no entry is sent, exits counted."
    )
    max_orders_per_min: Int | None = Field(
        default=None, ge=1, le=1_000_000, description="Orders in a minute beyond which no entry is sent, exits counted."
    )
    live_cap_notional: Money | None = Field(
        default=None, description="While it stands, no live entry is larger, in cash: for the first days of real money."
    )
    flatten: Literal["all", "own"] | None = Field(
        default=None,
        description="What is closed and cancelled to end the risk: all that the account has, as without this key, "
        "or what this bot opened and placed.",
    )
    scale: ScaleSettings | None = Field(default=None, description="What makes entries smaller.")
    measure: MeasureSettings = Field(default=MeasureSettings(), description="How the market is measured.")
    drawdown_pct: PercentTiers = Field(
        default=(Decimal(20),), description="How far equity may fall below its peak, percent of the peak."
    )
    daily_loss_pct: PercentTiers = Field(
        default=(), description="How much of the equity that a UTC day began with may be lost in it, percent."
    )
    max_consecutive_losses: CountTiers = Field(default=(), description="Round trips in a row that may lose.")
    max_trades_per_day: CountTiers = Field(
        default=(), description="Positions that may be opened in a UTC day; asking for one more trips it."
    )
    loss_cooldown_min: AboveTiers = Field(
        default=(), description="Minutes without an entry in a symbol after a loss there, after the second in a row..."
    )
    max_slippage_bps: AboveTiers = Field(
        default=(),
        description="How much worse than expected the last five taker fills may be on average, basis points.",
    )
    max_rejects_per_min: CountTiers = Field(default=(), description="Orders that the venue may refuse within a minute.")
    max_silent_symbols: CountTiers = Field(
        default=(), description="Symbols whose live market may be silent at once; it never halts."
    )
    max_unanswered_symbols: CountTiers = Field(
        default=(), description="Symbols with an order that the venue may leave unanswered for 60 s; it never halts."
    )
    max_residual: MoneyTiers = Field(
        default=(), description="Cash by which a real venue and the book may differ unexplained."
    )


class InstrumentSettings(Section):
    """The trading rules of one symbol; a venue that knows its instruments overrules them."""

    symbol: Symbol = Field(description="The symbol they are for.")
    tick: Exact | None = Field(
        default=None, gt=0, le=Decimal("1e9"), description="Step of prices; without it it follows the price."
    )
    lot: Exact = Field(default=Decimal("1e-8"), gt=0, le=Decimal("1e9"), description="Step of quantities.")
    min_notional: Exact = Field(
        default=Decimal(0), ge=0, le=Decimal("1e12"), description="Least value of an order, in cash."
    )
    max_leverage: Int = Field(default=50, ge=1, le=1000, description="Leverage the venue allows.")


class AlertsSettings(Section):
    """Who is paged when something needs a human."""

    url: SecretUrl | None = Field(default=None, description="A webhook that gets each alert as JSON by POST.")
    repeat_s: Int = Field(default=300, ge=1, le=86_400, description="The same alert is not sent again before, seconds.")

    @property
    def webhook(self) -> str | None:
        """The URL itself, for who posts to it."""
        return None if self.url is None else self.url.get_secret_value()


class ControlSettings(Section):
    """The control socket. It has nothing to set: its path follows from the home."""


class LogSettings(Section):
    """What is logged, and how much of it is kept."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is logged."
    )
    rotate_mb: Int = Field(default=10, ge=1, le=1024, description="Size at which the log file is rotated, MB.")
    keep: Int = Field(default=10, ge=1, le=100, description="Rotated log files that are kept.")


class StoreSettings(Section):
    """The journal, its snapshots and the disk under them."""

    min_free_mb: Int = Field(default=512, ge=1, le=1_048_576, description="Free disk below which nothing is added, MB.")
    reserve_mb: Int = Field(default=16, ge=1, le=1024, description="Disk kept aside for a clean end, MB.")
    keep_market_days: Int = Field(default=7, ge=1, le=36_500, description="Days after which market rows are pruned.")
    snapshot_turns: Int = Field(default=5000, ge=1, le=5000, description="Turns between snapshots, at most.")
    snapshot_s: Number = Field(default=5.0, gt=0, le=5, description="Seconds between snapshots, at most.")


class Settings(BaseSettings):
    """The whole configuration.

    ``Settings.of`` takes its values from layers, the environment being one of them; nothing else reads it.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True)

    bot: BotSettings
    feed: Annotated[GeneratedFeedSettings | ReplayFeedSettings | LiveFeedSettings, Field(discriminator="kind")]
    venue: Annotated[SimulatedVenueSettings | RealVenueSettings, Field(discriminator="kind")] = SimulatedVenueSettings()
    strategy: tuple[StrategySettings, ...] = Field(min_length=1, max_length=100)
    risk: RiskSettings = RiskSettings()
    instrument: tuple[InstrumentSettings, ...] = ()
    alerts: AlertsSettings = AlertsSettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()
    store: StoreSettings = StoreSettings()

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """Return what ``layer`` says. Raises ``pydantic.ValidationError``."""
        values: dict[str, Any] = {"layer": layer}
        return cls(**values)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the layers as the one source; the values themselves where they were given."""
        del env_settings, dotenv_settings, file_secret_settings
        given = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        layer = given.get("layer")
        return (LayerSource(settings_cls, layer) if isinstance(layer, Layer) else init_settings,)


def canonical(value: object) -> object:
    """Return ``value`` as plain JSON for a digest: numbers as plain text, so that 2, 2.0 and "2" are the same.

    Secrets take no part.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, SecretStr):
        return None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        value = Decimal(repr(value))
    return plain(value) if isinstance(value, Decimal) else str(value)
