"""Views that are read from the journal: the same for a running daemon and for a stopped one.

A reading says which kinds of rows it wants, takes their messages in order of ``seq`` and ends as bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from tradebot.control.when import parse_when
from tradebot.model.errors import UsageError
from tradebot.model.failure import LineFailed
from tradebot.model.market import Message
from tradebot.model.money import Cash, Price
from tradebot.model.position import EquityMark, RoundTrip
from tradebot.model.time import Nanos
from tradebot.report.document import document, line
from tradebot.report.fold import ReportFold
from tradebot.report.page_document import page_document
from tradebot.report.shapes import Document
from tradebot.report.tally import By
from tradebot.report.tape import Tape
from tradebot.report.trades import by_exit, trade_line
from tradebot.report.uncertainty import with_uncertainty
from tradebot.report.why import WhyFold
from tradebot.runtime.quarantine import failures
from tradebot.store.schema import Row

_LIMIT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the journal does not hold: the open point of the equity curve, the last prices, the venue's word.

    ``now`` is the newest market time, ``assumed`` what the configuration in force assumes. ``venue_equity`` is the
    venue's, its positions valued at ``marks``: at other prices, a market that moved would look like money lost.
    """

    now: Nanos = Nanos(0)
    pending: EquityMark | None = None
    marks: Mapping[str, Price] = field(default_factory=dict)
    venue_equity: Cash | None = None
    assumed: Document | None = None


class Voided:
    """The rows that turns wrote before they failed: what they say never came to be. ``failed`` are the failures.

    A failure names the input of its turn, and comes after all that the turn wrote.
    """

    def __init__(self, failed: Iterable[Row]) -> None:
        self._failures = failures(failed)

    def __contains__(self, row: Row) -> bool:
        return row.kind != LineFailed.kind and any(failure.voids(row.seq) for failure in self._failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One view on its way: ``kinds`` of rows to ``add``, then ``finish``."""

    kinds: tuple[str, ...]
    add: Callable[[Message], None]
    finish: Callable[[Standing], bytes]


def reading(view: str, query: Mapping[str, str], now: Nanos) -> Reading:
    """Return the reading of ``view``: report, page, trades, why or signals. ``now`` is what ages count from.

    Raises ``UsageError`` on a query that does not fit.
    """
    match view:
        case "report":
            return _report(query, now)
        case "page":
            return _page(query, now)
        case "trades":
            return _trades(query, now)
        case "why" | "signals":
            return _decisions(view, query)
    raise UsageError(f"{view!r} is not read from the journal")


def _report(query: Mapping[str, str], now: Nanos) -> Reading:
    fold = _report_fold(query, now)
    return Reading(
        kinds=ReportFold.KINDS, add=fold.add, finish=lambda standing: document(_report_document(fold, standing))
    )


def _page(query: Mapping[str, str], now: Nanos) -> Reading:
    fold, tape = _report_fold(query, now), Tape(*_window(query, now))

    def add(message: Message) -> None:
        fold.add(message)
        tape.add(message)

    def finish(standing: Standing) -> bytes:
        return document(page_document(_report_document(fold, standing), fold.trips, tape))

    return Reading(kinds=tuple({*ReportFold.KINDS, *Tape.KINDS}), add=add, finish=finish)


def _report_fold(query: Mapping[str, str], now: Nanos) -> ReportFold:
    by = query.get("by")
    if by is not None and by not in list(By):
        raise UsageError(f"cannot report by {by!r}", mend=f"by one of {', '.join(By)}")
    return ReportFold(*_window(query, now), None if by is None else By(by))


def _report_document(fold: ReportFold, standing: Standing) -> Document:
    report = fold.result(standing.pending, standing.marks, standing.venue_equity)
    return with_uncertainty(report, fold.trips) | {"assumptions": standing.assumed}


def _trades(query: Mapping[str, str], now: Nanos) -> Reading:
    since, until = _window(query, now)
    trips: list[RoundTrip] = []

    def add(message: Message) -> None:
        if (
            isinstance(message, RoundTrip)
            and (since is None or message.exit_ts >= since)
            and (until is None or message.exit_ts < until)
        ):
            trips.append(message)

    return Reading(
        kinds=(RoundTrip.kind,), add=add, finish=lambda _: b"".join(trade_line(trip) for trip in by_exit(trips))
    )


def _decisions(view: str, query: Mapping[str, str]) -> Reading:
    text = query.get("limit", str(_LIMIT))
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise UsageError(f"limit {text!r} is not a whole number from 1 to 100000")
    fold = WhyFold(query.get("of"), int(text))

    def finish(_: Standing) -> bytes:
        return b"".join(line(row) for row in (fold.rows() if view == "why" else fold.signals()))

    return Reading(kinds=WhyFold.KINDS, add=fold.add, finish=finish)


def _window(query: Mapping[str, str], now: Nanos) -> tuple[Nanos | None, Nanos | None]:
    since, until = query.get("since"), query.get("until")
    return (
        None if since is None else parse_when(since, now),
        None if until is None else parse_when(until, now),
    )
