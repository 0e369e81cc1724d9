"""Asks over REST for the bars that the socket may have missed, beside the reading of the socket."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tradebot.backoff import Backoff
from tradebot.live.market_bars import LiveBars
from tradebot.live.market_time import MarketTime
from tradebot.log import log
from tradebot.model.errors import VenueError
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Bar
from tradebot.model.time import Nanos, floor_to
from tradebot.model.venue import Purpose
from tradebot.ports import Market

# Between two rounds, so that a socket full of garbage does not use up our requests.
_PAUSES = Backoff(1.0, 30.0)
# A request that waits for the budget asks for what was when it began to wait: few at a time.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """The closed bars of ``symbol`` as REST had them at market time ``now``; ``None`` and why, when it has none."""

    symbol: str
    bars: Sequence[Bar] | None
    now: Nanos
    error: str = ""


class Gaps:
    """One round after the other while a symbol needs its past; ``wake`` is set when answers are there."""

    def __init__(self, market: Market, bars: Mapping[str, LiveBars], time: MarketTime, wake: asyncio.Event) -> None:
        self._market, self._bars, self._time, self._wake = market, bars, time, wake
        self._asked = asyncio.Event()
        self._answers: list[Answer] = []
        self._failures = 0
        self._past: dict[str, Answer] = {}
        self._few = asyncio.Semaphore(_AT_ONCE)

    def ask(self) -> None:
        """Have asked what any symbol needs, when the time for the next round has come."""
        if any(bars.needs_history for bars in self._bars.values()):
            self._asked.set()

    def take(self) -> Sequence[Answer]:
        """Take the answers that came."""
        answers, self._answers = self._answers, []
        return answers

    async def run(self, is_up: Callable[[], bool]) -> None:
        """Ask round after round, for ever; only while the socket ``is_up``, for then later bars come of it."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            symbols = [symbol for symbol, bars in self._bars.items() if bars.needs_history]
            if symbols and is_up():
                await self._round(symbols)
                await asyncio.sleep(_PAUSES.delay_s(self._failures + 1))

    async def _round(self, symbols: Sequence[str]) -> None:
        asked = {symbol: self._bars[symbol] for symbol in symbols}
        for bars in asked.values():
            bars.ask()
        try:
            self._time.stamped(await self._market.market_time(symbols[0], Purpose.HISTORY))
            answers = await asyncio.gather(*(self._answer(symbol, bars) for symbol, bars in asked.items()))
        except VenueError as error:
            answers = [Answer(symbol, None, Nanos(0), str(error)) for symbol in symbols]
        self._pace([answer for answer in answers if answer.bars is None])
        self._answers += answers
        self._wake.set()

    def _pace(self, failed: Sequence[Answer]) -> None:
        if failed and not self._failures:
            symbols = ",".join(answer.symbol for answer in failed)
            log(LogEvent.GAP_LEFT, level="warning", symbols=symbols, error=failed[0].error)
        self._failures = self._failures + 1 if failed else 0

    async def _answer(self, symbol: str, bars: LiveBars) -> Answer:
        try:
            return await self._read(symbol, bars)
        except VenueError as error:
            return Answer(symbol, None, Nanos(0), str(error))

    async def past(self, bars_each: int) -> Sequence[Answer]:
        """Return what symbols lack of their past, and ``bars_each`` bars of those never seen; nothing of all others.

        Raises ``VenueError``; what was answered until then is not asked for again.
        """
        if not self._bars:
            return ()
        # All of trading waits for it, and it costs little.
        self._time.stamped(await self._market.market_time(min(self._bars), Purpose.TRADE))
        lacking = [symbol for symbol, bars in sorted(self._bars.items()) if bars.look(self._time.now())]
        for symbol in lacking if bars_each == 0 else ():
            if self._bars[symbol].last is None:
                self._past[symbol] = Answer(symbol, (), self._time.now())
        asked = [symbol for symbol in lacking if symbol not in self._past]
        for symbol in lacking:
            self._bars[symbol].ask()
        read = (self._read(symbol, self._bars[symbol], bars_each) for symbol in asked)
        failed: list[BaseException] = []
        for symbol, answer in zip(asked, await asyncio.gather(*read, return_exceptions=True), strict=True):
            if isinstance(answer, Answer):
                self._past[symbol] = answer
            elif symbol in self._bars:
                self._bars[symbol].unanswered()
                failed.append(answer)
        if failed:
            raise failed[0]
        answers, self._past = tuple(self._past.values()), {}
        return answers

    async def _read(self, symbol: str, bars: LiveBars, bars_each: int = 0) -> Answer:
        async with self._few:
            now = self._time.now()
            begin = Nanos(floor_to(now, bars.timeframe) - bars_each * bars.timeframe)
            start = begin if bars.last is None else bars.last
            found = await self._market.bars(symbol, bars.timeframe, (start, now), Purpose.HISTORY)
            return Answer(symbol, found, now)


async def wait(event: asyncio.Event, at_most_s: float) -> None:
    """Return when ``event`` is set, or after ``at_most_s``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(at_most_s):
            await event.wait()
    event.clear()
