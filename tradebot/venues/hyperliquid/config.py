"""What a connection to the exchange is made of, as the operator configured it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradebot.venues.hyperliquid.keys import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingRules:
    """How we trade: leverage and margin mode of each symbol, and how far a market order may slip, as a fraction."""

    leverage: int = 1
    is_cross: bool = True
    slippage: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the key is, for people, and how it is read: that may take a second, and raises ``NotPermitted``."""

    where: str
    read: "Callable[[], SigningKey]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """Which account, where. ``account`` ``None``: the key's own, or its master's."""

    network: str
    url: str
    account: str | None
    key: KeySource
    trading: TradingRules
    strategies: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where the account is, however the address is spelt: there is one of each network, but many devnets."""
        return self.url.rstrip("/") if self.network == "devnet" else self.network


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueConfig:
    """Where the market is asked, and the account that is traded; ``None`` where orders are simulated.

    ``weight_per_minute`` is what this machine may send to one address in any 60 seconds.
    """

    market_url: str
    symbols: tuple[str, ...]
    weight_per_minute: int
    account: AccountConfig | None

    @property
    def url(self) -> str:
        """Where the venue is asked for what is checked: the account's, else the market's."""
        return self.market_url if self.account is None else self.account.url
