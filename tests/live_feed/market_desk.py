"""A devnet whose market moves when told to, and a live feed of it into a line that only remembers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.virtual import LoopClock
from tradebot.devnet.devnet import Devnet, DevnetOptions
from tradebot.devnet.faults import Rule
from tradebot.feeds.generated import Generated
from tradebot.live import market_gaps
from tradebot.live.market import FeedPace, MarketFeed
from tradebot.model.command import CommandDone, Verb
from tradebot.model.errors import Unavailable
from tradebot.model.market import Bar, Message, PricesSeen
from tradebot.model.money import Price
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.pipeline.arrivals import Arrivals
from tradebot.venues.hyperliquid.gateway import VenueTime
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.public import HyperliquidMarket, MarketSocket, market_subscriptions
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.stream import Stream, StreamRules
from tradebot.venues.resilience import Policy, Resilience

M1 = parse_timeframe("1m")
COINS = ("BTC", "ETH")
RULES = StreamRules(ping_s=2.0, reply_s=4.0, ack_s=20.0, silence_s={})
PAST = 50


@dataclass
class Line:
    """Remembers what went through it; ``frozen`` holds what is frozen now, ``seen`` how many bars were before."""

    arrivals: Arrivals
    bars: list[tuple[Bar, bool]] = field(default_factory=list)
    seen: list[tuple[PricesSeen, int]] = field(default_factory=list)
    frozen: set[tuple[str, str]] = field(default_factory=set)
    commands: list[tuple[Verb, str, str]] = field(default_factory=list)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    has_room: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: bool = False

    def __post_init__(self) -> None:
        self.has_room.set()

    async def deliver(self, messages: Sequence[Message]) -> None:
        await self.has_room.wait()
        for message in messages:
            if isinstance(message, PricesSeen):
                self.seen.append((message, len(self.bars)))
                continue
            assert isinstance(message, Bar)
            self.arrivals.note(message)
            self.bars.append((message, bool(self.frozen)))
        await self.tell()

    async def command(self, verb: Verb, arguments: Mapping[str, str]) -> CommandDone:
        if self.has_ended:
            raise Unavailable("the daemon is stopping")
        key = arguments["symbol"], arguments["reason"]
        self.commands.append((verb, *key))
        if verb is Verb.FREEZE:
            self.frozen.add(key)
        else:
            self.frozen.discard(key)
        await self.tell()
        return CommandDone(id="c1", ts_event=Nanos(0), detail="")

    async def tell(self) -> None:
        async with self.moved:
            self.moved.notify_all()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(600), self.moved:
            await self.moved.wait_for(is_so)

    def of(self, symbol: str) -> list[Bar]:
        return [bar for bar, _ in self.bars if bar.symbol == symbol]


class DeskMarket(HyperliquidMarket):
    """The market with a clock of its own."""

    def __init__(self, link: Link, venue_time: Callable[[], int]) -> None:
        super().__init__(link, VenueTime(LoopClock()), None)
        self._venue_time = venue_time

    def now_ms(self) -> int:
        return self._venue_time()


@dataclass
class Desk:
    """The devnet, the feed of it, and the line behind it."""

    net: Devnet
    rest: RestClient
    resilience: Resilience
    arrivals: Arrivals
    line: Line
    pace: FeedPace
    venue_time: Callable[[], int]
    marks: dict[str, Price] = field(default_factory=dict)
    marked: asyncio.Event = field(default_factory=asyncio.Event)
    feeds: list[MarketFeed] = field(default_factory=list)

    def feed(self, rules: StreamRules = RULES) -> MarketFeed:
        symbols = dict.fromkeys(COINS, M1)
        stream = Stream(
            lambda: self.rest.session,
            self.net.url.replace("http", "ws") + "/ws",
            market_subscriptions(symbols),
            self.resilience,
            rules,
        )
        market = DeskMarket(Link(self.net.url, self.rest, self.resilience), self.venue_time)
        feed = MarketFeed(market, MarketSocket(stream), self.arrivals, symbols, self.pace, self.line, LoopClock())
        feed.on_mark = self.mark
        self.feeds.append(feed)
        return feed

    def mark(self, symbol: str, price: Price) -> None:
        self.marks[symbol] = price
        self.marked.set()

    def fault(self, name: str, **options: Any) -> None:
        self.net.server.admin.inject(Rule(name, **options))

    def clear(self) -> None:
        self.net.server.faults.clear()

    def bars(self, ticks: int = 4) -> None:
        """Let the market move; a bar has four ticks."""
        for _ in range(ticks):
            self.net.step()

    def stamp_ms(self) -> int:
        return self.net.exchange.markets["BTC"].ts // 1_000_000

    def truth(self, symbol: str) -> list[tuple[int, str, str, str, str, str]]:
        """Return the closed bars that the devnet has, oldest first."""
        rows = [candle.row() for candle in self.net.exchange.markets[symbol].candles.between("1m", 0, 1 << 52)]
        return [(row["T"] + 1, *(str(row[key]) for key in "ohlcv")) for row in rows[:-1]]

    def newest(self, symbol: str) -> int:
        return self.truth(symbol)[-1][0] * 1_000_000

    async def heard(self) -> None:
        """Wait until the feed has heard the newest marks, which come last of each tick."""
        async with asyncio.timeout(600):
            while any(self.marks.get(coin) != self.net.exchange.markets[coin].mark for coin in COINS):
                self.marked.clear()
                await self.marked.wait()

    async def caught_up(self) -> None:
        """Wait until the line has every bar that is closed."""
        await self.line.until(lambda: all((self.arrivals.last(coin) or 0) >= self.newest(coin) for coin in COINS))

    def check(self, history: int) -> None:
        """Hold what the line got against what the devnet has: each once, in order, from ``history`` bars ago on."""
        for coin in COINS:
            got = [row_of(bar) for bar in self.line.of(coin)]
            truth = self.truth(coin)
            want = truth[PAST - history : PAST - history + len(got)]
            assert got == want, next((n, a, b) for n, (a, b) in enumerate(zip(got, want, strict=False)) if a != b)
        turns = [(bar.ts_event, bar.symbol) for bar, _ in self.line.bars]
        assert len(turns) == len(set(turns))


def row_of(bar: Bar) -> tuple[int, str, str, str, str, str]:
    values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    return (bar.ts_event // 1_000_000, *(_text(value) for value in values))  # type: ignore[return-value]


def _text(value: Any) -> str:
    text = f"{value.normalize():f}"
    return text if "." in text else text + ".0"


@contextlib.asynccontextmanager
async def desk(history: int = 10, stale_s: int = 30, seed: int = 1) -> AsyncIterator[Desk]:
    clock = LoopClock()
    options = DevnetOptions(coins=COINS, timeframe=M1, port=0, speed=None, history=PAST, is_unlimited=True, seed=seed)
    net = Devnet(options, Generated(options.coins, M1, Nanos(0), seed), clock)
    net.step()
    await net.start()
    policy = Policy(
        base_s=0.01, cap_s=0.05, limited_base_s=0.05, limited_cap_s=0.05, attempts=2, weight_per_minute=10**6
    )
    resilience = Resilience(policy, clock, asyncio.sleep, seed)
    arrivals = Arrivals("test")
    try:
        async with RestClient(net.url, resilience, timeout_s=20.0) as rest:
            made = Desk(net, rest, resilience, arrivals, Line(arrivals), FeedPace(stale_s, history), lambda: 0)
            made.venue_time = made.stamp_ms
            yield made
            for feed in made.feeds:
                await feed.shut()
    finally:
        await net.stop()


@contextlib.asynccontextmanager
async def running(made: Desk, feed: MarketFeed) -> AsyncIterator[None]:
    """Run ``feed`` until the block ends; the socket stands when it begins."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(feed.run(lambda: None))
        await made.line.until(lambda: (Verb.THAW, "", "stale") in made.line.commands)
        try:
            yield
        finally:
            feed.close()
            made.line.has_room.set()
            await asyncio.wait({task}, timeout=5)
            task.cancel()


__all__ = ["COINS", "M1", "PAST", "RULES", "Desk", "Line", "desk", "market_gaps", "running"]
