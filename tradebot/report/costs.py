"""What trading cost, held against what was traded and what it brought."""

from decimal import Decimal

from tradebot.model.money import book, plain
from tradebot.model.time import DAY
from tradebot.report.curve import Curve
from tradebot.report.shapes import Document
from tradebot.report.tally import Tally


def costs(total: Tally, turnover: Decimal, curve: Curve) -> Document:
    """Return the keys on turnover and on the shares of fees and funding.

    ``turnover`` is the notional of all fills. ``turnover_per_day`` is in multiples of the starting equity;
    ``fees_bps`` in basis points of the turnover. The shares are of the gross P&L, where that is a gain.
    """
    gained = total.gross if total.gross > 0 else None
    days = (curve.ts[-1] - curve.ts[0]) / DAY if curve else 0
    start = curve.equity(0) if curve else 0
    return {
        "turnover": plain(book(turnover)),
        "turnover_per_day": float(turnover / start) / days if start > 0 and days else None,
        "fees_bps": float(total.fees / turnover * 10_000) if turnover else None,
        "fees_share": None if gained is None else float(total.fees / gained),
        "funding_share": None if gained is None else float(total.funding / gained),
    }
