"""A daemon that trades as fast as it can, with hostile peers on its socket, trades as if it were alone."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.recovery.lab import Running, facts_of, run, write_config
from tradebot.control import client
from tradebot.model.errors import TradebotError

GARBAGE: tuple[bytes, ...] = (
    os.urandom(4096),
    b"\xff\xfe\x00" * 100,
    b"GET /v1/status HTTP/9.9\r\n\r\n",
    b"POST /v1/close HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"[" * 20000,
    b"POST /v1/close HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
    b"POST /v1/dance HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/logs?n=-1&level=x HTTP/1.1\r\nHost: x\r\n\r\n",
)


async def send(path: Path, body: bytes) -> bytes:
    """Send what a peer sends, and return what it gets before the daemon hangs up or a moment passes."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(body)
        async with asyncio.timeout(0.3):
            return await reader.read(65536)
    except (OSError, TimeoutError):
        return b""
    finally:
        if "writer" in locals():
            writer.close()


async def endless_line(path: Path) -> None:
    """Send one line without end until the daemon has had enough."""
    _, writer = await asyncio.open_unix_connection(path)
    try:
        for _ in range(1000):
            writer.write(b"x" * 2**20)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()
    pytest.fail("a line of 1 GB was read to its end")


def test_trades_are_the_same_under_attack_and_status_answers_within_a_second_of_work(tmp_path: Path) -> None:
    config = write_config(tmp_path, bars=1500, at_end="stay")
    answers: list[float] = []

    async def attacked(daemon: Running) -> None:
        await daemon.up()
        attacks = asyncio.gather(*(send(daemon.socket, body) for body in GARBAGE * 4), endless_line(daemon.socket))
        while not attacks.done():
            # Of the processor's time: who else uses the machine is not the daemon's doing.
            began = time.process_time()
            if await daemon.status():
                answers.append(time.process_time() - began)
            await asyncio.wait({attacks}, timeout=0.01)
        await attacks
        for verb, arguments in (("close", {"symbol": "NOPE"}), ("close", {"symbol": "\x00"}), ("cancel", {"id": "x"})):
            with pytest.raises(TradebotError):
                await daemon.act(verb, **arguments)
        await daemon.feed_finished()
        await daemon.act("stop")

    async def undisturbed(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.act("stop")

    assert run(tmp_path / "attacked", config, attacked) == 0
    assert run(tmp_path / "alone", config, undisturbed) == 0
    facts = facts_of(tmp_path / "alone")
    assert len(facts) > 1500
    assert facts_of(tmp_path / "attacked") == facts
    assert answers
    assert max(answers) < 1


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_user_is_kept_out(tmp_path: Path) -> None:
    config = write_config(tmp_path, bars=20, at_end="stay")
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); print(s.recv(9))"
    )

    async def during(daemon: Running) -> None:
        await daemon.up()
        words = ["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/env", "python3", "-c", code]
        done = await asyncio.to_thread(
            subprocess.run, [*words, str(daemon.socket)], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "200" not in done.stdout
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0


def test_every_view_answers_json_while_it_trades(tmp_path: Path) -> None:
    config = write_config(tmp_path, bars=400, at_end="stay")
    lines = {"orders", "signals", "why", "trades", "logs"}

    async def during(daemon: Running) -> None:
        await daemon.turns(100)
        for view in ("status", "health", "positions", "balance", "risk", "report", *sorted(lines)):
            body = await asyncio.to_thread(client.read, daemon.socket, view, {})
            for text in body.splitlines() if view in lines else [body]:
                json.loads(text)
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0
