"""Sums of booked money and of round trips: of a whole window, a symbol, a strategy or a period."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from tradebot.model.money import ZERO, book, plain
from tradebot.model.position import RoundTrip
from tradebot.model.time import DAY, NANOS_PER_S, WEEK, floor_to
from tradebot.report.metrics import win_loss
from tradebot.report.shapes import Document


class By(StrEnum):
    """How a report is split into rows."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    SYMBOL = "symbol"
    STRATEGY = "strategy"

    @property
    def is_period(self) -> bool:
        """Whether a row is a stretch of time."""
        return self in (By.DAY, By.WEEK, By.MONTH)


class Tally:
    """Money as booked, and trips by their end. ``net = gross - fees + funding`` by definition."""

    __slots__ = ("fees", "funding", "gross", "losses", "lost", "trades", "wins", "won")

    def __init__(self) -> None:
        self.gross: Decimal = ZERO
        self.fees: Decimal = ZERO
        self.funding: Decimal = ZERO
        self.won: Decimal = ZERO
        self.lost: Decimal = ZERO
        self.trades = self.wins = self.losses = 0

    def book(self, gross: Decimal = ZERO, fees: Decimal = ZERO, funding: Decimal = ZERO) -> None:
        """Add money."""
        self.gross += gross
        self.fees += fees
        self.funding += funding

    def trip(self, trip: RoundTrip) -> None:
        """Count a round trip; its money was booked with its fills."""
        self.trades += 1
        if trip.net_pnl > 0:
            self.wins += 1
            self.won += trip.net_pnl
        elif trip.net_pnl < 0:
            self.losses += 1
            self.lost -= trip.net_pnl

    def money(self) -> Document:
        """Return the sums as booked."""
        return {
            "net_pnl": plain(self.gross - self.fees + self.funding),
            "gross_pnl": plain(self.gross),
            "fees": plain(self.fees),
            "funding": plain(self.funding),
        }

    def averages(self) -> Document:
        """Return what a trip brings on average; ``avg_loss`` >= 0 is the size of a loss."""
        return {
            "expectancy": _mean(self.won - self.lost, self.trades),
            "avg_win": _mean(self.won, self.wins),
            "avg_loss": _mean(self.lost, self.losses),
        }

    def ratios(self) -> dict[str, float | None]:
        """Return ``win_rate``, ``profit_factor`` and ``kelly``."""
        return win_loss(self.wins, self.losses, self.won, self.lost, self.trades)

    def row(self) -> Document:
        """Return all of it as one object of a group."""
        return {"trades": self.trades, **self.money(), **self.averages(), **self.ratios()}


def period(by: By, ts: int) -> tuple[int, int]:
    """Return the UTC day, ISO week or month that holds ``ts``: its start, and its end, exclusive."""
    if by is By.DAY:
        start = floor_to(ts, DAY)
        return start, start + DAY
    if by is By.WEEK:
        start = floor_to(ts, WEEK)
        return start, start + WEEK
    moment = datetime.fromtimestamp(ts // NANOS_PER_S, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    months = moment.year * 12 + moment.month
    last = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * NANOS_PER_S, int(last.timestamp()) * NANOS_PER_S


def period_name(by: By, start: int) -> str:
    """Return the name of the period that starts at ``start``: 2026-01-31, 2026-W05 or 2026-01."""
    moment = datetime.fromtimestamp(start // NANOS_PER_S, UTC)
    return moment.strftime({By.DAY: "%Y-%m-%d", By.WEEK: "%G-W%V", By.MONTH: "%Y-%m"}[by])


def _mean(total: Decimal, count: int) -> str | None:
    return plain(book(total / count)) if count else None
