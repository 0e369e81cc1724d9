"""The strategies that are built in, and the parameters of one in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from tradebot.pipeline.strategy.base import Strategy
from tradebot.pipeline.strategy.bos_orderblock import BosOrderblock
from tradebot.pipeline.strategy.donchian_breakout import DonchianBreakout
from tradebot.pipeline.strategy.fvg_fill import FvgFill
from tradebot.pipeline.strategy.liquidity_sweep import LiquiditySweep
from tradebot.pipeline.strategy.sma_cross import SmaCross

BUILT_IN: Mapping[str, type[Strategy]] = {
    # A nested class could be assigned to, so it is not taken for one that is only read.
    "sma_cross": SmaCross,  # type: ignore[dict-item]
    "donchian_breakout": DonchianBreakout,  # type: ignore[dict-item]
    "liquidity_sweep": LiquiditySweep,  # type: ignore[dict-item]
    "fvg_fill": FvgFill,  # type: ignore[dict-item]
    "bos_orderblock": BosOrderblock,  # type: ignore[dict-item]
}


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """One parameter of a strategy, in words; ``default`` is empty where it must be given."""

    name: str
    type: str
    default: str
    range: str
    description: str


def parameters_table(cls: type[Strategy]) -> tuple[ParameterRow, ...]:
    """Return the parameters of a strategy, in the order it declares them."""
    return tuple(
        ParameterRow(
            name=name,
            type=_type_name(info.annotation),
            default="" if info.is_required() else str(info.get_default(call_default_factory=True)),
            range=_range(info),
            description=info.description or "",
        )
        for name, info in cls.Params.model_fields.items()
    )


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "choice"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _range(info: FieldInfo) -> str:
    if get_origin(info.annotation) is Literal:
        return " | ".join(str(choice) for choice in get_args(info.annotation))
    words = []
    for bound in info.metadata:
        for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"), ("multiple_of", "multiple of")):
            value = getattr(bound, name, None)
            if value is not None:
                words.append(f"{sign} {value}")
    return ", ".join(words)
