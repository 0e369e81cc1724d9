"""What decides: the sections `[[strategy]]`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
)

from tradebot.settings.model.exits import AtrStopSettings, MaxHoldSettings, RTargetSettings, Stop
from tradebot.settings.model.fields import (
    NAME_PATTERN,
    Exact,
    Int,
    Parameter,
    Regime,
    Section,
    Symbols,
    TimeframeText,
    none_or_table,
    unique,
)


class StrategySettings(Section):
    """One strategy; keys that are not listed here are its own parameters."""

    model_config = ConfigDict(extra="allow", frozen=True, validate_default=True)
    __pydantic_extra__: dict[str, Parameter] = Field(init=False)

    kind: str = Field(min_length=1, max_length=4096, description='A built-in name, or "path/to/file.py:Class".')
    name: str = Field(pattern=NAME_PATTERN, description="Unique; default: the kind, or the class of a file.")
    symbols: Symbols = Field(description="What it trades; default: bot.symbols.")
    timeframe: TimeframeText | None = Field(default=None, description="Bars it sees; default: the feed's finest.")
    direction: Literal["long", "short", "both"] = Field(default="both", description="The sides it may enter.")
    stop: Annotated[Stop | None, BeforeValidator(none_or_table)] = Field(
        default=AtrStopSettings(kind="atr"), description='Protective stop, or "none" (paper only).'
    )
    target: Annotated[RTargetSettings | None, BeforeValidator(none_or_table)] = Field(
        default=None, description='Profit target, or "none".'
    )
    max_hold: MaxHoldSettings | None = Field(
        default=None, description="How long a position is held at most; without it, as long as its strategy says."
    )

    share: Exact = Field(
        default=Decimal(1), gt=0, le=1, description="The part of the equity that it may use; 1 may use all."
    )

    regimes: Annotated[tuple[Regime, ...], AfterValidator(unique)] = Field(
        default=(), description="The markets that it may enter, by trend, by volatility or both; none named: any."
    )

    zone_cooldown: Int = Field(
        default=0, ge=0, le=100_000, description="Its bars in which it keeps off a zone that was entered; 0: never."
    )

    @property
    def parameters(self) -> Mapping[str, object]:
        """The strategy's own keys."""
        return dict(self.model_extra or {})
