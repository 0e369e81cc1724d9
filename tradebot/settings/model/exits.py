"""How a strategy gets out: stops, trails, targets and time."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from tradebot.settings.model.fields import Exact, Int, Section, TimeframeText, true_or_table


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
    trail: Annotated[Trail | None, BeforeValidator(true_or_table)] = Field(
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
