"""The feed of a live market: closed bars out of the socket, what it missed over REST, and who is too long silent.

The socket is read without a pause: frames of a forming bar replace each other, so that little is kept however long
the line is busy. Bars that come late are for strategies to know and for exits, not for entries.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, assert_never

from tradebot.live.freezer import FreezeReason
from tradebot.live.market_bars import LiveBars
from tradebot.live.market_gaps import Answer, Gaps, wait
from tradebot.live.market_looks import Looks, seen
from tradebot.live.market_silence import ALL, Silence
from tradebot.live.market_time import MarketTime
from tradebot.live.market_turns import Due, Turns
from tradebot.log import log
from tradebot.model.command import CommandDone, Verb
from tradebot.model.errors import ConfigError, Unavailable
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Bar, Message, SymbolPrices
from tradebot.model.money import Price
from tradebot.model.time import NANOS_PER_S, Nanos, Timeframe, to_ms
from tradebot.model.venue import (
    ChannelKind,
    Down,
    Formed,
    Garbled,
    Heard,
    MarketContext,
    MarketEvent,
    OrderBook,
    Printed,
    Quoted,
    Silent,
    Up,
)
from tradebot.pipeline.arrivals import Arrivals
from tradebot.ports import Clock, FeedState, Market, MarketStream

LATE = 60 * NANOS_PER_S
"""On a bar that closed longer ago nothing is entered."""

_BEAT_S = 0.25
# So long the first question waits for the socket: what closes once it stands need not be asked for.
_CONNECT_S = 5.0
# A live socket is never that silent; a server may have lost frames of ours without closing it.
_QUIET_S = 5.0
_MEND_MARKET = "a devnet that was started again is another market: tradebot state reset begins afresh with it"


@dataclass(frozen=True, slots=True)
class FeedPace:
    """How a live feed is to be: stale after ``stale_s`` of silence, begun with ``history_bars`` of each symbol."""

    stale_s: float
    history_bars: int


class FeedLine(Protocol):
    """What the feed asks of the line."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Journal each message as an input and run its turn, in order, waiting for room."""
        ...

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        """Run a command as a turn. Raises ``Unavailable`` when the end has begun."""
        ...


class MarketFeed:
    """Delivers each closed bar of ``symbols`` once, and freezes entries while they are not to be relied on.

    ``symbols`` names the timeframe of each symbol. ``arrivals`` knows the bars that went through the line, and
    learns of each that is delivered. ``on_mark`` hears every mark price, ``on_silent`` each channel that fell silent
    while others speak. The line is told what the market is like before bars on which it may enter, and whenever that
    ``is_alarming``: it is asked four times a second.
    """

    when_full = "never full: forming bars replace each other"

    def __init__(
        self,
        market: Market,
        stream: MarketStream,
        arrivals: Arrivals,
        symbols: Mapping[str, Timeframe],
        pace: FeedPace,
        line: FeedLine,
        clock: Clock,
    ) -> None:
        self._stream, self._arrivals, self._pace = stream, arrivals, pace
        self._grace = market.capabilities.bar_grace
        self._all, self._symbols, self._line, self._clock = symbols, dict(symbols), line, clock
        self._bars: dict[str, LiveBars] = {}
        self._time = MarketTime(market.now_ms)
        # When, in market time, the socket last told anything of a symbol.
        self._heard: dict[str, Nanos] = {}
        self._wake = asyncio.Event()
        self._gaps = Gaps(market, self._bars, self._time, self._wake)
        self._looks = Looks()
        self._begin()
        self._listener: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._is_up: bool | None = None
        self._is_closing = False
        self._deaf: set[str] = set()
        self.on_mark: Callable[[str, Price], None] = lambda symbol, price: None
        self.on_silent: Callable[[Silent], None] = lambda silent: None
        self.is_alarming: Callable[[Sequence[SymbolPrices]], bool] = lambda prices: False
        self.last_message_at: float | None = None
        self.finished = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many closed bars wait for their turn."""
        return len(self._turns)

    @property
    def state(self) -> FeedState:
        """What the feed does; a live market never finishes."""
        is_open = self.is_connected and self._listener is None
        return FeedState.STREAMING if is_open else FeedState.WAITING

    @property
    def is_connected(self) -> bool:
        """Whether the socket stands with all its subscriptions."""
        return self._stream.is_up

    def _begin(self) -> None:
        """Go on after what went through the line, whatever was under way."""
        for symbol, timeframe in self._symbols.items():
            self._bars[symbol] = LiveBars(timeframe, self._grace, self._arrivals.last(symbol))
        self._turns = Turns()
        self._silence = Silence(self._symbols, self._pace.stale_s, self._clock.monotonic())

    async def keep(self, symbols: Collection[str]) -> None:
        """Feed those of its symbols that are among ``symbols``: the others are not traded at the venue now."""
        wanted = {symbol: timeframe for symbol, timeframe in self._all.items() if symbol in symbols}
        if wanted.keys() == self._symbols.keys():
            return
        for symbol in self._symbols.keys() - wanted.keys():
            del self._bars[symbol]
            self._silence.drop(symbol)
            self._deaf.discard(symbol)
        for symbol in sorted(wanted.keys() - self._symbols.keys()):
            self._bars[symbol] = LiveBars(wanted[symbol], self._grace, self._arrivals.last(symbol))
            self._silence.add(symbol, self._clock.monotonic())
        self._symbols = wanted
        await self._stream.want(wanted)
        self._wake.set()

    async def open(self) -> None:
        """Let the line see what it has not of the past, without entries; what closes meanwhile comes of the socket.

        Raises ``VenueError`` while the venue cannot be asked, ``ConfigError`` when it is behind what we have.
        """
        if self._listener is None:
            self._begin()
            self._listener = asyncio.create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                await self._tried.wait()
        answers = await self._gaps.past(self._pace.history_bars)
        self._check_not_behind()
        bars: list[Bar] = []
        for answer in answers:
            if answer.symbol in self._bars:
                bars += self._bars[answer.symbol].on_history(answer.bars or (), answer.now)
        for symbol, live in self._bars.items():
            bars += live.closed(self._time.now(), self._heard.get(symbol, Nanos(0)))
        bars.sort(key=lambda bar: (bar.ts_event, bar.symbol))
        if bars:
            await self._deliver_frozen(bars)
        _log_filled(bars)

    def _check_not_behind(self) -> None:
        now = self._time.now()
        for symbol, live in self._bars.items():
            if live.last is not None and live.last > now + 2 * live.timeframe:
                raise ConfigError(
                    f"the journal has newer bars of {symbol} than the market: it is not the market they came from",
                    mend=_MEND_MARKET,
                )

    async def run(self, ready: Callable[[], None]) -> None:
        """Feed until ``close``, from where ``open`` has come to."""
        listener, self._listener = self._listener, None
        if listener is None:
            self._begin()
        ready()
        log(LogEvent.FEED_STARTED, source=self._arrivals.describe()[:200])
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(self._listen() if listener is None else _follow(listener)),
                    tasks.create_task(self._gaps.run(lambda: self.is_connected)),
                ]
                await self._serve()
                for task in beside:
                    task.cancel()
        except ExceptionGroup as failed:
            # One failure ends all; whoever watches wants to know which.
            raise failed.exceptions[0] from None
        finally:
            await self._stream.close()

    async def shut(self) -> None:
        """Hang up, if ``open`` was not followed by ``run``."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait({listener})
            await self._stream.close()

    def close(self) -> None:
        """Let ``run`` end after the turn that is under way."""
        self._is_closing = True
        self._wake.set()

    async def _serve(self) -> None:
        while not self._has_ended():
            try:
                await self._beat()
            except Unavailable:
                # At the end the line takes no command any more; at any other time that is an error.
                if not self._has_ended():
                    raise
            await wait(self._wake, _BEAT_S)

    def _has_ended(self) -> bool:
        return self._is_closing

    async def _beat(self) -> None:
        await self._freeze_silent()
        self._take(self._gaps.take())
        if self.is_connected:
            self._close_bars()
        self._gaps.ask()
        due = self._turns.take(
            {symbol: bars.next_close for symbol, bars in self._bars.items()}, self._clock.monotonic()
        )
        for is_late, group in groupby(due, self._is_late):
            bars = [each.bar for each in group]
            if is_late:
                await self._deliver_frozen(bars)
            else:
                ts = max(self._time.now(), bars[-1].ts_event)
                await self._line.deliver([*seen(self._prices(), ts), *bars])
        prices = self._prices()
        if self.is_alarming(prices):
            await self._line.deliver(seen(prices, self._time.now()))

    def _prices(self) -> Sequence[SymbolPrices]:
        return self._looks.prices(self._symbols, self._clock.monotonic())

    def _take(self, answers: Sequence[Answer]) -> None:
        filled: list[Bar] = []
        for answer in answers:
            live = self._bars.get(answer.symbol)
            if live is None:
                continue
            if answer.bars is None:
                live.unanswered()
                continue
            for bar in live.on_history(answer.bars, answer.now):
                self._turns.add([bar], self._clock.monotonic(), is_late=answer.now - bar.ts_event > LATE)
                filled.append(bar)
        _log_filled(filled)

    def _close_bars(self) -> None:
        now = self._time.now()
        for symbol, live in self._bars.items():
            bars = live.closed(now, self._heard.get(symbol, Nanos(0)))
            if bars:
                is_late = self._time.is_paced and now - bars[-1].ts_event > LATE
                self._turns.add(bars, self._clock.monotonic(), is_late=is_late)

    def _is_late(self, due: Due) -> bool:
        return due.is_late or (self._clock.monotonic() - due.since) * NANOS_PER_S > LATE

    async def _deliver_frozen(self, bars: Sequence[Message]) -> None:
        await self._freeze(Verb.FREEZE, ALL, FreezeReason.HISTORY)
        await self._line.deliver(bars)
        await self._freeze(Verb.THAW, ALL, FreezeReason.HISTORY)

    async def _freeze(self, verb: Verb, symbol: str, reason: FreezeReason) -> None:
        await self._line.command(verb, {"symbol": symbol, "reason": reason.value})

    async def _freeze_silent(self) -> None:
        for symbol, is_stale, is_news in self._silence.changes(self._clock.monotonic()):
            if is_news:
                event = LogEvent.SYMBOL_STALE if is_stale else LogEvent.SYMBOL_FRESH
                log(event, level="warning" if is_stale else "info", symbol=symbol or "all")
            await self._freeze(Verb.FREEZE if is_stale else Verb.THAW, symbol, FreezeReason.STALE)

    async def _listen(self) -> None:
        while True:
            self._hear(await self._stream.next())

    def _hear(self, event: MarketEvent) -> None:
        now = self._clock.monotonic()
        match event:
            case Up(away_s):
                self._is_up = True
                self._tried.set()
                self._silence.up()
                self._deaf.clear()
                log(LogEvent.FEED_CONNECTED, away_s=None if away_s is None else round(away_s, 3))
                self._regained()
            case Down(reason):
                if self._is_up is not False:
                    log(LogEvent.FEED_LOST, level="warning", reason=reason)
                self._is_up = False
                self._tried.set()
                self._silence.down(now)
                self._looks.down()
                self._lost()
            case Garbled():
                self._lost()
                self._regained()
            case Silent(symbol=symbol) as silent:
                if symbol in self._bars:
                    self._hear_nothing(silent, now)
            case Heard(symbol=symbol) as heard:
                if symbol in self._bars:
                    self._hear_again(heard)
            case Formed() | MarketContext() | Quoted() | OrderBook() | Printed():
                self._hear_word(event, now)
            case _ as never:
                assert_never(never)

    def _hear_word(self, said: Formed | MarketContext | Quoted | OrderBook | Printed, now: float) -> None:
        match said:
            case Formed(bar) if bar.symbol in self._bars:
                self._heard_data(bar.symbol, now)
                self._silence.hear(bar.symbol, bar, now)
                if self._bars[bar.symbol].on_bar(bar):
                    self._wake.set()
                if self._is_up and bar.symbol not in self._deaf:
                    # Of a symbol that came later, its first frame says that it is subscribed to.
                    self._bars[bar.symbol].regained(self._time.now())
            case MarketContext() as context if context.symbol in self._bars:
                self._heard_data(context.symbol, now)
                if self._silence.hear(context.symbol, context, now):
                    self._silence.unmute(context.symbol)
                    self._looks.context(context, now)
                self.on_mark(context.symbol, context.mark)
            case Quoted(symbol, quote):
                self._heard_data(symbol, now)
                self._looks.quote(symbol, quote)
                if quote is not None:
                    self._time.stamped(quote.ts_event)
            case _:
                pass

    def _hear_nothing(self, silent: Silent, now: float) -> None:
        log(LogEvent.CHANNEL_SILENT, level="warning", channel=silent.channel, times=silent.times)
        symbol = silent.symbol
        if silent.kind is ChannelKind.MARKS:
            self._silence.mute(symbol)
        elif silent.kind is ChannelKind.BARS:
            # From here on each of its bars is asked for when it has closed.
            self._deaf.add(symbol)
            self._bars[symbol].lost()
        self._wake.set()
        self.on_silent(silent)

    def _hear_again(self, heard: Heard) -> None:
        log(LogEvent.CHANNEL_HEARD, channel=heard.channel)
        if heard.kind is ChannelKind.BARS:
            self._deaf.discard(heard.symbol)
            self._bars[heard.symbol].regained(self._time.now())
        self._wake.set()

    def _heard_data(self, symbol: str, now: float) -> None:
        if self.last_message_at is not None and now - self.last_message_at > _QUIET_S:
            self._lost()
            self._regained()
        self.last_message_at = now
        self._heard[symbol] = self._time.now()

    def _lost(self) -> None:
        for bars in self._bars.values():
            bars.lost()
        self._wake.set()

    def _regained(self) -> None:
        for symbol, bars in self._bars.items():
            if symbol not in self._deaf:
                bars.regained(self._time.now())
        self._wake.set()


async def _follow(task: asyncio.Task[None]) -> None:
    await task


def _log_filled(bars: Sequence[Bar]) -> None:
    if bars:
        since, until = min(bar.ts_open for bar in bars), max(bar.ts_event for bar in bars)
        symbols = ",".join(sorted({bar.symbol for bar in bars}))
        log(LogEvent.GAP_FILLED, symbols=symbols, bars=len(bars), since=to_ms(since), until=to_ms(until))
