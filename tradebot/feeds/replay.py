"""Recorded bars and ticks as a market: one or many series, interleaved as the turns of the line want them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from typing import Protocol, TypeAlias

from tradebot.model.errors import ConfigError
from tradebot.model.market import Bar, Quote, Trade
from tradebot.model.time import Timeframe, timeframe_name

MarketMessage: TypeAlias = Bar | Trade | Quote


class BarSource(Protocol):
    """The bars of one symbol and timeframe, oldest first, that can be read again."""

    @property
    def symbol(self) -> str:
        """Whose bars they are."""
        ...

    @property
    def timeframe(self) -> Timeframe:
        """How long they are."""
        ...

    def skip(self, count: int) -> Iterator[Bar]:
        """Give the bars after the first ``count``."""
        ...

    def digest(self) -> str:
        """Return a text that changes with the content."""
        ...


class TickSource(Protocol):
    """The trades or quotes of one symbol, oldest first, that can be read again."""

    @property
    def name(self) -> str:
        """Whose and what they are, such as ``BTC:trades``."""
        ...

    def skip(self, count: int) -> Iterator[Trade | Quote]:
        """Give what comes after the first ``count``."""
        ...

    def digest(self) -> str:
        """Return a text that changes with the content."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayState:
    """How many of each series, such as ``BTC:5m``, have been given out."""

    delivered: Mapping[str, int]


class Replay:
    """Bars by closing time, then symbol (byte order), then longest timeframe first; ticks by time, after those bars.

    A bar ends before its closing time: what happens then is of the next. After the last bar nothing is decided any
    more, and nothing given. The order of ``sources`` does not matter. ``load`` starts a new iteration; an iterator
    taken before is void. Raises ``ConfigError`` when two sources have one symbol and timeframe, or when there is none.
    """

    STATE = ReplayState

    def __init__(self, sources: Sequence[BarSource], ticks: Sequence[TickSource] = ()) -> None:
        # Code points sort as their UTF-8 bytes do.
        bars = sorted(sources, key=lambda source: (source.symbol, -source.timeframe))
        self._names = [f"{source.symbol}:{timeframe_name(source.timeframe)}" for source in bars]
        self._names += [source.name for source in sorted(ticks, key=lambda source: source.name)]
        self._sources: list[BarSource | TickSource] = [*bars, *sorted(ticks, key=lambda source: source.name)]
        if not bars:
            raise ConfigError("a replay without data", mend="list files in [feed] data, or give --data")
        for name, following in zip(self._names, self._names[1:], strict=False):
            if name == following:
                raise ConfigError(f"{name} has two data files", mend="name one file for each symbol and timeframe")
        self._bar_sources = len(bars)
        self._counts = [0] * len(self._sources)
        self._bars = self._start()

    def __iter__(self) -> Iterator[MarketMessage]:
        # Not self: a for loop then runs the generator itself, without a call of __next__ for each bar.
        return self._bars

    def __next__(self) -> MarketMessage:
        return next(self._bars)

    def describe(self) -> str:
        """Return each series with the digest of its data."""
        return ";".join(f"{name}={source.digest()}" for name, source in zip(self._names, self._sources, strict=True))

    def save(self) -> ReplayState:
        """Return the cursor."""
        return ReplayState(dict(zip(self._names, self._counts, strict=True)))

    def load(self, state: ReplayState) -> None:
        """Go on after what was given out. Raises ``ConfigError`` when the cursor is of other series."""
        if set(state.delivered) != set(self._names):
            raise ConfigError(
                f"the replay stood in {', '.join(sorted(state.delivered))}, the data now are {', '.join(self._names)}",
                mend="restore [feed] data, or begin anew with `tradebot state reset`",
            )
        self._counts = [state.delivered[name] for name in self._names]
        self._bars = self._start()

    def _start(self) -> Iterator[MarketMessage]:
        return self._single() if len(self._sources) == 1 else self._merged()

    def _single(self) -> Iterator[MarketMessage]:
        counts = self._counts
        for bar in self._sources[0].skip(counts[0]):
            counts[0] += 1
            yield bar

    def _merged(self) -> Iterator[MarketMessage]:
        counts = self._counts
        readers: list[Iterator[MarketMessage]] = [
            source.skip(count) for source, count in zip(self._sources, counts, strict=True)
        ]
        heads: dict[int, MarketMessage] = {}
        # Which series close at a time. Most of them do so together, so that the heap of times is seldom touched.
        due: dict[int, list[int]] = {}
        times: list[int] = []
        for rank, reader in enumerate(readers):
            for first in islice(reader, 1):
                heads[rank] = first
                due.setdefault(first.ts_event, []).append(rank)
        times.extend(sorted(due))
        lasting = {rank for rank in heads if rank < self._bar_sources}
        while lasting:
            now = heappop(times)
            for rank in sorted(due.pop(now)):
                following: MarketMessage | None = heads[rank]
                # Of ticks of one time all of a source are given before the next: so it can be resumed between any two.
                while following is not None and following.ts_event == now:
                    counts[rank] += 1
                    yield following
                    following = next(readers[rank], None)
                if following is None:
                    lasting.discard(rank)
                    if not lasting:
                        return
                    continue
                heads[rank] = following
                together = due.get(following.ts_event)
                if together is None:
                    due[following.ts_event] = [rank]
                    heappush(times, following.ts_event)
                else:
                    together.append(rank)
