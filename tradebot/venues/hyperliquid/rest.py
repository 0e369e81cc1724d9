"""``/info`` and ``/exchange`` over HTTP: bounded in time and size, paid from one budget, errors by name."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
import orjson

from tradebot.model.errors import Rejected, Unavailable, Unreadable
from tradebot.model.time import NANOS_PER_MS, parse_timeframe
from tradebot.model.venue import Purpose
from tradebot.venues.http_mends import SLOW, mend_of_connection, mend_of_status, retry_after_s
from tradebot.venues.hyperliquid.reading import Node, parse, quote
from tradebot.venues.resilience import RateLimited, Resilience

_MAX_BODY = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_WHERE = "hyperliquid"
_LIGHT = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)
_LIGHT_WEIGHT, _INFO_WEIGHT, _ROLE_WEIGHT = 2, 20, 60
# Requests whose reply costs one more for so many rows, and the most rows there can be.
_ROWS_PER_WEIGHT = {
    "recentTrades": (20, 200),
    "historicalOrders": (20, 2000),
    "userFills": (20, 2000),
    "userFillsByTime": (20, 2000),
    "fundingHistory": (20, 500),
    "userFunding": (20, 500),
    "userNonFundingLedgerUpdates": (20, 500),
    "candleSnapshot": (60, 5000),
}
_LEGS_PER_WEIGHT = 40
# The same request will get the same answer.
_DEFINITE = frozenset({400, 401, 403, 404, 405, 413, 415, 422, 451})
# What an address is, and how its account keeps its money.
_LASTING = frozenset({"userRole", "userAbstraction"})
# Dear to ask, and asked by several parts of a boot.
_KEPT = _LASTING | {"metaAndAssetCtxs", "extraAgents", "userRateLimit"}
RECENT_S = 60.0
"""A reply of that age will do for what another part of a boot has asked."""


def info_weight(kind: str) -> int:
    """Return what an ``/info`` request of ``kind`` costs before its rows are counted."""
    if kind in _LIGHT:
        return _LIGHT_WEIGHT
    return _ROLE_WEIGHT if kind == "userRole" else _INFO_WEIGHT


def rows_weight(request: Mapping[str, object]) -> int:
    """Return the most that the rows of the reply to an ``/info`` request can cost."""
    per_weight, most = _ROWS_PER_WEIGHT.get(str(request["type"]), (1, 0))
    asked = request.get("req")
    if isinstance(asked, Mapping):
        # Both ends are rows too.
        span_ms = int(str(asked["endTime"])) - int(str(asked["startTime"]))
        most = min(most, span_ms // (parse_timeframe(str(asked["interval"])) // NANOS_PER_MS) + 2)
    return max(0, most) // per_weight


def _cost_of_rows(kind: str, reply: Node) -> int:
    per_weight, _ = _ROWS_PER_WEIGHT.get(kind, (1, 0))
    return len(reply.value) // per_weight if kind in _ROWS_PER_WEIGHT and isinstance(reply.value, list) else 0


class RestClient:
    """The two endpoints. ``timeout_s`` bounds a whole request, connecting included."""

    def __init__(self, url: str, resilience: Resilience, *, timeout_s: float = 4.0, max_body: int = _MAX_BODY) -> None:
        self._url = url.rstrip("/")
        self._resilience = resilience
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._max_body = max_body
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[bytes, tuple[float, Node]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, opened when first needed; the socket shares them."""
        if self._session is None:
            # No cookies, no proxy from the environment, no file of the user's: what goes out is what we sign.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self._session

    def roles(self) -> Mapping[str, object]:
        """Return the replies on what addresses are, by what was asked: dear, and the same after a restart."""
        kept = ((orjson.loads(body), body, reply) for body, (_, reply) in self._known.items())
        return {body.decode(): reply.value for asked, body, reply in kept if asked["type"] == "userRole"}

    def recall(self, replies: Mapping[str, object]) -> None:
        """Take replies of an earlier run for those of now."""
        for body, reply in replies.items():
            self._known[body.encode()] = self._resilience.now(), parse(orjson.dumps(reply))

    def forget(self) -> None:
        """Ask all anew."""
        self._known.clear()

    async def info(
        self, request: Mapping[str, object], purpose: Purpose = Purpose.WATCH, max_age_s: float = 0.0
    ) -> Node:
        """Return the reply to a question, asked again while the venue is unavailable.

        One that came within ``max_age_s`` will do; one that lasts, within a minute. Raises ``Unavailable`` when it
        stays so, ``Rejected`` when the question is wrong, ``Unreadable``.
        """
        kind = str(request["type"])
        body = orjson.dumps(request)
        asked_at, known = self._known.get(body, (0.0, None))
        max_age_s = max(max_age_s, RECENT_S if kind in _LASTING else 0.0)
        # What could not be read is no answer, however young.
        if known is not None and not known.has_failed and self._resilience.now() - asked_at < max_age_s:
            return known
        reply: Node = await self._resilience.repeated(
            lambda: self._post("/info", body),
            weight=info_weight(kind),
            purpose=purpose,
            what=kind,
            rows=rows_weight(request),
            cost=lambda answer: _cost_of_rows(kind, answer),
        )
        if kind in _KEPT:
            self._known[body] = self._resilience.now(), reply
        return reply

    async def exchange(self, body: bytes, legs: int, purpose: Purpose) -> Node:
        """Send signed bytes once and return the reply. Any error but ``Rejected`` leaves the outcome unknown.

        ``Rejected``: the venue could not read the request at all, so nothing of it was done.
        """
        weight = 1 + legs // _LEGS_PER_WEIGHT
        return await self._resilience.once(
            lambda: self._post("/exchange", body), weight=weight, purpose=purpose, what="exchange"
        )

    async def _post(self, path: str, body: bytes) -> Node:
        sent = {"Content-Type": "application/json"}
        try:
            async with self.session.post(
                self._url + path, data=body, headers=sent, timeout=self._timeout, allow_redirects=False
            ) as response:
                content = await self._read(response)
                status, headers = response.status, response.headers
        except TimeoutError as error:
            what = f"no answer within {self._timeout.total:g} s"
            raise Unavailable(what, where=f"{_WHERE}{path}", mend=SLOW) from error
        except (aiohttp.ClientError, OSError) as error:
            mend = mend_of_connection(error)
            raise Unavailable(f"no connection: {error}", where=f"{_WHERE}{path}", mend=mend) from error
        return self._checked(status, headers, content, path)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            content += chunk
            if len(content) > self._max_body:
                raise Unreadable(
                    f"the reply is longer than {self._max_body} bytes; the venue said: {quote(_text(content))}",
                    where=_WHERE,
                )
        return bytes(content)

    def _checked(self, status: int, headers: Mapping[str, str], content: bytes, path: str) -> Node:
        where, said = f"{_WHERE}{path}", f"HTTP {status}: {quote(_text(content))}"
        if status == 200:
            return parse(content)
        if status == 429:
            raise RateLimited(said, where=where, wait_s=retry_after_s(headers))
        kind = Rejected if status in _DEFINITE else Unavailable
        raise kind(said, where=where, mend=mend_of_status(status))


def _text(content: bytes | bytearray) -> str:
    return content.decode(errors="replace")
