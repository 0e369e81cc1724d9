"""A control server on a real socket, answered by a small daemon that only remembers what it was asked."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tradebot.control.protocol import Peer
from tradebot.control.server import ControlServer
from tradebot.model.errors import RefusedByRule


class Asked:
    """A ``ControlApi`` that notes what it was asked."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, dict[str, str]]] = []
        self.acts: list[tuple[str, dict[str, str], Peer]] = []
        self.refusals: list[str] = []
        self.failures: list[BaseException] = []

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        self.reads.append((view, dict(query)))
        if view == "trades":
            return self.lines()
        if view == "logs":
            return self.endless()
        if view == "balance":
            raise KeyError("a bug")
        if view == "report":
            return b"x" * 8_000_000
        return b'{"state":"running"}\n'

    async def lines(self) -> AsyncIterator[bytes]:
        for number in range(3):
            yield b'{"n":%d}\n' % number

    async def endless(self) -> AsyncIterator[bytes]:
        yield b"{}\n"
        await asyncio.Event().wait()

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        self.acts.append((verb, dict(arguments), peer))
        if verb == "resume":
            raise RefusedByRule("the daily loss limit holds", where="resume", mend="wait for tomorrow")
        return b'{"done":true}\n'


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "r"
    runtime.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def server(asked: Asked, home: Path, environ: dict[str, str]) -> AsyncIterator[ControlServer]:
    made = ControlServer(
        asked,
        home,
        environ,
        on_refused=lambda _peer, reason: asked.refusals.append(reason),
        on_failed=asked.failures.append,
        request_timeout_s=0.3,
        send_timeout_s=0.3,
    )
    os.umask(0o022)
    await made.start()
    yield made
    await made.stop(0.2)
