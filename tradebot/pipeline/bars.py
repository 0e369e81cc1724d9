"""Bars and trades of the feed -> all bars that close together. The first stage of the line.

The finest bars of a symbol carry its turns: each closes one, and brings along every coarser bar that
closes with it - held back from the feed, or built here. A built bar whose last part is missing closes
with the symbol's next bar; one whose first part was never seen is not emitted.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd

from tradebot.model.errors import InvariantError
from tradebot.model.market import Bar, BarsClosed, Disorder, Gap, Message, Trade
from tradebot.model.time import Nanos, Timeframe, floor_to, timeframe_name
from tradebot.pipeline.buckets import Bucket, Builder
from tradebot.pipeline.runs import Run

# More coarse bars than this before a fine one are history of another file, not parts of a turn.
MAX_HELD = 500


@dataclass(frozen=True, slots=True)
class SeriesState:
    """One symbol: the newest close of each given timeframe, the bars held back and in the making."""

    last: dict[int, int]
    held: tuple[Bar, ...]
    buckets: dict[int, Bucket]
    last_trade: int | None


@dataclass(frozen=True, slots=True)
class BarsState:
    """The state of the stage, by symbol."""

    series: dict[str, SeriesState]


class BarsStage:
    """Make each turn's ``BarsClosed``, and say what is missing or late.

    ``sources`` are the timeframes the feed delivers for a symbol; an empty tuple means trades, of which
    every wanted timeframe is built. Raises ``ValueError`` where a wanted timeframe cannot be built.
    """

    STATE = BarsState

    def __init__(
        self,
        sources: Mapping[str, tuple[Timeframe, ...]],
        wanted: Mapping[str, frozenset[Timeframe]],
    ) -> None:
        self._series = {
            symbol: _Series(symbol, timeframes, wanted.get(symbol, frozenset()))
            for symbol, timeframes in sources.items()
        }
        self.handlers: dict[type[Message], Callable[..., Sequence[Message]]] = {Bar: self._bar, Trade: self._trade}

    def handle(self, message: Message) -> Sequence[Message]:
        """Return the gaps or the disorder found, then the bars that closed."""
        handler = self.handlers.get(type(message))
        return () if handler is None else handler(message)

    def _bar(self, bar: Bar) -> Sequence[Message]:
        series = self._series.get(bar.symbol)
        if series is None:
            raise InvariantError(f"a bar of {bar.symbol}, which the feed did not announce")
        if series.is_single and bar.ts_event - bar.timeframe == series.last_finest and bar.timeframe == series.finest:
            series.last_finest = bar.ts_event
            return (BarsClosed(bar.symbol, bar.ts_event, (bar,)),)
        return series.take(bar)

    @property
    def is_single(self) -> bool:
        """Whether there is one symbol, and each of its bars makes a turn by itself."""
        return len(self._series) == 1 and self.are_single

    @property
    def are_single(self) -> bool:
        """Whether each bar of a symbol makes a turn by itself."""
        return all(series.is_single for series in self._series.values())

    def quiet(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar each opens where the one before closed."""
        series = self._series.get(run.symbol)
        if series is None or not series.is_single or series.finest != run.timeframe or series.last_finest is None:
            return at
        return run.gap(at, until) if run.time(at) == series.last_finest + series.finest else at

    def pass_over(self, run: Run, at: int, until: int) -> None:
        """Take bars that follow each other."""
        self._series[run.symbol].last_finest = run.time(until - 1)

    def _trade(self, trade: Trade) -> Sequence[Message]:
        series = self._series.get(trade.symbol)
        return () if series is None or not series.is_of_trades else series.take_trade(trade)

    def save(self) -> BarsState:
        """Return the state."""
        return BarsState({symbol: series.save() for symbol, series in self._series.items()})

    def load(self, state: BarsState) -> None:
        """Become what ``save`` saw; symbols it did not know start afresh."""
        for symbol, series in self._series.items():
            saved = state.series.get(symbol)
            if saved is not None:
                series.load(saved)


class _Series:
    """All timeframes of one symbol."""

    __slots__ = (
        "_builders",
        "_held",
        "_last_coarse",
        "_last_trade",
        "_prints",
        "_symbol",
        "_wanted",
        "finest",
        "is_of_trades",
        "is_single",
        "last_finest",
    )

    def __init__(self, symbol: str, sources: tuple[Timeframe, ...], wanted: frozenset[Timeframe]) -> None:
        if not sources and not wanted:
            raise ValueError(f"{symbol} is fed by trades, but no timeframe is wanted of it")
        self._symbol = symbol
        self._wanted = wanted
        self.is_of_trades = not sources
        # Of trades every length can be made, so also one that divides all that are wanted.
        self.finest = min(sources) if sources else Timeframe(gcd(*wanted))
        self._prints = Builder(symbol, self.finest) if self.is_of_trades else None
        missing = sorted(wanted.difference(sources, (self.finest,)), reverse=True)
        for timeframe in missing:
            _check_divides(symbol, self.finest, timeframe)
        self._builders = tuple(Builder(symbol, timeframe) for timeframe in missing)
        self.is_single = len(sources) == 1 and not missing
        self.last_finest: int | None = None
        self._last_coarse: dict[int, int | None] = {
            timeframe: None for timeframe in sorted(sources) if timeframe != self.finest
        }
        self._held: deque[Bar] = deque(maxlen=MAX_HELD)
        self._last_trade: int | None = None

    def take(self, bar: Bar) -> Sequence[Message]:
        """Return what follows from a bar of the feed."""
        timeframe = bar.timeframe
        if timeframe == self.finest:
            last = self.last_finest
        elif timeframe in self._last_coarse:
            last = self._last_coarse[timeframe]
        else:
            name = timeframe_name(timeframe)
            raise InvariantError(f"a {name} bar of {bar.symbol}, which the feed did not announce")
        out: list[Message] = []
        if last is not None:
            if bar.ts_event <= last:
                return (Disorder(symbol=bar.symbol, timeframe=timeframe, ts_event=bar.ts_event, ts_last=Nanos(last)),)
            missing = (bar.ts_event - last) // timeframe - 1
            if missing > 0:
                out.append(_gap(bar, last, missing))
        if timeframe != self.finest:
            self._last_coarse[timeframe] = bar.ts_event
            if timeframe in self._wanted:
                self._held.append(bar)
            return out
        self.last_finest = bar.ts_event
        out.append(self._close(bar))
        return out

    def _close(self, finest: Bar) -> BarsClosed:
        closed = [*self._held, finest]
        self._held.clear()
        for builder in self._builders:
            builder.add(finest, closed)
        # Alone it needs no sorting, and mostly it is.
        if len(closed) > 1:
            closed.sort(key=_longest_then_oldest_first)
        return BarsClosed(self._symbol, finest.ts_event, tuple(closed))

    def take_trade(self, trade: Trade) -> Sequence[Message]:
        """Return what follows from a print: a bar closes with the first trade after it."""
        prints = self._prints
        assert prints is not None  # noqa: S101 - the stage asks only series of trades  # nosec B101
        last = self._last_trade
        if last is not None and trade.ts_event < last:
            if trade.ts_event < prints.ts_open:
                late = trade.ts_event
                return (Disorder(symbol=self._symbol, timeframe=self.finest, ts_event=late, ts_last=Nanos(last)),)
        else:
            self._last_trade = trade.ts_event
        bar = prints.print(trade)
        return () if bar is None else self.take(bar)

    def save(self) -> SeriesState:
        last: dict[int, int] = {timeframe: ts for timeframe, ts in self._last_coarse.items() if ts is not None}
        if self.last_finest is not None:
            last[self.finest] = self.last_finest
        builders = self._builders if self._prints is None else (*self._builders, self._prints)
        buckets: dict[int, Bucket] = {b.timeframe: bucket for b in builders if (bucket := b.save()) is not None}
        return SeriesState(last, tuple(self._held), buckets, self._last_trade)

    def load(self, state: SeriesState) -> None:
        self.last_finest = state.last.get(self.finest)
        for timeframe in self._last_coarse:
            self._last_coarse[timeframe] = state.last.get(timeframe)
        self._held = deque(state.held, maxlen=MAX_HELD)
        for builder in self._builders:
            builder.load(state.buckets.get(builder.timeframe), self.last_finest is not None)
        if self._prints is not None:
            self._prints.load(state.buckets.get(self.finest), state.last_trade is not None)
        self._last_trade = state.last_trade


def _longest_then_oldest_first(bar: Bar) -> tuple[int, int]:
    return -bar.timeframe, bar.ts_event


def _gap(bar: Bar, last: int, missing: int) -> Gap:
    return Gap(symbol=bar.symbol, timeframe=bar.timeframe, ts_from=Nanos(last), ts_to=bar.ts_open, missing=missing)


def _check_divides(symbol: str, finest: Timeframe, wanted: Timeframe) -> None:
    if wanted % finest:
        given, name = timeframe_name(finest), timeframe_name(wanted)
        raise ValueError(
            f"{symbol}: {name} bars cannot be built from {given} bars: {name} is not a multiple of {given}"
        )
    # Weeks open on Mondays, other bars count from the epoch, a Thursday: 3d bars do not fill weeks.
    ts_open = floor_to(0, wanted)
    if floor_to(ts_open, finest) != ts_open:
        given, name = timeframe_name(finest), timeframe_name(wanted)
        raise ValueError(f"{symbol}: {name} bars cannot be built from {given} bars: they do not open together")
