"""What a hostile or broken peer may do to the socket: be answered or hung up on, and nothing else."""

import asyncio
import gzip
import json
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import until
from tradebot.control import client
from tradebot.control.protocol import MAX_STREAMS
from tradebot.control.server import ControlServer
from tradebot.model.errors import Unavailable

in_thread = asyncio.to_thread


def say(path: Path, data: bytes, timeout: float = 3.0) -> bytes:
    """Send ``data`` and return all that comes back until the server hangs up."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(timeout)
        peer.connect(str(path))
        with suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(data)
        answer = b""
        with suppress(ConnectionResetError):
            while piece := peer.recv(65536):
                answer += piece
        return answer


async def none_open(server: ControlServer) -> None:
    """Let the server accept what is connected, and let go of all."""
    await until(lambda: server.connections)
    await until(lambda: not server.connections)


async def is_well(server: ControlServer) -> bool:
    return json.loads(await in_thread(client.read, server.path, "health"))["state"] == "running"


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\xfe garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/status HTTP/9.9\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/close HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_garbage_gets_an_error_and_the_next_peer_is_served(server: ControlServer, asked, data: bytes) -> None:
    answer = await in_thread(say, server.path, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert json.loads(body)["error"]["code"] == "usage"
    assert await is_well(server)


async def test_a_line_without_end_is_cut_off_within_the_frame(server: ControlServer) -> None:
    sent = 0
    with socket.socket(socket.AF_UNIX) as peer:
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, str(server.path))
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 1 << 30:
                await loop.sock_sendall(peer, b"a" * 65536)
                sent += 65536
    # What the kernel holds of it in its buffers was sent but never read.
    assert sent < 2_000_000
    assert await is_well(server)


async def test_a_body_past_the_frame_is_refused(server: ControlServer, asked) -> None:
    status, body = await in_thread(client.request, server.path, "POST", "/v1/close", b"x" * (64 * 1024 + 1), 2.0)
    assert status in {400, 413}
    assert "larger" in json.loads(body)["error"]["what"]
    assert asked.acts == []


async def test_a_compressed_body_is_never_unpacked(server: ControlServer, asked) -> None:
    body = gzip.compress(b" " * 50_000_000)
    head = (
        f"POST /v1/close HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    answer = await in_thread(say, server.path, head + body)
    assert b"not JSON" in answer
    assert asked.acts == []


async def test_a_request_that_trickles_in_is_hung_up_on(server: ControlServer) -> None:
    for start in (b"", b"GET /v1/sta", b"POST /v1/close HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"):
        answer = await in_thread(say, server.path, start)
        assert answer.startswith(b"HTTP/1.1 408")
    assert await is_well(server)


async def test_a_peer_too_many_is_told_so(server: ControlServer) -> None:
    peers = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for peer in peers:
        await in_thread(peer.connect, str(server.path))
    with pytest.raises(Unavailable, match="too many connections"):
        await in_thread(client.read, server.path, "status")
    for peer in peers:
        peer.close()


async def test_a_thousand_connections_leave_the_server_well(server: ControlServer) -> None:
    peers = []
    for _ in range(1000):
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        await asyncio.get_running_loop().sock_connect(peer, str(server.path))
        peers.append(peer)
        if len(peers) % 50 == 0:
            # Lets the server accept: its backlog is far shorter than the queue of them.
            await asyncio.sleep(0)
    assert len(server.connections) <= 8
    for peer in peers:
        peer.close()
    await none_open(server)
    assert await is_well(server)


async def test_a_reader_that_takes_nothing_is_hung_up_on(server: ControlServer) -> None:
    peer = socket.socket(socket.AF_UNIX)
    await in_thread(peer.connect, str(server.path))
    peer.sendall(b"GET /v1/report HTTP/1.1\r\nHost: x\r\n\r\n")
    await none_open(server)
    peer.close()


async def test_readers_of_endless_lines_leave_room_for_commands(server: ControlServer) -> None:
    pieces = [client.stream(server.path, "logs") for _ in range(MAX_STREAMS)]
    for piece in pieces:
        assert await in_thread(next, piece) == b"{}\n"
    with pytest.raises(Unavailable, match="too many readers"):
        await in_thread(client.read, server.path, "logs")
    assert await in_thread(client.act, server.path, "halt")
    for piece in pieces:
        piece.close()


async def test_two_requests_at_once_on_a_connection_run_only_the_first(server: ControlServer, asked) -> None:
    one = b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    await in_thread(say, server.path, one + one)
    assert [verb for verb, _, _ in asked.acts] == ["pause"]
