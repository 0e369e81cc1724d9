"""Round trips by what they have in common, and in a row: sides, reasons, hours, streaks and excursions.

Here a trip's money is all that it earned in its life. The sums by symbol and strategy are those booked in the window,
of positions still open too; so these add up to the closed trips, those to the report.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from tradebot.model.money import ZERO, book, plain
from tradebot.model.position import RoundTrip
from tradebot.model.time import DAY, HOUR, NANOS_PER_S, WEEK
from tradebot.report.shapes import Document
from tradebot.report.tally import Tally

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# The epoch was a Thursday.
_FIRST_MONDAY = 4 * DAY
_HOURS = tuple(f"{hour:02d}" for hour in range(24))
_KEYS: Mapping[str, Callable[[RoundTrip], str]] = {
    "by_side": lambda trip: str(trip.side),
    "by_exit_reason": lambda trip: trip.exit_reason,
    "by_hour": lambda trip: _HOURS[trip.entry_ts % DAY // HOUR],
    "by_weekday": lambda trip: WEEKDAYS[(trip.entry_ts - _FIRST_MONDAY) % WEEK // DAY],
}


def breakdown(trips: Sequence[RoundTrip]) -> Document:
    """Return what ``trips``, in order of exit, have in common: the groups, ``streaks``, ``excursions``, ``avg_hold_s``.

    Hours and weekdays are those of the entry, in UTC.
    """
    return {
        **{name: grouped((key(trip), trip) for trip in trips) for name, key in _KEYS.items()},
        "streaks": _streaks(trips),
        "excursions": _excursions(trips),
        "avg_hold_s": sum(trip.exit_ts - trip.entry_ts for trip in trips) / len(trips) / NANOS_PER_S if trips else None,
    }


def grouped(named: Iterable[tuple[str, RoundTrip]]) -> Document:
    """Return a row of sums for each name of trips; weekdays in their order, all else by name."""
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    for name, trip in named:
        tally = tallies[name]
        tally.book(trip.gross_pnl, trip.fees, trip.funding)
        tally.trip(trip)
    order = {name: place for place, name in enumerate(WEEKDAYS)}
    return {name: tallies[name].row() for name in sorted(tallies, key=lambda name: (order.get(name, 0), name))}


def _streaks(trips: Sequence[RoundTrip]) -> Document:
    longest = {1: 0, -1: 0}
    way, length = 0, 0
    for trip in trips:
        sign = (trip.net_pnl > 0) - (trip.net_pnl < 0)
        # Nothing won and nothing lost ends a streak of either kind.
        way, length = (sign, length + 1) if sign == way else (sign, 1)
        if sign:
            longest[sign] = max(longest[sign], length)
    return {"longest_wins": longest[1], "longest_losses": longest[-1]}


def _excursions(trips: Sequence[RoundTrip]) -> Document:
    won = [trip for trip in trips if trip.net_pnl > 0]
    lost = [trip for trip in trips if trip.net_pnl < 0]
    return {
        "avg_mae": _mean([trip.mae for trip in trips]),
        "avg_mfe": _mean([trip.mfe for trip in trips]),
        "avg_mae_of_winners": _mean([trip.mae for trip in won]),
        "avg_mfe_of_losers": _mean([trip.mfe for trip in lost]),
    }


def _mean(amounts: Sequence[Decimal]) -> str | None:
    return plain(book(sum(amounts, ZERO) / len(amounts))) if amounts else None
