"""The HTTP face: ``/info``, ``/exchange``, ``/ws`` and, for rehearsals, ``/admin``; faults strike here.

The status codes are the real ones: 400 text for what is no JSON, 415 text for another content type, 422 text for
another shape, 429 with ``null`` when the weight of a minute is used up, 200 for every refusal of the exchange.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

import orjson
from aiohttp import web

from tradebot.devnet.admin import Admin
from tradebot.devnet.channels import Channels
from tradebot.devnet.exchange import Envelope, Exchange, leg_count
from tradebot.devnet.faults import Faults
from tradebot.devnet.info import BadBook, Info
from tradebot.devnet.limits import IpLimits, action_weight, answer_weight, info_weight
from tradebot.devnet.protection import ProtectionCheck
from tradebot.devnet.stream import Hub
from tradebot.devnet.wire import Json, Malformed, RefusedWhole, read_list, read_object
from tradebot.model.money import ZERO
from tradebot.ports import Clock

_NOT_JSON = "Failed to parse the request body as JSON"
_NOT_SHAPED = "Failed to deserialize the JSON body into the target type"
_NOT_TYPED = "Expected request with `Content-Type: application/json`"
_NULL = b"null"
_TIMEOUT_S = Decimal(30)
_LAG_S = Decimal(3)
POST_ONLY_S = 5.0
Handler = Callable[[object, str | None], Awaitable[web.Response]]


class Server:
    """The faces of one exchange. ``latency_s`` passes before a request is looked at."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        *,
        seed: int = 1,
        latency_s: float = 0.0,
        is_unlimited: bool = False,
        step: Callable[[], bool] = lambda: False,
    ) -> None:
        self.exchange = exchange
        self.faults = Faults(seed)
        self.info = Info(exchange)
        self.limits = IpLimits(is_open=is_unlimited)
        self.hub = Hub(Channels(exchange, self.info), self.faults, clock, self._post, self.limits)
        self.protection = ProtectionCheck()
        self.admin = Admin(exchange, self.faults, self.hub, clock, step, self.protection, self.limits)
        self.admin.changed = self.settle
        self._clock = clock
        self._latency_s = latency_s
        exchange.on_change = self._changed

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=1 << 20)
        app.add_routes(
            [
                web.post("/info", self._serve_info),
                web.post("/exchange", self._serve_exchange),
                web.get("/ws", self._socket),
                *self.admin.routes(),
            ]
        )
        return app

    def settle(self) -> None:
        """Let the faults that act on accounts begin or end; to be called now and then."""
        now_s = self._clock.monotonic()
        lag = self.faults.active("replica_lag", now_s)
        self.info.users.lag_ms = 0 if lag is None else int((_LAG_S if lag.value is None else lag.value) * 1000)
        over_s = self.faults.ended_s("maintenance", now_s)
        is_post_only = over_s is not None and over_s < POST_ONLY_S
        self.info.special_status = "post_only" if is_post_only else None
        sleeping, unfilled = self.faults.active("sleeping_stop", now_s), self.faults.active("unfilled_stop", now_s)
        for desk in self.exchange.desks.values():
            desk.is_post_only = is_post_only
            desk.sleeping_stops = None if sleeping is None else sleeping.coin
            desk.unfilled_stops = None if unfilled is None else (unfilled.coin, unfilled.value or ZERO)

    def _changed(self, account: object) -> None:
        desk = self.exchange.desks[getattr(account, "user", "")]
        now_ms = self.exchange.now_ms
        self.info.users.past.remember(desk.account, now_ms)
        self.protection.note(desk.account, now_ms)
        self.hub.publish_account(desk.account)

    async def _serve_info(self, request: web.Request) -> web.Response:
        return await self._serve(request, self._info)

    async def _serve_exchange(self, request: web.Request) -> web.Response:
        return await self._serve(request, self._exchange)

    async def _serve(self, request: web.Request, handle: Handler) -> web.Response:
        self.settle()
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        broken = self._broken()
        if broken is not None:
            return broken
        kind = request.content_type
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            return web.Response(status=415, text=_NOT_TYPED)
        try:
            return await handle(_parse(await request.text()), request.remote)
        except (ValueError, RecursionError):
            return web.Response(status=400, text=_NOT_JSON)
        except Malformed:
            return web.Response(status=422, text=_NOT_SHAPED)
        except _Dropped:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)

    def _broken(self) -> web.Response | None:
        now_s = self._clock.monotonic()
        if self.faults.active("maintenance", now_s):
            return web.Response(status=503, text="Service Unavailable")
        if self.faults.strikes("rate_limit", now_s):
            return _json(_NULL, 429)
        return _json(_NULL, 500) if self.faults.strikes("error_500", now_s) else None

    async def _info(self, body: object, ip: str | None) -> web.Response:
        kind, weight = str(read_object(body).get("type")), self.limits.weight(ip)
        if not weight.admit(info_weight(kind), self._clock.monotonic()):
            return _json(_NULL, 429)
        try:
            answer = self.info.answer(body)
        except BadBook:
            return _json(_NULL, 500)
        weight.charge(answer_weight(kind, answer), self._clock.monotonic())
        self.limits.asked[kind] += 1
        return _json(orjson.dumps(answer))

    async def _exchange(self, body: object, ip: str | None) -> web.Response:
        now_s = self._clock.monotonic()
        action = read_object(body).get("action")
        legs = leg_count(action) if isinstance(action, dict) else 1
        if not self.limits.weight(ip).admit(action_weight(legs), now_s):
            return _json(_NULL, 429)
        request = self.exchange.read(body)
        if self.faults.strikes("lost", now_s):
            raise _Dropped
        reply = orjson.dumps(self._act(request))
        wait = self.faults.strikes("timeout", now_s)
        if wait is not None:
            await asyncio.sleep(float(_TIMEOUT_S if wait.value is None else wait.value))
            raise _Dropped
        if self.faults.strikes("drop_reply", now_s):
            raise _Dropped
        if self.faults.strikes("error_502", now_s):
            return web.Response(status=502, text="Bad Gateway")
        return _json(reply)

    def _act(self, request: Envelope | RefusedWhole) -> Json:
        if isinstance(request, RefusedWhole):
            return {"status": "err", "response": str(request)}
        if request.type == "order" and (text := self._refusal(request)):
            rows: list[object] = [{"error": text}] * request.legs
            return {"status": "ok", "response": {"type": "order", "data": {"statuses": rows}}}
        refused = None
        if request.type == "order" and request.legs > 1:
            refused = self.faults.strikes("partial_batch", self._clock.monotonic())
        if refused is None:
            return self.exchange.act(request)
        orders = read_list(request.action["orders"])
        asset = read_object(orders[-1])["a"]
        request.action["orders"] = orders[:-1]
        reply = self.exchange.act(request)
        if reply["status"] == "ok":
            statuses = read_list(read_object(read_object(reply["response"])["data"])["statuses"])
            statuses.append({"error": f"Insufficient margin to place order. asset={asset}"})
        return reply

    def _refusal(self, request: Envelope) -> str:
        now_s = self._clock.monotonic()
        rule = self.faults.active("refuse", now_s)
        asset = read_object(read_list(request.action["orders"])[0])["a"]
        coins = list(self.exchange.markets)
        is_meant = rule is not None and (not rule.coin or coins.index(rule.coin) == asset)
        return rule.text if rule is not None and is_meant and self.faults.strikes("refuse", now_s) else ""

    def _post(self, request: Json) -> Json:
        self.settle()
        kind, payload = request.get("type"), request.get("payload")
        try:
            if kind == "info":
                answer = {"type": read_object(payload).get("type"), "data": self.info.answer(payload)}
                return {"type": "info", "payload": answer}
            if kind == "action":
                return {"type": "action", "payload": self._act(self.exchange.read(payload))}
        except Malformed as error:
            return {"type": "error", "payload": f"422 Unprocessable Entity: {error}"}
        except BadBook:
            return {"type": "error", "payload": "500 Internal Server Error: null"}
        return {"type": "error", "payload": f"422 Unprocessable Entity: unknown variant `{kind}`"}

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.faults.active("maintenance", self._clock.monotonic()):
            return web.Response(status=503, text="Service Unavailable")
        return await self.hub.serve(request)


class _Dropped(Exception):
    """The connection is to close without a reply."""


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _parse(text: str) -> object:
    # Whatever follows the first value is ignored, as the real exchange does.
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    value: object = decoder.raw_decode(text.lstrip())[0]
    return value


def _unique(pairs: list[tuple[str, object]]) -> Json:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise Malformed("duplicate field")
    return read
