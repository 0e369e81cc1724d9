"""The operator's door: HTTP over a Unix socket, bounded so that nothing said there can hurt trading.

Each connection carries one request. It is refused before a byte is read when the peer is not the owner or root, or
when too many are open; and hung up on when its request is too large or not whole in time.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Protocol

from aiohttp import web

from tradebot.control.binding import bind, point_to, unbind
from tradebot.control.client import peer_of
from tradebot.control.protocol import (
    MAX_CONNECTIONS,
    MAX_FRAME,
    MAX_STREAMS,
    REQUEST_TIMEOUT_S,
    SEND_TIMEOUT_S,
    VERBS,
    VIEWS,
    Peer,
    code_of,
    error_document,
    socket_path,
)
from tradebot.control.registry import register
from tradebot.control.requests import check_arguments, parse_body, route
from tradebot.model.errors import InvariantError, NotPermitted, TradebotError, Unavailable, UsageError

_REASONS = {400: "Bad Request", 403: "Forbidden", 408: "Request Timeout", 413: "Content Too Large", 503: "Unavailable"}


class ControlApi(Protocol):
    """What the daemon answers. Names and arguments have been checked against the protocol's tables."""

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        """Return a JSON document, or pieces of whole JSON lines."""
        ...

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        """Do ``verb`` and return its JSON document once it is durable."""
        ...


def _ignore_refusal(_peer: Peer, _reason: str) -> None:
    pass


def _ignore_failure(_error: BaseException) -> None:
    pass


class ControlServer:
    """Serves ``api`` on the socket of ``home``; the caller holds the lock of the home.

    ``on_refused`` hears of peers and requests that were turned away, ``on_failed`` of errors that are ours.
    """

    def __init__(
        self,
        api: ControlApi,
        home: Path,
        environ: Mapping[str, str],
        *,
        on_refused: Callable[[Peer, str], None] = _ignore_refusal,
        on_failed: Callable[[BaseException], None] = _ignore_failure,
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        self.path = socket_path(home, environ)
        self.on_refused = on_refused
        self.on_failed = on_failed
        self.request_timeout_s = request_timeout_s
        self.send_timeout_s = send_timeout_s
        self.allowed_uids = frozenset({os.getuid(), 0})
        self.connections: set[_Connection] = set()
        self._api = api
        self._home = home
        self._environ = environ
        self._streams = 0
        self._listener: asyncio.Server | None = None
        self._inode = 0
        self._entry: Path | None = None

    async def start(self) -> None:
        """Bind and listen. Raises ``NotPermitted`` when the socket's place is not ours."""
        loop = asyncio.get_running_loop()
        manager = web.Server(self._answer)
        listening = bind(self.path)
        self._inode = self.path.lstat().st_ino
        self._listener = await loop.create_unix_server(lambda: _Connection(self, manager, loop), sock=listening)
        point_to(self._home, self.path)
        self._entry = register(self._home, self.path, self._environ)

    async def stop(self, timeout_s: float = 1.0) -> None:
        """Take no more connections, give the open ones ``timeout_s`` to end, and remove the socket."""
        if self._listener is None:
            return
        self._listener.close()
        unbind(self.path, self._inode)
        if self._entry is not None:
            self._entry.unlink(missing_ok=True)
        await asyncio.gather(*(connection.shutdown(timeout_s) for connection in list(self.connections)))
        self._listener = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)  # noqa: S101  # we are its only maker  # nosec B101
        try:
            body = await request.read()
            connection.request_is_whole()
            if request.method == "GET":
                return await self._read(request)
            return _document(200, await self._act(request, body, connection.peer))
        except TradebotError as error:
            if isinstance(error, UsageError):
                self.on_refused(connection.peer, error.what)
            return _document(code_of(error).status, error_document(error))

    async def _read(self, request: web.BaseRequest) -> web.StreamResponse:
        view = route(request.method, request.path, VIEWS, VERBS)
        query = check_arguments(dict(request.query), VIEWS[view], view)
        answer = await self._api.read(view, query)
        if isinstance(answer, bytes):
            return _document(200, answer)
        if self._streams >= MAX_STREAMS:
            raise Unavailable("too many readers at once", where=view, mend="end one of them and ask again")
        self._streams += 1
        try:
            return await _send_lines(request, answer)
        finally:
            self._streams -= 1

    async def _act(self, request: web.BaseRequest, body: bytes, peer: Peer) -> bytes:
        if request.method != "POST":
            raise UsageError(f"method {request.method} is not served", where=request.path, mend="use GET or POST")
        verb = route(request.method, request.path, VERBS, VIEWS)
        given = dict(request.query) | parse_body(body)
        return await self._api.act(verb, check_arguments(given, VERBS[verb], verb), peer)


class _Connection(web.RequestHandler):
    """One peer: let in or turned away, with a budget of bytes and time for its request."""

    def __init__(self, server: ControlServer, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        # Decompression would turn a small frame into a large one.
        super().__init__(
            manager, loop=loop, access_log=_SILENT, logger=_SILENT, tcp_keepalive=False, auto_decompress=False,
            lingering_time=0, max_line_size=8190, max_field_size=8190,
        )  # fmt: skip
        self.peer = Peer(0, -1, -1)
        self._server = server
        self._received = 0
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._pipe: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the peer in, or turn it away."""
        self._pipe = transport
        endpoint = transport.get_extra_info("socket")
        self.peer = peer_of(endpoint)
        if self.peer.uid not in self._server.allowed_uids:
            self._turn_away(403, NotPermitted("this daemon is another user's", mend="ask as its owner or as root"))
            return
        if len(self._server.connections) >= MAX_CONNECTIONS:
            self._turn_away(503, Unavailable("too many connections", mend="close some and ask again"))
            return
        self._is_open = True
        self._server.connections.add(self)
        super().connection_made(transport)
        self._timer = self._loop.call_later(self._server.request_timeout_s, self._is_too_slow)

    def data_received(self, data: bytes) -> None:
        """Hand on what fits the budget."""
        if not self._is_open:
            return
        self._received += len(data)
        if self._received > MAX_FRAME:
            self._turn_away(413, UsageError(f"the request is larger than {MAX_FRAME} bytes"))
            return
        super().data_received(data)

    def pause_writing(self) -> None:
        """Give a peer that takes nothing more ``send_timeout_s`` to go on."""
        super().pause_writing()
        self._stall = self._loop.call_later(self._server.send_timeout_s, self._abort)

    def resume_writing(self) -> None:
        """Go on with a peer that does."""
        super().resume_writing()
        self._end_stall()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the peer."""
        self.request_is_whole()
        self._end_stall()
        if self in self._server.connections:
            self._server.connections.discard(self)
            super().connection_lost(exc)

    def request_is_whole(self) -> None:
        """Stop the clock: from here on the time is ours."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the error document for what aiohttp could not read or our code did not catch."""
        if status == 500 and exc is not None:
            self._server.on_failed(exc)
            error: TradebotError = InvariantError(f"the daemon failed to answer: {type(exc).__name__}: {exc}")
        else:
            error = UsageError(f"not a request: {(message or 'bad HTTP').splitlines()[0][:200]}")
            self._server.on_refused(self.peer, error.what)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was under way")
        return _document(status, error_document(error))

    def _end_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _abort(self) -> None:
        # Closing would wait for what the peer does not take.
        if isinstance(self._pipe, asyncio.Transport):
            self._pipe.abort()

    def _is_too_slow(self) -> None:
        self._timer = None
        self._turn_away(408, UsageError(f"the request was not whole after {self._server.request_timeout_s:g} s"))

    def _turn_away(self, status: int, error: TradebotError) -> None:
        self._server.on_refused(self.peer, error.what)
        self._is_open = False
        self.request_is_whole()
        pipe = self._pipe
        if isinstance(pipe, asyncio.Transport) and not pipe.is_closing():
            body = error_document(error)
            head = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            pipe.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            pipe.close()


_SILENT = logging.getLogger("tradebot.control")
# aiohttp's own words about bad requests; ours go to ``on_refused`` and ``on_failed``.
_SILENT.disabled = True


def _document(status: int, body: bytes) -> web.Response:
    response = web.Response(status=status, body=body, content_type="application/json")
    response.force_close()
    return response


async def _send_lines(request: web.BaseRequest, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    # The first piece comes before the head, so that an error in finding it is still an error document.
    first = await anext(pieces, b"")
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    response.force_close()
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    except TradebotError as error:
        # The missing last chunk tells the reader that the lines are not whole.
        raise ConnectionError("the answer ended early") from error
    return response
