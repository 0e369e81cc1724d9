"""Bars as columns of whole numbers: those that are visited become ``Bar``, the rest is looked at by compiled scans."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import cached_property
from itertools import repeat
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

from tradebot.model.market import Bar
from tradebot.model.money import MONEY_CONTEXT, ZERO, Cash, Price, Qty, Ratio
from tradebot.model.time import NANOS_PER_MS, Nanos, Timeframe
from tradebot.pipeline import scans
from tradebot.pipeline.patterns.scanner import BarArrays
from tradebot.pipeline.points import BookedPoints, Points, Worth
from tradebot.pipeline.runs import last_of_days

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray: TypeAlias = NDArray[np.int64]
    PlaceArray: TypeAlias = NDArray[np.int8]
    FloatArray: TypeAlias = NDArray[np.float64]

Kernels = Mapping[Callable[..., Any], Callable[..., Any]]
"""For each kernel what is called in its place."""
Made = TypeVar("Made")
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
MOST_DIGITS = 18
"""A column is kept as 64-bit numbers where none of it has more digits."""
_UNITS = [Decimal(1).scaleb(-places) for places in range(2 * MOST_DIGITS + 1)]
_POWERS = [10**places for places in range(MOST_DIGITS + 1)]
_BOOKED = 8
MOST = 2**62
"""Whole numbers below it, and twice as many, are of 64 bits."""
# Whole numbers below it are floats too, and the quotient of two of them is the float next to it.
_MOST_OF_A_FLOAT = 2**53
_WIDE = Context(prec=80)
_FIRST_BLOCK, _BLOCK = 32, 512
_TIMES_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """Bars of one series: when each closed, and its five numbers.

    Prices are multiples of 10 ** -``places``. ``own`` are the places that each number was written with; volumes are
    multiples of that, each of its own.
    """

    symbol: str
    timeframe: Timeframe
    times: "IntArray"
    numbers: "tuple[IntArray, ...]"
    places: int
    own: "tuple[PlaceArray, ...]"


class WorthScale(NamedTuple):
    """Money in units of 10 ** -``fine``, as ``scans.worth`` takes it: it adds ``rest``, and divides by ``step``."""

    fine: int
    whole: int
    rest: int
    step: int


class ColumnRun:
    """A run of bars that are there as columns. ``kernels`` are what to call for those of ``scans``."""

    ahead = 1024

    def __init__(self, columns: SeriesColumns, kernels: Kernels) -> None:
        self.symbol = columns.symbol
        self.timeframe = columns.timeframe
        self._columns = columns
        self.kernels = kernels
        self._times = columns.times
        self._highs, self._lows, self._closes = (columns.numbers[column] for column in (HIGH, LOW, CLOSE))
        self.places = columns.places
        """Prices are multiples of 10 ** -``places``."""
        self.highest = int(self._highs.max())
        """The highest price, in that unit."""
        self._gaps = _gaps(self._times, columns.timeframe)
        self._touch = kernels[scans.touch]
        self._extremes = kernels[scans.extremes]
        self._touched: tuple[Decimal | None, Decimal | None, int, int, int] = None, None, 0, 0, 0
        self._stray = kernels[scans.stray]
        self._worths = kernels[scans.worths]
        self._turning = kernels[scans.turning]
        self._scaled: tuple[Worth | None, tuple[int, int, int, int] | None] = None, None
        self._made: dict[Hashable, object] = {}

    def __len__(self) -> int:
        return len(self._times)

    @property
    def closes(self) -> "IntArray":
        """The closes, in units of ``places``."""
        return self._closes

    @property
    def closed(self) -> "IntArray":
        """When the bars closed."""
        return self._times

    @property
    def highs(self) -> "IntArray":
        """The highs, in units of ``places``."""
        return self._highs

    @property
    def lows(self) -> "IntArray":
        """The lows, in units of ``places``."""
        return self._lows

    @cached_property
    def floats(self) -> "tuple[FloatArray, FloatArray, FloatArray] | None":
        """The highs, lows and closes as the floats next to them; ``None`` where they have too many digits for that."""
        if self.highest >= _MOST_OF_A_FLOAT:
            return None
        unit = float(_POWERS[self.places])
        return self._highs / unit, self._lows / unit, self._closes / unit

    @cached_property
    def candles(self) -> BarArrays | None:
        """The bars as the floats next to their numbers; ``None`` where those have too many digits for that."""
        import numpy as np

        opens, highs, lows, closes, volumes = self._columns.numbers
        written = self._columns.own[VOLUME]
        if max(self.highest, int(volumes.max())) >= _MOST_OF_A_FLOAT or int(written.max()) > MOST_DIGITS:
            return None
        unit, units = float(_POWERS[self.places]), np.array(_POWERS, np.float64)
        ts_ms = (self._times - self.timeframe) // NANOS_PER_MS
        prices = (prices / unit for prices in (opens, highs, lows, closes))
        columns: list[Any] = [ts_ms, *prices, volumes / units[written]]
        return BarArrays(*columns)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what ``make`` made of the columns when it was first asked for under ``key``."""
        if key not in self._made:
            self._made[key] = make()
        return cast("Made", self._made[key])

    def whole(self, price: Decimal) -> int | None:
        """Return ``price`` in units of ``places`` where it is a whole number of them, of 64 bits."""
        return _exact(price, self.places)

    def sum_of_closes(self, units: int, until: int) -> Decimal:
        """Return a sum of closes before ``until``, each taken at least once, as adding them up gives it."""
        finest = max(places for place, places in self._finer if place < until)
        return Decimal(units // _POWERS[self.places - finest]) * _UNITS[finest]

    @cached_property
    def _finer(self) -> list[tuple[int, int]]:
        """Each place at which a close is written with more digits than any before, and with how many."""
        own = self._columns.own[CLOSE]
        most = int(own.max())
        found = [(0, int(own[0]))]
        while found[-1][1] < most:
            place = int((own > found[-1][1]).argmax())
            found.append((place, int(own[place])))
        return found

    def bar(self, place: int) -> Bar:
        """Return one bar."""
        numbers = [self._decimal(column, place) for column in range(5)]
        return Bar(self.symbol, self.timeframe, self.time(place), *cast("list[Price]", numbers))  # type: ignore[arg-type]

    def bars(self, at: int, until: int) -> Iterator[Bar]:
        """Give the bars from ``at`` on, made a block at a time: often the first ones are enough."""
        symbol, timeframe, size = repeat(self.symbol), repeat(self.timeframe), _FIRST_BLOCK
        while at < until:
            end = min(at + size, until)
            columns = [self._decimals(column, at, end) for column in range(5)]
            yield from map(Bar, symbol, timeframe, self.times(at, end), *cast("list[list[Price]]", columns))
            at, size = end, min(2 * size, _BLOCK)

    def time(self, place: int) -> Nanos:
        """Return when a bar closed."""
        return Nanos(self._times.item(place))

    def times(self, at: int, until: int) -> Sequence[Nanos]:
        """Return when the bars from ``at`` on closed."""
        return cast("Sequence[Nanos]", array("q", self._times[at:until].tobytes()))

    def close(self, place: int) -> Price:
        """Return the close of a bar."""
        return Price(self._decimal(CLOSE, place))

    def closes_of(self, at: int, until: int) -> list[Decimal]:
        """Return the closes from ``at`` on."""
        return self._decimals(CLOSE, at, until)

    def find(self, ts: int, at: int, until: int) -> int:
        """Return the first place from ``at`` on that closed at ``ts`` or later."""
        # Mostly it is a day's end, and lies beyond them all.
        return until if self._times.item(until - 1) < ts else at + int(self._times[at:until].searchsorted(ts))

    def days(self, at: int, until: int) -> Iterator[int]:
        """Give the last place of each UTC day, and the last of all."""
        return last_of_days(self, at, until)

    def gap(self, at: int, until: int) -> int:
        """Return the first place behind ``at`` that did not open where the one before closed."""
        following = bisect_right(self._gaps, at)
        return min(self._gaps[following], until) if following < len(self._gaps) else until

    def touch(self, at: int, until: int, low: Decimal | None, high: Decimal | None) -> int:
        """Return the first place from ``at`` on that was down at ``low`` or up at ``high``.

        What was found last is remembered: of several series all are asked again when something happens to one.
        """
        if low is None and high is None:
            return until
        known_low, known_high, first, place, end = self._touched
        if known_low is not low or known_high is not high or not first <= at <= place or place == end < until:
            least = scans.NEVER_LOW if low is None else _whole(low, self.places, ROUND_FLOOR)
            most = scans.NEVER_HIGH if high is None else _whole(high, self.places, ROUND_CEILING)
            place = int(self._touch(self._highs, self._lows, at, until, least, most))
            self._touched = low, high, at, place, until
        return min(place, until)

    def close_beyond(self, at: int, until: int, price: Price, sign: int) -> int:
        """Return the first place from ``at`` on that closed below ``price`` where ``sign`` is 1, above it where -1."""
        least, most = scans.NEVER_LOW, scans.NEVER_HIGH
        if sign > 0:
            least = _whole(price, self.places, ROUND_CEILING) - 1
        else:
            most = min(_whole(price, self.places, ROUND_FLOOR) + 1, most)
        return int(self._touch(self._closes, self._closes, at, until, least, most))

    def extremes(self, at: int, until: int) -> tuple[Price, Price]:
        """Return the lowest low and the highest high from ``at`` on."""
        lowest, highest = self._extremes(self._highs, self._lows, at, until)
        return Price(self._decimal(LOW, lowest)), Price(self._decimal(HIGH, highest))

    def span(self, at: int, until: int, worth: Worth) -> tuple[Cash, Cash]:
        """Return the least and the most equity from ``at`` on."""
        lowest, highest = self._extremes(self._closes, self._closes, at, until)
        return worth.between(self.close(lowest), self.close(highest))

    def stray(self, at: int, until: int, worth: Worth, low: Cash, high: Cash) -> int:
        """Return the first place from ``at`` on with an equity at or below ``low``, or above ``high``."""
        scale = self._scale(worth)
        if scale is None:
            closes = enumerate(self._decimals(CLOSE, at, until), at)
            return next((place for place, close in closes if not low < worth.at(Price(close)) <= high), until)
        least, most = _whole(low, _BOOKED, ROUND_FLOOR), _whole(high, _BOOKED, ROUND_FLOOR)
        return int(self._stray(self._closes, at, until, *scale, least, most))

    def points(self, at: int, until: int, worth: Worth) -> Points:
        """Return the equity from ``at`` on."""
        scale = self._scale(worth)
        if scale is None:
            return BookedPoints([worth.at(Price(close)) for close in self._decimals(CLOSE, at, until)])
        units = self._closes[at:until].copy()
        self._worths(self._closes, at, until, *scale, units)
        return UnitPoints(units, self._turning)

    def _decimal(self, column: int, place: int) -> Decimal:
        written = self._columns.own[column].item(place)
        shift = _POWERS[self.places - written] if column < VOLUME else 1
        return Decimal(self._columns.numbers[column].item(place) // shift) * _UNITS[written]

    def _decimals(self, column: int, at: int, until: int) -> list[Decimal]:
        written = self._columns.own[column][at:until].tolist()
        numbers: list[int] = self._columns.numbers[column][at:until].tolist()
        if column < VOLUME and min(written) < self.places:
            numbers = [number // _POWERS[self.places - one] for number, one in zip(numbers, written, strict=True)]
        return list(map(mul, map(Decimal, numbers), map(_UNITS.__getitem__, written)))

    def _scale(self, worth: Worth) -> tuple[int, int, int, int] | None:
        """Return ``worth`` in whole numbers; ``None`` where 64 bits or the digits of money do not hold it exactly."""
        known, numbers = self._scaled
        if known is not worth:
            found = scale(worth.cash, worth.cost, [(worth.qty, self.places, self.highest)])
            numbers = None if found is None else (int(worth.qty.scaleb(found.fine - self.places, _WIDE)), *found[1:])
            self._scaled = worth, numbers
        return numbers


class UnitPoints:
    """Points as multiples of 1e-8."""

    __slots__ = ("_turning", "_units")

    def __init__(self, units: "IntArray", turning: Callable[..., int]) -> None:
        self._units = units
        self._turning = turning

    @property
    def last(self) -> Cash:
        """The last one."""
        return _cash(int(self._units[-1]))

    @property
    def highest(self) -> Cash:
        """The highest one."""
        return _cash(int(self._units.max()))

    @property
    def lowest(self) -> Cash:
        """The lowest one."""
        return _cash(int(self._units.min()))

    def stray(self, low: Cash, high: Cash) -> int:
        """Return the place of the first at or below ``low``, or above ``high``; there is one."""
        least, most = _whole(low, _BOOKED, ROUND_FLOOR), _whole(high, _BOOKED, ROUND_FLOOR)
        return int(((self._units <= least) | (self._units > most)).argmax())

    @property
    def before_last(self) -> Sequence[int]:
        """All but the last one, as multiples of 1e-8."""
        return array("q", self._units[:-1].tobytes())

    def but_last(self) -> "UnitPoints | None":
        """Return the points before the last one, if there are any."""
        return UnitPoints(self._units[:-1], self._turning) if len(self._units) > 1 else None

    def turning(self, peak: Cash, trough: Cash, drawdown: Ratio) -> Iterable[Cash]:
        """Give, in their order, those but the last one on which the deepest fall from ``peak`` on can depend."""
        units = self._units
        tops = _exact(peak, _BOOKED), _exact(trough, _BOOKED)
        if None in tops:
            return map(_cash, units[:-1].tolist())
        found = units.copy()
        # What is a little less deep does no harm.
        count = self._turning(units, len(units) - 1, *tops, float(drawdown) * (1 - 1e-9), found)
        return map(_cash, found[:count].tolist())


def _gaps(times: "IntArray", step: int) -> list[int]:
    """Return the places whose time is not ``step`` after the one before; in blocks, for memory."""
    found: list[int] = []
    for at in range(0, len(times) - 1, _TIMES_AT_ONCE):
        block = times[at : at + _TIMES_AT_ONCE + 1]
        found += (((block[1:] - block[:-1]) != step).nonzero()[0] + at + 1).tolist()
    return found


def _cash(units: int) -> Cash:
    return Cash(Decimal(units) * _UNITS[_BOOKED])


def _exact(number: Decimal, places: int) -> int | None:
    """Return ``number`` in units of 10 ** -``places`` where it is a whole number of them, of 64 bits."""
    scaled = number.scaleb(places, _WIDE)
    whole = int(scaled)
    return whole if whole == scaled and abs(whole) < MOST else None


def _whole(number: Decimal, places: int, rounding: str) -> int:
    """Return ``number`` in units of 10 ** -``places``, rounded; what 64 bits do not hold is beyond every price."""
    scaled = number.scaleb(places, _WIDE)
    if not -MOST < scaled < MOST:
        return scans.NEVER_HIGH if number > 0 else scans.NEVER_LOW
    return int(scaled.to_integral_value(rounding))


def scale(cash: Cash, cost: Cash, held: Sequence[tuple[Qty, int, int]]) -> WorthScale | None:
    """Return the unit in which all sums of money are whole, with what is fixed of them.

    ``held`` are quantities, each with the places of its prices and the highest of them. ``None`` where 64 bits or the
    digits of money do not hold each sum exactly.
    """
    fixed = _WIDE.subtract(cash, cost)
    fine = max(-_exponent(fixed), -_exponent(cash), -_exponent(cost), _BOOKED)
    fine = max(fine, *(places - _exponent(qty) for qty, places, _ in held))
    most = abs(cash) + abs(cost) + sum((abs(qty) * high * _UNITS[places] for qty, places, high in held), ZERO)
    # Neither a product nor a sum may need more digits than money is reckoned with, else it would be rounded there.
    if fine - _BOOKED > MOST_DIGITS or most.adjusted() + 2 + fine > MONEY_CONTEXT.prec:
        return None
    values = sum((abs(qty.scaleb(fine - places, _WIDE)) * high for qty, places, high in held), ZERO)
    if values >= MOST or most * _POWERS[_BOOKED] >= MOST:
        return None
    step = _POWERS[fine - _BOOKED]
    whole, rest = divmod(int(fixed.scaleb(fine, _WIDE)), step)
    return WorthScale(fine, whole, rest, step)


def _exponent(number: Decimal) -> int:
    return int(number.as_tuple().exponent)
