"""Pattern events as values: what a kernel's arrays say, with names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tradebot.pipeline.patterns.emit import COUNT, FIRST, FLOATS_EACH, INTS_EACH, Events


class PatternKind(StrEnum):
    """The kinds of events, in the order of the kernels' numbers."""

    SWING_HIGH = "swing_high"
    SWING_LOW = "swing_low"
    BOS = "bos"
    CHOCH = "choch"
    FVG = "fvg"
    FVG_MITIGATED = "fvg_mitigated"
    FVG_FILLED = "fvg_filled"
    ORDER_BLOCK = "order_block"
    OB_MITIGATED = "ob_mitigated"
    OB_INVALIDATED = "ob_invalidated"
    POOL = "pool"
    SWEEP = "sweep"
    RUN = "run"


KINDS: tuple[PatternKind, ...] = tuple(PatternKind)
ZONE_KINDS = frozenset(KINDS[4:10])
COUNTED_KINDS = frozenset(KINDS[10:])


@dataclass(frozen=True, slots=True)
class PatternEvent:
    """Something a pattern kernel saw at the close of bar ``confirmed``, about bar ``index``.

    Bars count from 0, from the first that was seen. ``side`` is 1 (bullish, buy side) or -1. Zones have
    ``top`` and ``bottom``, all others a ``level``; liquidity has a ``count`` of swings.
    """

    kind: PatternKind
    side: int
    index: int
    confirmed: int
    level: float | None = None
    top: float | None = None
    bottom: float | None = None
    count: int | None = None

    def row(self, ts: int, confirmed_ts: int) -> Mapping[str, str | int | float]:
        """Return the event as a line of ``scan``; the times are those of its two bars."""
        found: dict[str, str | int | float] = {
            "kind": self.kind.value,
            "side": self.side,
            "index": self.index,
            "confirmed": self.confirmed,
            "ts": ts,
            "confirmed_ts": confirmed_ts,
        }
        if self.level is not None:
            found["level"] = self.level
        if self.top is not None and self.bottom is not None:
            found["top"], found["bottom"] = self.top, self.bottom
        if self.count is not None:
            found["count"] = self.count
        return found


def read_events(events: Events) -> Iterator[PatternEvent]:
    """Give the events of a list, oldest first."""
    numbers, prices = events
    for at in range(numbers[COUNT]):
        start = FIRST + at * INTS_EACH
        code, side, index, confirmed, members = numbers[start : start + INTS_EACH]
        first, second = prices[at * FLOATS_EACH : (at + 1) * FLOATS_EACH]
        kind = KINDS[code]
        if kind in ZONE_KINDS:
            yield PatternEvent(kind, side, index, confirmed, top=first, bottom=second)
        else:
            count = members if kind in COUNTED_KINDS else None
            yield PatternEvent(kind, side, index, confirmed, level=first, count=count)
