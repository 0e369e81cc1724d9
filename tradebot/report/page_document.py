"""All that a page shows, as one document: the report, its round trips, and the bars they were made on."""

from collections.abc import Iterable

from tradebot.model.position import RoundTrip
from tradebot.report.benchmark import benchmark
from tradebot.report.curve import Curve
from tradebot.report.drawn_curve import drawn_curve
from tradebot.report.periods import daily_of
from tradebot.report.shapes import Document
from tradebot.report.tape import Tape
from tradebot.report.trades import trade_row


def page_document(report: Document, trips: Iterable[RoundTrip], tape: Tape) -> Document:
    """Return ``report`` with what the bars tell, its ``curve`` as it is drawn, ``trades``, and what ``tape`` holds."""
    market = {"benchmark": benchmark(tape.closes, daily_of(report)), "by_regime": tape.by_regime()}
    curve = report["equity_curve"]
    assert isinstance(curve, Curve)  # noqa: S101 - made by ``ReportFold``  # nosec B101
    return {
        "report": {key: value for key, value in report.items() if key != "equity_curve"} | market,
        "curve": drawn_curve(curve),
        "trades": [trade_row(trip) for trip in trips],
        **tape.document(),
    }
