"""What only a person at a terminal sees: the screen that stays fresh, the bar of a long run."""

import asyncio
import io
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tradebot.cli.main import run
from tradebot.cli.progress import progress_bar
from tradebot.control.protocol import Peer, find_socket
from tradebot.control.server import ControlServer


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


class Daemon:
    """Answers ``status`` with a state alone."""

    async def read(self, view: str, query: Mapping[str, str]) -> bytes | AsyncIterator[bytes]:
        return b'{"state": "paused", "bot": "fake"}\n'

    async def act(self, verb: str, arguments: Mapping[str, str], peer: Peer) -> bytes:
        raise AssertionError(verb)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name in ("run", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "TRADEBOT_HOME": str(tmp_path / "home")}


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """End the watching, as Ctrl-C does, after so many looks; the seconds between them are not waited for."""

    def limit(count: int) -> None:
        waits = iter(range(count - 1))

        def wait(_seconds: float) -> None:
            if next(waits, None) is None:
                raise KeyboardInterrupt

        monkeypatch.setattr(time, "sleep", wait)

    return limit


async def test_the_status_stays_on_the_screen_until_it_is_interrupted(
    environ: dict[str, str], looks: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    server = ControlServer(Daemon(), Path(environ["TRADEBOT_HOME"]), environ)
    await server.start()
    looks(3)
    try:
        assert await asyncio.to_thread(run, ["status", "--watch"], environ) == 130
    finally:
        await server.stop(0.1)
    assert "paused" in capsys.readouterr().out


def test_a_daemon_that_stops_is_waited_for(
    environ: dict[str, str], looks: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    looks(2)
    assert run(["status", "-w"], environ) == 130
    assert "stopped" in capsys.readouterr().out


async def test_an_answer_that_cannot_be_read_is_shown_and_the_watching_goes_on(
    environ: dict[str, str], looks: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"what?\r\n\r\n")
        writer.close()

    path = find_socket(Path(environ["TRADEBOT_HOME"]), environ)
    server = await asyncio.start_unix_server(babble, path)
    looks(2)
    async with server:
        assert await asyncio.to_thread(run, ["status", "--watch"], environ) == 130
    assert "what?" in capsys.readouterr().out


def test_a_long_run_draws_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as progress:
        assert progress is not None
        progress(0, 0)
        progress(7, 9)
    assert "7/9" in screen.getvalue()


def test_elsewhere_no_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar() as progress:
        assert progress is None
