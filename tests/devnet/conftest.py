"""A devnet in a thread of its own, as a process would be, so that clients that block can talk to it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

COINS = ("BTC", "ETH")


class Running:
    """A devnet that runs; its market moves only when told to."""

    def __init__(self, **options: Any) -> None:
        # Here, so that without the extra the tests are skipped and not broken.
        from tradebot.devnet.devnet import Devnet, DevnetOptions
        from tradebot.feeds.generated import Generated
        from tradebot.model.time import Nanos, parse_timeframe
        from tradebot.runtime.clock import SystemClock

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        given = {"coins": COINS, "timeframe": parse_timeframe("1m"), "port": 0, "speed": None, "history": 400}
        made = DevnetOptions(**given | {"is_unlimited": True} | options)
        self.net = Devnet(made, Generated(made.coins, made.timeframe, Nanos(0), made.seed), SystemClock())
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.net.start(), self._loop).result(10)

    @property
    def url(self) -> str:
        return self.net.url

    @property
    def user(self) -> str:
        return self.net.user

    @property
    def key(self) -> str:
        return "0x" + self.net.key.to_hex()

    def do(self, call: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def move(self, coin: str, price: str) -> None:
        """Let the market trade at ``price``."""
        self.do(lambda: self.net.server.admin.move(coin, Decimal(price)))

    def mark(self, coin: str) -> Decimal:
        return self.net.exchange.markets[coin].mark

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.net.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def devnet() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()
