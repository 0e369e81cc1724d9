"""Circuit breakers as documents: how each stands now, and each time that one acted."""

from collections.abc import Iterable

from tradebot.model.breaker import BreakerChanged
from tradebot.model.time import to_ms
from tradebot.pipeline.risk.breakers.base import BreakerView
from tradebot.report.shapes import Document, Json


def breaker_rows(views: Iterable[BreakerView]) -> list[Json]:
    """Return one object a breaker that is set."""
    return [
        {
            "name": one.name,
            "state": one.state,
            "tier": one.tier,
            "act": None if one.act is None else str(one.act),
            "value": float(one.value),
            "threshold": float(one.threshold),
            "since": None if one.since is None else to_ms(one.since),
            "way_back": one.way_back,
        }
        for one in views
    ]


def breaker_row(changed: BreakerChanged) -> Document:
    """Return a change of a breaker as a document."""
    return {
        "ts": to_ms(changed.ts_event),
        "name": changed.name,
        "state": "tripped" if changed.tier else "ok",
        "tier": changed.tier or None,
        "act": None if changed.act is None else str(changed.act),
        "value": float(changed.value),
        "threshold": float(changed.threshold),
        "reason": changed.reason,
        "way_back": changed.way_back,
    }
