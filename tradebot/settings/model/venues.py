"""Where orders go: the sections `[venue]`, and the rules of symbols."""

from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from tradebot.settings.dataspec import SymbolFile, parse_symbol_file
from tradebot.settings.model.feeds import ADDRESS_PATTERN, Network, Url
from tradebot.settings.model.fields import Exact, Int, SecretName, Section, Symbol, SymbolFileText


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
    key_secret: SecretName | None = Field(
        default=None, description="The agent's key, by its name in the store of secrets; in place of key_file."
    )
    leverage: Int = Field(default=5, ge=1, le=100, description="Leverage of each symbol, set once.")
    margin: Literal["cross", "isolated"] = Field(default="cross", description="Margin mode of each symbol, set once.")
    slippage: Exact = Field(
        default=Decimal("0.05"), gt=0, le=Decimal("0.1"), description="How far a market order may slip, as a fraction."
    )

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if self.key_file is not None and self.key_secret is not None:
            raise ValueError("has both key_file and key_secret; give one of them")
        return self

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
