"""Inputs that made the program fail and are left out, as JSON."""

from tradebot.model.failure import LineFailed
from tradebot.model.time import to_ms
from tradebot.report.shapes import Document


def set_aside_row(failed: LineFailed) -> Document:
    """Return inputs that were set aside, as a document."""
    return {
        "ts": to_ms(failed.ts_event),
        "input": failed.input,
        "symbol": failed.symbol,
        "about": failed.about,
        "rows": [failed.first, failed.last],
        "reason": failed.why,
    }
