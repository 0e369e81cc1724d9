"""Funding rates by the hour, in two integers each: years of them for many symbols must fit in little memory."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

from tradebot.model.time import HOUR

_DIGITS = 15
_UNIT = Decimal(1).scaleb(-_DIGITS)


class FundingRates:
    """The known hourly rates of one symbol, exact to 1e-15."""

    __slots__ = ("_hours", "_units")

    def __init__(self, rates: Iterable[tuple[int, Decimal]] = ()) -> None:
        """Keep ``rates``, pairs of nanoseconds and rate, in any order.

        Stamps are floored to the hour, as venues stamp a payment some milliseconds after it; of several in
        one hour the last given counts. Raises ``ValueError`` on a rate that is not a finite number in (-1, 1).
        """
        by_hour: dict[int, int] = {}
        for ts, rate in rates:
            if not (rate.is_finite() and -1 < rate < 1):
                raise ValueError(f"funding rate {rate} is not between -1 and 1")
            by_hour[ts // HOUR] = int(rate.quantize(_UNIT, rounding=ROUND_HALF_EVEN).scaleb(_DIGITS))
        hours = sorted(by_hour)
        self._hours = array("q", hours)
        self._units = array("q", (by_hour[hour] for hour in hours))

    def __len__(self) -> int:
        return len(self._hours)

    def at(self, ts: int) -> Decimal | None:
        """Return the rate of the hour that holds ``ts``, or ``None`` when it is not known."""
        hour = ts // HOUR
        position = bisect_left(self._hours, hour)
        if position == len(self._hours) or self._hours[position] != hour:
            return None
        return Decimal(self._units[position]).scaleb(-_DIGITS)
