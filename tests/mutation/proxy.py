"""Between the bot and its exchange: words pass, some of them changed, doubled, held back for another, or lost."""

import asyncio
import json
import random
import threading
from collections import Counter
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.mutation.mutants import Mangler

_JSON = {"Content-Type": "application/json"}
# The market speaks most, the account matters most.
_SHARES = {"/info": 0.1, "/exchange": 0.2, "frame orderUpdates": 0.2, "frame userFills": 0.2, "frame userFundings": 0.5}
_ELSE = 0.03


class Proxy:
    """Serves at ``url`` what is at ``target``; while ``is_lying`` a share of the answers is not what was said."""

    def __init__(self, target: str, seed: int) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._mangler = Mangler(self._chance)
        self.is_lying = False
        self.passed = 0
        self.changed: Counter[str] = Counter()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._thread.start()
        assert self._is_up.wait(20)

    @property
    def kinds(self) -> int:
        """How many kinds of changes were made."""
        return len(self._mangler.kinds)

    def stop(self) -> None:
        """Let go of all connections."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/{path:.*}", self._post)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        async with aiohttp.ClientSession() as self._session:
            self._is_up.set()
            await self._over.wait()
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.Response:
        path, body = request.path, await request.read()
        try:
            async with self._session.post(self._target + path, data=body, headers=_JSON) as answer:
                status, said = answer.status, await answer.read()
        except aiohttp.ClientError:
            return web.Response(status=502)
        if status == 200:
            said = self._told(path, str(orjson.loads(body).get("type", path)), said)
        return web.Response(status=status, body=said, content_type="application/json")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        near = web.WebSocketResponse(max_msg_size=0)
        await near.prepare(request)
        try:
            async with self._session.ws_connect(self._target + "/ws", max_msg_size=0) as far:
                pumps = {asyncio.ensure_future(self._up(near, far)), asyncio.ensure_future(self._down(far, near))}
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except aiohttp.ClientError:
            pass
        await near.close()
        return near

    async def _up(self, near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
        async for message in near:
            await far.send_str(message.data)

    async def _down(self, far: aiohttp.ClientWebSocketResponse, near: web.WebSocketResponse) -> None:
        held: list[str] = []
        async for message in far:
            told = [self._told("frame", "", message.data.encode()).decode()]
            fate = self._chance.random() if self.is_lying else 1.0
            if fate < 0.02:
                held += told
                continue
            if fate < 0.04:
                told *= 2
            for text in (*told, *held):
                await near.send_str(text)
            held.clear()

    def _told(self, where: str, kind: str, said: bytes) -> bytes:
        body: Any = orjson.loads(said)
        self.passed += 1
        self._mangler.hear(body)
        name = f"{where} {kind or body.get('channel')}" if isinstance(body, dict) or kind else where
        if not self.is_lying or self._chance.random() >= _SHARES.get(name, _SHARES.get(where, _ELSE)):
            return said
        self.changed[name] += 1
        return json.dumps(self._mangler.mangled(body)).encode()
