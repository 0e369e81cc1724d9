"""Runs the real daemon in this process, on a real home, and reads and mends what it left behind."""

import asyncio
import io
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loguru import logger

from tradebot.control import client
from tradebot.control.protocol import find_socket
from tradebot.log import LEVELS, STATE
from tradebot.model.errors import NotRunning, TimedOut, Unavailable, Unreadable
from tradebot.runtime import logs
from tradebot.runtime.boot import boot
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.daemon import Daemon
from tradebot.runtime.engine import Engine
from tradebot.runtime.feeding import Feeder
from tradebot.runtime.host import Host
from tradebot.runtime.line_boot import RunningLine as Line
from tradebot.settings.load import LoadOptions
from tradebot.store.journal import SqliteJournal
from tradebot.store.lock import HomeLock, prepare_home
from tradebot.store.rows import JournalReader, Query
from tradebot.store.schema import JOURNAL_NAME, Row

DEADLINE_S = 60.0
STRATEGIES = """
[[strategy]]
kind = "sma_cross"
symbols = ["AAA"]
fast = 3
slow = 8
target = { kind = "r", r = 1.5 }
[[strategy]]
kind = "donchian_breakout"
symbols = ["BBB"]
entry = 8
exit = 4
stop = { kind = "atr", n = 5, trail = { kind = "structure", swing = 2 }, break_even = { at_r = 0.5 } }
max_hold = { time = "45m", unless_r = 1 }
"""


def write_config(
    folder: Path,
    *,
    bars: int | None = 160,
    strategies: str = STRATEGIES,
    at_end: str = "stop",
    speed: str = '"max"',
    symbols: Iterable[str] = ("AAA", "BBB"),
    risk: str = "",
    store: str = "",
    feed: str | None = None,
) -> Path:
    """Write a configuration on the generated market, or on ``feed``, and return its path."""
    generated = f'kind = "generated"\nseed = 5\n{"" if bars is None else f"bars = {bars}"}'
    config = folder / "bot.toml"
    config.write_text(
        f"[bot]\nsymbols = {json.dumps(list(symbols))}\n"
        f'[feed]\n{feed or generated}\nspeed = {speed}\nat_end = "{at_end}"\n'
        f'{strategies}\n[risk]\nsize = {{ kind = "risk_fraction", fraction = 0.002 }}\n{risk}\n'
        f"[store]\nmin_free_mb = 1\nreserve_mb = 1\n{store}\n"
    )
    return config


async def until(is_so: Callable[[], bool]) -> None:
    """Return once ``is_so``."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


class Watched(Daemon):
    """A daemon of which a test sees what its phases gave."""

    host: Host | None = None
    line: Line | None = None

    async def _open(self) -> Host:
        self.host = await super()._open()
        return self.host

    async def _recover(self, host: Host) -> Line:
        self.line = await super()._recover(host)
        return self.line

    async def _take_down(self, line: Line) -> None:
        await super()._take_down(line)
        self.line = None

    @property
    def engine(self) -> Engine | None:
        """The engine of the line that stands now."""
        return None if self.line is None else self.line.engine


class Running:
    """A daemon under way in this process."""

    def __init__(self, home: Path, daemon: Watched, ending: "asyncio.Task[int]", pause_s: float = 0.01) -> None:
        self.home, self.daemon, self.ending, self._pause_s = home, daemon, ending, pause_s
        self.socket = find_socket(home, os.environ)

    async def act(self, verb: str, **arguments: str) -> dict[str, Any]:
        """Send a command over the socket and return the answer."""
        said = await asyncio.to_thread(client.act, self.socket, verb, arguments, DEADLINE_S)
        answer: dict[str, Any] = json.loads(said)
        return answer

    async def read(self, view: str, **query: str) -> bytes:
        """Read a view over the socket."""
        return await asyncio.to_thread(client.read, self.socket, view, query)

    async def status(self) -> dict[str, Any]:
        """Return ``status``; empty while there is none, or no room for who asks."""
        with suppress(NotRunning, Unreadable, TimedOut, Unavailable):
            status: dict[str, Any] = json.loads(await self.read("status"))
            return status
        return {}

    async def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first ``status`` of which ``is_so`` holds."""
        async with asyncio.timeout(DEADLINE_S):
            while not is_so(status := await self.status()):
                assert not self.ending.done(), f"it ended with {self.ending.result()}"
                await asyncio.wait({self.ending}, timeout=self._pause_s)
        return status

    async def up(self) -> dict[str, Any]:
        """Return ``status`` once it has come up."""
        return await self.until(lambda status: status.get("state", "starting") != "starting")

    async def turns(self, count: int) -> None:
        """Return once ``count`` turns were run."""
        async with asyncio.timeout(DEADLINE_S):
            while (engine := self.daemon.engine) is None or engine.session.turns < count:
                assert not self.ending.done(), f"it ended with {self.ending.result()}"
                await asyncio.sleep(0)

    async def engine(self) -> Engine:
        """Return the engine as soon as there is one, before the feed begins."""
        await until(lambda: self.daemon.engine is not None)
        assert self.daemon.engine is not None
        return self.daemon.engine

    async def stops(self, *turns: int) -> AsyncIterator[None]:
        """Hold the feed after each of so many turns, until the next is asked for."""
        engine = await self.engine()
        feeder, due = engine.feeder, list(turns)
        assert isinstance(feeder, Feeder)
        room, stands, goes_on = feeder._room, asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            if due and engine.session.turns >= due[0]:
                del due[0]
                stands.set()
                await goes_on.wait()
                goes_on.clear()
            await room()

        feeder._room = hold
        for _ in turns:
            async with asyncio.timeout(DEADLINE_S):
                await stands.wait()
            stands.clear()
            yield
            goes_on.set()

    async def image(self, home: Path) -> None:
        """Copy to ``home`` what a kill at this moment would leave behind."""
        assert self.daemon.host is not None
        journal = self.daemon.host.journal
        # Between two commits, on the journal's own thread; a backup is verified on another, beside its own files.
        passing = shutil.ignore_patterns("*.sock", "*.part-*")
        await journal.run(lambda _: shutil.copytree(self.home, home, ignore=passing, copy_function=_copied_if_there))

    async def feed_finished(self) -> dict[str, Any]:
        """Return ``status`` once the feed is finished."""
        return await self.until(lambda status: bool(status) and status["feed"]["state"] == "finished")


def _copied_if_there(source: str, target: str) -> str:
    # A snapshot's draft takes its place, and a backup goes, between listing and copying.
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)
    return target


During = Callable[[Running], Awaitable[None]]


async def run_beside(home: Path, config: Path, during: During | None, environ: Mapping[str, str]) -> int:
    """Run the daemon of ``home`` to its end, and ``during`` beside it; return its exit code."""
    options = LoadOptions((config,))
    with HomeLock(home):
        loaded = options.load(home, environ)
        logs.configure(home, loaded.settings.log, {}, stdout=io.StringIO(), stderr=io.StringIO())
        daemon = Watched(home, loaded, options, environ, SystemClock())
        ending = asyncio.create_task(daemon.main())
        try:
            if during is not None:
                await during(Running(home, daemon, ending))
            async with asyncio.timeout(DEADLINE_S):
                return await ending
        finally:
            daemon._supervisor.stopping.set()
            await asyncio.wait({ending}, timeout=DEADLINE_S)
            logger.remove()
            STATE.least = len(LEVELS)


async def recovered_state(home: Path, config: Path) -> dict[str, Any]:
    """Return the state to which ``home`` recovers, by part."""
    journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
    try:
        booted = await boot(home, LoadOptions((config,)).load(home, {}), journal, lambda: None)
        state: dict[str, Any] = json.loads(booted.session.save())
        return state
    finally:
        await journal.close()


def run(home: Path, config: Path, during: During | None = None) -> int:
    """Run the daemon of ``home`` to its end in a loop of its own."""
    return asyncio.run(run_beside(home, config, during, {}))


def logged(home: Path, event: str) -> list[Mapping[str, Any]]:
    """Return the log lines of ``event``."""
    return list(logs.read_log(logs.log_file(home), 10**6, "debug", event))


def rows_of(home: Path, *kinds: str) -> list[Row]:
    """Return the rows of a stopped daemon, of ``kinds`` or all."""
    with JournalReader(home / JOURNAL_NAME) as journal:
        return list(journal.rows(Query(kinds=kinds or None)))


def facts_of(home: Path) -> list[tuple[str, int, bytes]]:
    """Return what a run comes to: fills, round trips, funding and the equity curve, in order."""
    return [(row.kind, row.ts_event, row.payload) for row in rows_of(home, "fill", "round_trip", "funding", "equity")]


async def write_journal(home: Path, rows: Iterable[Row]) -> None:
    """Make a journal of ``rows``, as a kill would have left it."""
    prepare_home(home)
    journal = await SqliteJournal.open(home / JOURNAL_NAME, SystemClock())
    for row in rows:
        await journal.room()
        assert journal.append(row.kind, row.ts_event, row.payload) == row.seq
    await journal.close()
