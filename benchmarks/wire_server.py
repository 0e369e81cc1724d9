"""An exchange on loopback that stamps the first byte of each action it gets: run as a process by ``live``.

Questions are answered by the devnet's own code; actions by the word: immediate orders find nobody to trade with,
others rest, all else is done. ``GET /stamps`` gives, and forgets, ``[nanoseconds, kind, legs]`` of every action;
the clock is the monotonic one, which all processes of a machine share. It prints its port.
"""

import asyncio
import sys
import time
from decimal import Decimal
from itertools import count
from typing import Any

import orjson

from tradebot.devnet.exchange import Exchange
from tradebot.devnet.info import Info
from tradebot.model.time import NANOS_PER_S
from tradebot.runtime.clock import SystemClock

CASH = Decimal(10_000_000)
_NO_MATCH = "Order could not immediately match against any resting orders."
_oids = count(90_000_000_000)


class Face(asyncio.Protocol):
    """One connection."""

    def __init__(self, info: Info, stamps: list[list[object]]) -> None:
        self._info, self._stamps = info, stamps
        self._buffer = bytearray()
        self._first_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            self._first_ns = time.monotonic_ns()
        self._buffer += data
        head, found, body = bytes(self._buffer).partition(b"\r\n\r\n")
        length = _length(head)
        if not found or len(body) < length:
            return
        self._buffer.clear()
        answer = self._answer(head.split(b" ", 2)[1], body[:length])
        said = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        self._transport.write(said % (len(answer), answer))

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/stamps":
            stamps, self._stamps[:] = list(self._stamps), []
            return orjson.dumps(stamps)
        request = orjson.loads(body)
        if path == b"/info":
            return orjson.dumps(self._info.answer(request))
        action = request["action"]
        legs = action.get("orders") or action.get("cancels") or []
        self._stamps.append([self._first_ns, action["type"], len(legs)])
        if not legs:
            return orjson.dumps({"status": "ok", "response": {"type": "default"}})
        statuses = [_status(leg, number) for number, leg in enumerate(legs)]
        data = {"type": action["type"], "data": {"statuses": statuses}}
        return orjson.dumps({"status": "ok", "response": data})


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _status(leg: dict[str, Any], number: int) -> object:
    if "t" not in leg:
        return "success"
    limit = leg["t"].get("limit")
    if limit is None:
        return "waitingForFill"
    if limit["tif"] == "Gtc":
        return {"resting": {"oid": next(_oids)} | ({"cloid": leg["c"]} if "c" in leg else {})}
    return {"error": f"{_NO_MATCH} asset={leg['a']}"}


async def serve(user: str, coins: list[str]) -> None:
    """Serve until killed."""
    clock = SystemClock()
    exchange = Exchange(coins, clock)
    exchange.fund(user, CASH)
    for coin in coins:
        exchange.tick(coin, clock.now() // NANOS_PER_S * NANOS_PER_S, Decimal(50_000), Decimal(1))
    info, stamps = Info(exchange), list[list[object]]()
    server = await asyncio.get_running_loop().create_server(lambda: Face(info, stamps), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2].split(",")))
