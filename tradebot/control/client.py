"""A small client of the control socket: standard library, no event loop."""

import contextlib
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tradebot.control.protocol import PREFIX, URGENT, URGENT_WORDS, Peer, error_from
from tradebot.model.errors import NotPermitted, NotRunning, TimedOut, Unreadable

DEFAULT_TIMEOUT_S = 10.0
_CHUNK = 64 * 1024
_URGE_S = 0.03
_MAX_HEAD = 16 * 1024
_START_MEND = "start it with: tradebot start"
_HUNG_UP_MEND = "ask: tradebot status"
_SILENT_MEND = "look at: tradebot logs, tradebot health"


def read(path: Path, view: str, query: Mapping[str, str] | None = None, timeout: float = DEFAULT_TIMEOUT_S) -> bytes:
    """Return the document, or all the lines, of ``view``. Raises the daemon's error as its class."""
    return b"".join(stream(path, view, query, timeout))


def act(path: Path, verb: str, arguments: Mapping[str, str] | None = None, timeout: float = DEFAULT_TIMEOUT_S) -> bytes:
    """Return the answer to ``verb``. Raises the daemon's error as its class.

    A strategy that keeps the daemon from hearing what is urgent is interrupted.
    """
    status, body = request(path, "POST", PREFIX + verb, json.dumps(dict(arguments or {})).encode(), timeout)
    if status != 200:
        raise error_from(status, body)
    return body


def stream(
    path: Path, view: str, query: Mapping[str, str] | None = None, timeout: float = DEFAULT_TIMEOUT_S
) -> Iterator[bytes]:
    """Yield the answer to ``view`` in pieces as they come; ``timeout`` is for each wait."""
    with _Exchange(path, timeout) as exchange:
        status = exchange.send("GET", PREFIX + view + _query(query or {}), b"")
        if status != 200:
            raise error_from(status, b"".join(exchange.body()))
        yield from exchange.body()


def request(path: Path, method: str, target: str, body: bytes, timeout: float) -> tuple[int, bytes]:
    """Return the HTTP status and the body of one request.

    Raises ``NotRunning`` without a listening daemon, ``TimedOut`` when it stays silent for ``timeout``
    seconds, ``Unreadable`` when it hangs up in its answer.
    """
    with _Exchange(path, timeout) as exchange:
        status = exchange.send(method, target, body)
        return status, b"".join(exchange.body())


def find_peer(path: Path) -> Peer | None:
    """Return the process that listens at ``path``, or ``None``. Its ``pid`` is 0 from another pid namespace."""
    try:
        connection = connect(path, 1.0)
    except (NotRunning, NotPermitted, TimedOut):
        return None
    with connection:
        return peer_of(connection)


def peer_of(connection: socket.socket) -> Peer:
    """Return the process at the other end of a Unix socket."""
    layout = struct.Struct("3i")
    return Peer(*layout.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)))


def connect(path: Path, timeout: float) -> socket.socket:
    """Return a connection to the daemon that listens at ``path``."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        raise NotRunning("no daemon runs here", where=str(path.parent), mend=_START_MEND) from None
    except PermissionError:
        connection.close()
        mend = "run the command as the user that runs the daemon"
        raise NotPermitted("the control socket is another user's", where=str(path), mend=mend) from None
    except (TimeoutError, BlockingIOError):
        connection.close()
        raise _silent(path, timeout) from None
    except OSError as error:
        connection.close()
        raise NotRunning(f"the control socket cannot be used: {error}", where=str(path), mend=_START_MEND) from error
    return connection


class _Exchange:
    """One request and its answer on a connection of their own."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._is_urgent = False
        self._connection = connect(path, timeout)
        self._buffer = b""
        self._length: int | None = None

    def __enter__(self) -> "_Exchange":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, method: str, target: str, body: bytes) -> int:
        """Send the request and return the status of the answer."""
        self._is_urgent = target.removeprefix(PREFIX) in URGENT_WORDS
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: tradebot\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            self._connection.sendall(head.encode("ascii") + body)
        except TimeoutError:
            raise _silent(self._path, self._timeout) from None
        except (BrokenPipeError, ConnectionResetError):
            # A daemon that refuses us may have answered and hung up already: the answer is still there to read.
            pass
        return self._read_head()

    def body(self) -> Iterator[bytes]:
        """Yield the body in pieces; raises ``Unreadable`` when it ends early."""
        if self._length is None:
            yield from self._chunks()
            return
        left = self._length
        while left:
            if not self._buffer:
                self._more()
            piece, self._buffer = self._buffer[:left], self._buffer[left:]
            left -= len(piece)
            yield piece

    def _read_head(self) -> int:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_HEAD:
                raise Unreadable("the daemon's answer has no end of head", where=str(self._path))
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        parts = first.split(" ", 2)
        length = headers.get("content-length", "")
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
            raise Unreadable(f"the daemon answered {first[:80]!r}", where=str(self._path))
        if length.isdigit():
            self._length = int(length)
        elif headers.get("transfer-encoding", "").lower() != "chunked":
            raise Unreadable("the daemon's answer has no length", where=str(self._path))
        return int(parts[1])

    def _chunks(self) -> Iterator[bytes]:
        while True:
            try:
                size = int(self._line(), 16)
            except ValueError:
                raise Unreadable("the daemon's answer is broken", where=str(self._path)) from None
            if size == 0:
                return
            while len(self._buffer) < size + 2:
                self._more()
            piece, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
            yield piece

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _more(self) -> None:
        if self._is_urgent:
            self._urge()
        try:
            data = self._connection.recv(_CHUNK)
        except TimeoutError:
            raise _silent(self._path, self._timeout) from None
        except ConnectionResetError:
            data = b""
        if not data:
            raise Unreadable(
                "the daemon hung up before its answer was whole", where=str(self._path), mend=_HUNG_UP_MEND
            )
        self._buffer += data

    def _urge(self) -> None:
        """Wait for the daemon to speak, and let it know again and again that it is waited for."""
        until = time.monotonic() + self._timeout
        pid = peer_of(self._connection).pid
        while time.monotonic() < until:
            # From another namespace of processes it has no number.
            if pid > 0:
                with contextlib.suppress(OSError):
                    os.kill(pid, URGENT)
            if select.select([self._connection], [], [], _URGE_S)[0]:
                return
        raise _silent(self._path, self._timeout)


def _silent(path: Path, timeout: float) -> TimedOut:
    return TimedOut(f"the daemon did not answer within {timeout:g} s", where=str(path), mend=_SILENT_MEND)


def _query(query: Mapping[str, str]) -> str:
    if not query:
        return ""
    from urllib.parse import urlencode

    return "?" + urlencode(query)
