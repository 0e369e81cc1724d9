"""A devnet as a process that stamps what it is told to do, and when its account was empty.

``python -m benchmarks.kill_net SPEED KEY_FILE``: the url is the first line. ``GET /stamps`` returns what came since it
was asked last: nanoseconds of the machine, the kind of the action, its legs; ``flat`` stands for an account that has
nothing any more.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from tradebot.devnet.devnet import Devnet, DevnetOptions, write_key
from tradebot.feeds.generated import Generated
from tradebot.model.time import Nanos, parse_timeframe
from tradebot.runtime.clock import SystemClock

COINS = ("BTC", "ETH", "SOL")
_HISTORY = 60
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(speed: float, key_file: Path) -> None:
    """Serve until killed."""
    minute = parse_timeframe("1m")
    options = DevnetOptions(coins=COINS, timeframe=minute, speed=speed, history=_HISTORY, is_unlimited=True, port=0)
    net = Devnet(options, Generated(COINS, minute, Nanos(0), 1), SystemClock())
    plain, stamps = net.server.app, Stamps(net)
    net.server.app = lambda: stamps.on(plain())
    write_key(key_file, net.key)
    await net.start()
    print(net.url, flush=True)
    await asyncio.Event().wait()


class Stamps:
    """What came in, and when."""

    def __init__(self, net: Devnet) -> None:
        self._net = net
        self._rows: list[tuple[int, str, int]] = []

    def on(self, app: web.Application) -> web.Application:
        """Return ``app`` with the stamps."""
        app.middlewares.append(self._stamp)
        app.router.add_get("/stamps", self._give)
        return app

    @web.middleware
    async def _stamp(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/exchange":
            return await handler(request)
        at = time.monotonic_ns()
        action = json.loads(await request.text())["action"]
        legs = action.get("orders") or action.get("cancels") or []
        self._rows.append((at, action["type"], len(legs)))
        answer = await handler(request)
        account = self._net.exchange.desks[self._net.user].account
        if not account.open and not any(account.position(coin) for coin in account.coins):
            self._rows.append((time.monotonic_ns(), "flat", 0))
        return answer

    async def _give(self, _request: web.Request) -> web.Response:
        rows, self._rows = self._rows, []
        return web.json_response(rows)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), Path(sys.argv[2])))
