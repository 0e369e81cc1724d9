"""The report as a fold over the line's outputs: a backtest feeds it directly, a daemon from its journal.

A window holds the fills, funding and trip ends with ``since`` <= ts < ``until``, and the curve's points in
(``since``, ``until``]: a bar's point stands at its close and holds the fills stamped with its opening. So
windows that meet share no money and miss none.

The first deposit of an account is what it starts with: the curve's first point holds it. A later one moves the
curve, and is neither profit nor loss.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, TypeVar, cast

from tradebot.model.breaker import BreakerChanged
from tradebot.model.failure import LineFailed
from tradebot.model.market import Gap, Message
from tradebot.model.money import ZERO, Cash, Price, book, plain
from tradebot.model.order import Fill
from tradebot.model.position import Deposit, EquityMark, FundingPaid, RoundTrip
from tradebot.model.signal import Approved, Refused, StrategyDisabled
from tradebot.model.time import Nanos, to_ms
from tradebot.pipeline.risk.ledger import Ledger
from tradebot.pipeline.risk.trip import Trip
from tradebot.report.breakdown import breakdown
from tradebot.report.breakers import breaker_row
from tradebot.report.costs import costs
from tradebot.report.curve import Curve
from tradebot.report.gaps import GapCounts
from tradebot.report.metrics import curve_metrics, time_weighted
from tradebot.report.periods import daily_rows, drawdown_rows, monthly_rows
from tradebot.report.set_aside import set_aside_row
from tradebot.report.shapes import Document, Json
from tradebot.report.tally import By, Tally, period, period_name
from tradebot.report.trades import by_exit, optional

_M = TypeVar("_M", bound=Message)
UNOWNED = "unowned"
"""Where money of a symbol goes that no strategy held: never, when the fold saw the journal from its start."""


class ReportFold:
    """Gathers a report. Give it every message of ``KINDS`` from the first one on, in order of ``seq``."""

    KINDS: ClassVar[tuple[str, ...]] = (
        EquityMark.kind,
        RoundTrip.kind,
        Fill.kind,
        FundingPaid.kind,
        Deposit.kind,
        StrategyDisabled.kind,
        Gap.kind,
        LineFailed.kind,
        BreakerChanged.kind,
    )

    def __init__(self, since: Nanos | None = None, until: Nanos | None = None, by: By | None = None) -> None:
        self._since = since
        self._until = until
        self._by = by
        self._curve = Curve()
        self._exposed = 0
        self._deposit_ids: set[str] = set()
        self._deposits: Decimal = ZERO
        # The very ledger of the risk stage, so that money and positions cannot differ from its own.
        self._ledger = Ledger(Cash(ZERO))
        self._estimates = 0
        self._turnover: Decimal = ZERO
        self._trips: list[RoundTrip] = []
        self._gaps = GapCounts()
        self._approved = self._refused = 0
        self.disabled: list[StrategyDisabled] = []
        self._set_aside: list[LineFailed] = []
        self._breakers: list[BreakerChanged] = []
        self._total = Tally()
        self._symbols: defaultdict[str, Tally] = defaultdict(Tally)
        self._strategies: defaultdict[str, Tally] = defaultdict(Tally)
        self._periods: defaultdict[int, Tally] = defaultdict(Tally)
        self._handlers: Mapping[type[Message], Callable[[Message], None]] = {
            EquityMark: _typed(self._on_equity),
            Fill: _typed(self._on_fill),
            FundingPaid: _typed(self._on_funding),
            Deposit: _typed(self._on_deposit),
            RoundTrip: _typed(self._on_trip),
            Approved: _typed(self._on_approved),
            Refused: _typed(self._on_refused),
            StrategyDisabled: _typed(self._on_disabled),
            Gap: _typed(self._on_gap),
            LineFailed: _typed(self._on_failed),
            BreakerChanged: _typed(self._on_breaker),
        }

    def add(self, message: Message) -> None:
        """Take one message; those that tell a report nothing are passed over."""
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

    def sinks(self) -> Mapping[type[Message], Callable[[Message], None]]:
        """Return what to call for each type of message, for a line that runs in this process."""
        return self._handlers

    def add_points(self, times: Sequence[Nanos], units: Sequence[int], is_exposed: bool) -> None:
        """Take points of the whole equity curve, oldest first, as an ``EquityMark`` for each; money in 1e-8."""
        self._curve.extend(times, units)
        self._exposed += len(times) if is_exposed else 0

    def result(
        self,
        pending: EquityMark | None = None,
        marks: Mapping[str, Price] | None = None,
        venue_equity: Cash | None = None,
    ) -> Document:
        """Return the report so far; the fold can go on.

        ``pending`` is the curve's point whose closing time may not be over, ``marks`` the last prices and
        ``venue_equity`` what the venue says the account is worth, at these prices. The last two are those of
        now: a window that ended before knows neither.
        """
        curve, exposed = self._with_pending(pending)
        values = time_weighted(curve.units, curve.deposits)
        now = self._until is None
        report: Document = {
            **self._span(curve),
            **self._total.money(),
            "deposits": plain(self._deposits),
            "residual": _residual(curve, venue_equity if now else None),
            "trades": self._total.trades,
            **self._total.ratios(),
            **self._total.averages(),
            **curve_metrics(curve.ts, values),
            "exposure_pct": exposed / (len(curve) - 1) * 100 if len(curve) > 1 else None,
            "funding_estimates": self._estimates,
            **costs(self._total, self._turnover, curve),
            **breakdown(self.trips),
            "monthly": monthly_rows(curve.ts, values),
            "drawdowns": drawdown_rows(curve.ts, values),
            "daily_returns": daily_rows(curve.ts, values),
            "open_positions": self._open_positions(marks if now and marks is not None else {}),
            "by_symbol": _group(self._symbols),
            "by_strategy": _group(self._strategies),
            "gaps": self._gaps.rows(),
            "disabled": [disabled_row(message) for message in self.disabled],
            "set_aside": [set_aside_row(failed) for failed in self._set_aside],
            "breakers": [breaker_row(changed) for changed in self._breakers],
        }
        if self._by is not None:
            report |= {"by": str(self._by), "rows": self._rows(self._by, curve)}
        report["equity_curve"] = curve
        return report

    @property
    def trips(self) -> list[RoundTrip]:
        """The round trips that ended in the window, in order of exit."""
        return by_exit(self._trips)

    def run_counts(self, bars: int, wall_s: float) -> Document:
        """Return what a backtest adds to its report. ``orders`` + ``refused`` = ``signals``."""
        return {
            "bars": bars,
            "wall_s": wall_s,
            "bars_per_s": bars / wall_s if wall_s > 0 else None,
            "orders": self._approved,
            "signals": self._approved + self._refused,
            "refused": self._refused,
        }

    def _on_equity(self, mark: EquityMark) -> None:
        ts = mark.ts_event
        if self._until is not None and ts > self._until:
            return
        if self._since is not None and ts <= self._since:
            # Only the last point before the window counts: its equity is what the window starts with.
            self._curve = self._curve.afresh()
        elif mark.is_exposed:
            self._exposed += 1
        self._curve.append(ts, mark.equity)

    def _on_fill(self, fill: Fill) -> None:
        if self._until is not None and fill.ts_event >= self._until:
            return
        before = self._ledger.realized
        self._ledger.take(fill)
        gross = self._ledger.realized - before
        if self._has(fill.ts_event):
            self._turnover += fill.qty * fill.price
        self._book(fill.symbol, fill.strategy, fill.ts_event, gross=gross, fees=fill.fee)

    def _on_funding(self, funding: FundingPaid) -> None:
        if not self._has(funding.ts_event):
            return
        held = self._ledger.trips.get(funding.symbol)
        owner = UNOWNED if held is None else held.strategy
        self._estimates += funding.is_estimate
        self._book(funding.symbol, owner, funding.ts_event, funding=funding.amount)

    def _on_deposit(self, deposit: Deposit) -> None:
        is_first, is_repeat = not self._deposit_ids, deposit.id in self._deposit_ids
        self._deposit_ids.add(deposit.id)
        if is_first or is_repeat:
            return
        self._curve.deposit(deposit.amount)
        if self._has(deposit.ts_event):
            self._deposits += deposit.amount

    def _on_trip(self, trip: RoundTrip) -> None:
        if self._has(trip.exit_ts):
            self._trips.append(trip)
            for tally in self._tallies(trip.symbol, trip.strategy, trip.exit_ts):
                tally.trip(trip)

    def _on_approved(self, message: Approved) -> None:
        self._approved += self._has(message.ts_event)

    def _on_disabled(self, message: StrategyDisabled) -> None:
        if self._has(message.ts_event):
            self.disabled.append(message)

    def _on_gap(self, gap: Gap) -> None:
        if self._has(gap.ts_from):
            self._gaps.add(gap)

    def _on_failed(self, failed: LineFailed) -> None:
        if failed.first and self._has(failed.ts_event):
            self._set_aside.append(failed)

    def _on_breaker(self, changed: BreakerChanged) -> None:
        if self._has(changed.ts_event):
            self._breakers.append(changed)

    def _on_refused(self, message: Refused) -> None:
        self._refused += self._has(message.ts_event)

    def _has(self, ts: int) -> bool:
        return (self._since is None or ts >= self._since) and (self._until is None or ts < self._until)

    def _with_pending(self, pending: EquityMark | None) -> tuple[Curve, int]:
        if pending is None or (self._until is not None and pending.ts_event > self._until):
            return self._curve, self._exposed
        if self._since is not None and pending.ts_event <= self._since:
            return Curve().extended(pending.ts_event, pending.equity), 0
        return self._curve.extended(pending.ts_event, pending.equity), self._exposed + pending.is_exposed

    def _book(
        self, symbol: str, strategy: str, ts: int, gross: Decimal = ZERO, fees: Decimal = ZERO, funding: Decimal = ZERO
    ) -> None:
        if self._has(ts):
            for tally in self._tallies(symbol, strategy, ts):
                tally.book(gross, fees, funding)

    def _tallies(self, symbol: str, strategy: str, ts: int) -> list[Tally]:
        tallies = [self._total, self._symbols[symbol], self._strategies[strategy]]
        if self._by is not None and self._by.is_period:
            tallies.append(self._periods[period(self._by, ts)[0]])
        return tallies

    def _span(self, curve: Curve) -> Document:
        first, last = (to_ms(curve.ts[0]), to_ms(curve.ts[-1])) if curve else (None, None)
        return {
            "since": first if self._since is None else to_ms(self._since),
            "until": last if self._until is None else to_ms(self._until),
            "starting_equity": plain(curve.equity(0)) if curve else None,
            "ending_equity": plain(curve.equity(-1)) if curve else None,
        }

    def _open_positions(self, marks: Mapping[str, Price]) -> list[Json]:
        return [_open_position(trip, marks.get(symbol)) for symbol, trip in sorted(self._ledger.trips.items())]

    def _rows(self, by: By, curve: Curve) -> list[Json]:
        if by.is_period:
            return [
                {
                    by.value: period_name(by, start),
                    **self._periods.get(start, Tally()).row(),
                    "equity": curve.equity_at(end),
                }
                for start, end in self._spans(by, curve)
            ]
        tallies = self._symbols if by is By.SYMBOL else self._strategies
        return [{by.value: name, **tallies[name].row()} for name in sorted(tallies)]

    def _spans(self, by: By, curve: Curve) -> list[tuple[int, int]]:
        spans = {start: period(by, start) for start in self._periods}
        position = 1
        while position < len(curve):
            # A point at the very end of a period still belongs to it.
            start, end = period(by, curve.ts[position] - 1)
            spans[start] = start, end
            position = bisect_right(curve.ts, end, position)
        return [spans[start] for start in sorted(spans)]


def disabled_row(message: StrategyDisabled) -> Document:
    """Return the end of a strategy that raised, blocked or spoke nonsense, as a document."""
    return {
        "ts": to_ms(message.ts_event),
        "strategy": message.strategy,
        "symbol": message.symbol,
        "reason": message.reason,
    }


def _open_position(trip: Trip, mark: Price | None) -> Document:
    held = trip.freeze()
    return {
        "symbol": held.symbol,
        "strategy": held.strategy,
        "side": str(trip.side),
        "qty": plain(abs(held.qty)),
        "entry_ts": to_ms(held.entry_ts),
        "entry_price": plain(held.entry_price),
        "mark_price": optional(mark),
        # Without a mark the open P&L is unknown, not zero.
        "unrealized_pnl": None if mark is None else plain(book(held.unrealized(mark))),
        "realized_pnl": plain(held.realized),
    }


def _group(tallies: Mapping[str, Tally]) -> Document:
    return {name: tallies[name].row() for name in sorted(tallies)}


def _residual(curve: Curve, venue_equity: Cash | None) -> str | None:
    if venue_equity is None or not curve:
        return None
    return plain(book(venue_equity) - curve.equity(-1))


def _typed(handler: Callable[[_M], None]) -> Callable[[Message], None]:
    # The table's key is the handler's type: each is called with nothing else.
    return cast("Callable[[Message], None]", handler)
