"""What a circuit breaker says of itself."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from tradebot.model.market import Message
from tradebot.model.time import Nanos


class Act(StrEnum):
    """What a tier of a breaker does: halve entries, let nothing add to a position, or close everything and halt."""

    REDUCE_SIZE = "reduce_size"
    REDUCE_ONLY = "reduce_only"
    HALT = "halt"


class BreakerChanged(Message, frozen=True, kw_only=True):
    """A breaker reached ``tier``, from 1, which does ``act``; or with tier 0 it is armed again, for ``reason``.

    ``value`` was measured against ``threshold``: of that tier, or of the one that it is armed from. ``way_back``
    is how a tier is armed again.
    """

    kind: ClassVar[str] = "breaker"
    ts_event: Nanos
    name: str
    tier: int
    act: Act | None
    value: Decimal
    threshold: Decimal
    reason: str = ""
    way_back: str = ""
