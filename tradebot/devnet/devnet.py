"""The devnet as a whole: exchange, market and server, with an account that is funded and whose key is known."""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from errno import EADDRINUSE
from itertools import groupby
from pathlib import Path

from aiohttp import web
from coincurve import PrivateKey

from tradebot.devnet.exchange import Exchange
from tradebot.devnet.faults import Rule
from tradebot.devnet.market import path
from tradebot.devnet.recover import address_of, keccak
from tradebot.devnet.server import Server
from tradebot.model.errors import ConfigError, NotPermitted, UsageError
from tradebot.model.market import Bar
from tradebot.model.time import NANOS_PER_S, Timeframe, floor_to
from tradebot.ports import Clock, MarketData

HOST = "127.0.0.1"
PORT = 3001
BACKLOG = 128
SHUTDOWN_S = 0.2
TICK_S = 0.5
MIN_TICKS, MAX_TICKS = 4, 60
_NAP_S = 0.1
# After so many ticks in a row, clients have their turn.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetOptions:
    """How a devnet runs. ``speed``: market seconds a second, ``None``: the market moves by ``/admin/step`` only.

    ``history``: how many bars of each coin are past when it starts. ``port`` 0 takes a free one.
    """

    coins: Sequence[str]
    timeframe: Timeframe
    port: int = PORT
    seed: int = 1
    speed: float | None = 1.0
    history: int = 1_000
    cash: Decimal = Decimal(10_000)
    depth: Decimal = Decimal(5_000_000)
    latency_s: float = 0.0
    is_unlimited: bool = False
    faults: Sequence[Rule] = field(default_factory=tuple)


class Devnet:
    """A running exchange. Its stamps of market data start at the time of the machine and run at ``speed``."""

    def __init__(self, options: DevnetOptions, feed: MarketData, clock: Clock) -> None:
        self.options = options
        self.key = devnet_key(options.seed)
        self.user = address_of(self.key.public_key)
        self.exchange = Exchange(options.coins, clock, seed=options.seed, depth=options.depth)
        self.server = Server(
            self.exchange,
            clock,
            seed=options.seed,
            latency_s=options.latency_s,
            is_unlimited=options.is_unlimited,
            step=self.step,
        )
        self.port = options.port
        self._clock = clock
        self._begun_ns = clock.now()
        self._begun_s = clock.monotonic()
        self._steps = self._ticks(feed)
        self._next: list[tuple[str, int, Decimal, Decimal]] | None = None
        self._listener: socket.socket | None = None
        self._runner: web.AppRunner | None = None
        self._task: asyncio.Task[None] | None = None
        self.exchange.fund(self.user, options.cash)
        self._next = next(self._steps, None)
        if any(not market.last for market in self.exchange.markets.values()):
            raise ConfigError("the data are shorter than the history that is asked for", mend="ask for less --history")

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def bind(self) -> None:
        """Take the port, without answering yet. Raises ``UsageError`` when somebody else has it."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, self.options.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            what = "another devnet, or somebody else, listens there" if error.errno == EADDRINUSE else error.strerror
            raise UsageError(f"port {self.options.port}: {what}", mend="choose another with --port") from error
        self.port = listener.getsockname()[1]
        self._listener = listener

    async def start(self) -> None:
        """Answer, and let the market move. Raises ``UsageError`` when the port is taken."""
        if self._listener is None:
            self.bind()
        runner = self._runner = web.AppRunner(self.server.app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        assert self._listener is not None  # noqa: S101 - bind() has set it  # nosec B101
        await web.SockSite(runner, self._listener, backlog=BACKLOG).start()
        for rule in self.options.faults:
            self.server.admin.inject(rule)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Break the sockets and stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.server.hub.abort_all()
        if self._runner is not None:
            await self._runner.cleanup()
        elif self._listener is not None:
            self._listener.close()

    def step(self) -> bool:
        """Let the market move by one tick; ``False`` when the data have ended."""
        if self._next is None:
            return False
        for coin, ts, price, volume in self._next:
            self.exchange.tick(coin, ts, price, volume)
        self.server.hub.publish_market()
        self._next = next(self._steps, None)
        return True

    def catch_up(self) -> float:
        """Move the market to where it should be by now, and return the seconds until it moves again.

        While the feed is frozen what would have happened is lost.
        """
        self.server.settle()
        for _ in range(_AT_ONCE):
            wait_s = self._wait_s()
            if wait_s is None:
                return _NAP_S
            if wait_s > 0:
                return min(wait_s, _NAP_S)
            if self.server.faults.active("frozen_feed", self._clock.monotonic()) is None:
                self.step()
            else:
                self._next = next(self._steps, None)
        return 0.0

    async def _run(self) -> None:
        while True:
            await self.server.hub.close_idle()
            await asyncio.sleep(self.catch_up())

    def _wait_s(self) -> float | None:
        if self._next is None or self.options.speed is None:
            return None
        due_s = (self._next[0][1] - self._begun_ns) / NANOS_PER_S / self.options.speed
        return due_s - (self._clock.monotonic() - self._begun_s)

    def _ticks(self, feed: MarketData) -> Iterator[list[tuple[str, int, Decimal, Decimal]]]:
        timeframe, markets = self.options.timeframe, self.exchange.markets
        count = self._ticks_per_bar()
        shift: int | None = None
        together = groupby(feed, key=lambda message: message.ts_event if isinstance(message, Bar) else 0)
        for index, (_, messages) in enumerate(together):
            bars = [message for message in messages if isinstance(message, Bar) and message.symbol in markets]
            if shift is None and bars:
                # The first bar that is not past opens with the bucket of time that holds the start.
                shift = floor_to(self._begun_ns, timeframe) - bars[0].ts_open - self.options.history * timeframe
            bars = [_moved(bar, shift or 0) for bar in bars]
            if index < self.options.history:
                for bar in bars:
                    markets[bar.symbol].seen(bar)
                continue
            walks = [(bar, list(path(bar, count))) for bar in bars]
            for tick in range(count):
                yield [(bar.symbol, *walk[tick], bar.volume / count) for bar, walk in walks]

    def _ticks_per_bar(self) -> int:
        speed = self.options.speed
        if speed is None:
            return MIN_TICKS
        real_s = self.options.timeframe / NANOS_PER_S / speed
        return max(MIN_TICKS, min(MAX_TICKS, int(real_s / TICK_S)))


def devnet_key(seed: int) -> PrivateKey:
    """Return the key of the funded account: the same for the same seed, and known to everybody."""
    return PrivateKey(keccak(f"tradebot devnet {seed}".encode()))


def write_key(path_: Path, key: PrivateKey) -> None:
    """Write ``key`` as 64 hex digits, readable by its owner alone. Raises ``NotPermitted``."""
    try:
        path_.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path_, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o600)
            file.write(key.to_hex() + "\n")
    except OSError as error:
        raise NotPermitted(f"the key cannot be written: {error.strerror}", where=str(path_)) from error


def _moved(bar: Bar, shift: int) -> Bar:
    ts = type(bar.ts_event)(bar.ts_event + shift)
    return Bar(bar.symbol, bar.timeframe, ts, bar.open, bar.high, bar.low, bar.close, bar.volume)
