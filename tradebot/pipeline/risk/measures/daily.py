"""The last close of each UTC day of each symbol, and the returns between them.

A day counts once any symbol has a bar of it; one without a bar of a symbol carries that symbol's last close on, so
that the next return holds the whole move. A day is over with the first bar that closes behind its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import fsum
from operator import mul

from tradebot.model.money import Price
from tradebot.model.time import DAY, Nanos
from tradebot.pipeline.risk.measures.moments import Sample, quantile

LEAST_RETURNS = 30
"""Of fewer daily returns nothing is said."""
WINDOW_DAYS = 90
"""Over how many daily returns everything is measured, where the configuration says nothing else."""

# Of how many sets of symbols the returns are kept side by side: what is held, and that with an entry.
_BOOKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyState:
    """``days`` are those that are over, counted from the epoch, oldest first; ``closes`` of a symbol end with the last.

    ``day`` is the one that is not over, ``forming`` the last close of each symbol in it.
    """

    day: int = 0
    forming: dict[str, Price] = field(default_factory=dict)
    days: tuple[int, ...] = ()
    closes: dict[str, tuple[Price, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Book:
    """The returns of some symbols, those of one day side by side, and what the last amounts of them came to.

    It is asked for at every signal, and changed by fills alone.
    """

    rows: Sequence[tuple[float, ...]]
    amounts: list[float] = field(default_factory=list)
    pnl: Sample = field(default_factory=Sample)


class Panel:
    """Simple daily returns by symbol, oldest first, all ending with one day; at least ``LEAST_RETURNS`` each."""

    __slots__ = ("_added", "_asked", "_books", "_quantiles", "returns")

    def __init__(self, returns: Mapping[str, tuple[float, ...]]) -> None:
        self.returns = returns
        self._books: dict[tuple[str, ...], _Book] = {}
        self._quantiles: dict[tuple[str, int, float], float] = {}
        # What was added last, to what, and what that gave: each limit asks for the same.
        self._asked: tuple[Sequence[float], str, float] = ((), "", 0.0)
        self._added = Sample()

    def pnl(self, notionals: Mapping[str, float]) -> Sample | None:
        """Return what each day of the window would have made of positions worth ``notionals`` (short < 0) now.

        Oldest first; as many days as all of the symbols have. ``None`` when one of them has too few. The order of
        ``notionals`` does not matter, to the last bit.
        """
        symbols = tuple(notionals)
        book = self._books.get(symbols)
        if book is None:
            if any(symbol not in self.returns for symbol in symbols):
                return None
            columns = [self.returns[symbol] for symbol in symbols]
            days = min(map(len, columns), default=0)
            book = self._books[symbols] = _Book(list(zip(*(column[-days:] for column in columns), strict=True)))
            if len(self._books) > _BOOKS:
                del self._books[next(iter(self._books))]
        amounts = list(notionals.values())
        # Several limits, and several signals of one turn, ask for the same.
        if amounts != book.amounts:
            book.pnl = Sample(fsum(map(mul, amounts, row)) for row in book.rows)
            book.amounts = amounts
        return book.pnl

    def quantile(self, symbol: str, side: int, part: float) -> float | None:
        """Return the quantile of the returns of ``symbol`` times ``side``; ``None`` when it has too few."""
        key = symbol, side, part
        found = self._quantiles.get(key)
        if found is None and symbol in self.returns:
            ordered = sorted(side * value for value in self.returns[symbol])
            found = self._quantiles[key] = quantile(ordered, part)
        return found

    def added(self, pnl: Sequence[float], symbol: str, notional: float) -> Sample | None:
        """Return ``pnl`` with ``notional`` more of ``symbol``; ``None`` when that symbol has too few returns."""
        returns = self.returns.get(symbol)
        if returns is None:
            return None
        of, what, amount = self._asked
        if of is not pnl or what != symbol or amount != notional:
            self._asked = pnl, symbol, notional
            days = min(len(pnl), len(returns)) if pnl else len(returns)
            before = pnl[-days:] if pnl else (0.0,) * days
            self._added = Sample(old + notional * one for old, one in zip(before, returns[-days:], strict=True))
        return self._added


class DailyCloses:
    """Collects closes from bars; ``window`` >= ``LEAST_RETURNS`` is how many returns are kept."""

    __slots__ = ("_closes", "_day", "_days", "_end", "_forming", "_panel", "_window")

    def __init__(self, window: int = WINDOW_DAYS) -> None:
        self._window = window
        self._day = 0
        self._end = 0
        self._forming: dict[str, Price] = {}
        self._days: tuple[int, ...] = ()
        self._closes: dict[str, tuple[Price, ...]] = {}
        self._panel: Panel | None = None

    def close(self, symbol: str, ts: Nanos, price: Price) -> None:
        """Take the close of a bar that ended at ``ts``, exclusive."""
        if ts > self._end:
            self._turn(ts)
        elif ts <= self._end - DAY:
            self._amend(symbol, ts, price)
            return
        self._forming[symbol] = price

    def panel(self) -> Panel:
        """Return the returns of the days that are over; the same until another is."""
        if self._panel is None:
            self._panel = Panel(
                {
                    symbol: _returns(closes)
                    for symbol, closes in sorted(self._closes.items())
                    if len(closes) > LEAST_RETURNS
                }
            )
        return self._panel

    def save(self) -> DailyState:
        """Return all closes."""
        return DailyState(day=self._day, forming=dict(self._forming), days=self._days, closes=dict(self._closes))

    def load(self, state: DailyState) -> None:
        """Become what ``save`` saw."""
        self._day, self._end = state.day, _end(state.day) if state.forming else 0
        self._forming = dict(state.forming)
        self._days, self._closes = state.days, dict(state.closes)
        self._panel = None

    def _turn(self, ts: Nanos) -> None:
        if self._forming:
            kept = self._window + 1
            self._days = (*self._days, self._day)[-kept:]
            known = {symbol: closes for symbol, closes in self._closes.items() if self._is_alive(symbol, closes)}
            for symbol in (*known, *(new for new in self._forming if new not in known)):
                closes = known.get(symbol, ())
                price = self._forming[symbol] if symbol in self._forming else closes[-1]
                known[symbol] = (*closes, price)[-kept:]
            self._closes = known
            self._forming = {}
            self._panel = None
        self._day = _day(ts)
        self._end = _end(self._day)

    def _is_alive(self, symbol: str, closes: tuple[Price, ...]) -> bool:
        """Return whether the window still holds a bar of ``symbol``, as far as its closes tell."""
        return symbol in self._forming or len(closes) <= self._window or any(one != closes[0] for one in closes)

    def _amend(self, symbol: str, ts: Nanos, price: Price) -> None:
        # The last bar of a day may come behind another symbol's first of the next.
        if self._days and _day(ts) == self._days[-1]:
            self._closes[symbol] = (*self._closes.get(symbol, ())[:-1], price)
            self._panel = None


def _day(ts: int) -> int:
    return (ts - 1) // DAY


def _end(day: int) -> int:
    return (day + 1) * DAY


def _returns(closes: Sequence[Price]) -> tuple[float, ...]:
    floats = [float(close) for close in closes]
    return tuple(after / before - 1.0 for before, after in pairwise(floats))
