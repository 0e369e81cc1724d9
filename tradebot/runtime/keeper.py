"""Takes snapshots between turns, behind the commit of the rows they stand on."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.ports import Journal
from tradebot.runtime.session import Session
from tradebot.runtime.tasks import LineRunner
from tradebot.settings.load import Loaded
from tradebot.store.snapshot import Snapshot, write_snapshot

_MUCH_BYTES = 1_000_000


class Keeper:
    """Writes a snapshot as often as ``[store]`` says: by the clock and by the turns since the last.

    ``sizes`` are those of the strategies' fields; one that keeps much is told of once, for trading waits for it.
    """

    def __init__(
        self,
        home: Path,
        session: Session,
        runner: LineRunner,
        journal: Journal,
        loaded: Loaded,
        sizes: Mapping[str, int],
    ) -> None:
        self._home, self._session, self._runner, self._journal = home, session, runner, journal
        self._sizes, self._told = sizes, set[str]()
        self.loaded = loaded
        self._due = asyncio.Event()
        self._turns_kept = -1

    def turned(self) -> None:
        """Hear of a finished turn."""
        if self._session.turns - self._turns_kept >= self.loaded.settings.store.snapshot_turns:
            self._due.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Keep until cancelled."""
        ready()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self.loaded.settings.store.snapshot_s)
            self._due.clear()
            if self._session.turns != self._turns_kept:
                await self.keep()

    async def take(self) -> Snapshot | None:
        """Return a snapshot of now, whose rows may not be durable yet; ``None`` where a turn was cut short."""
        async with self._runner.gate:
            if self._session.turn_seq:
                # Half of it is in the stages, the other half is lost.
                return None
            seq, config_hash = self._journal.last_seq, self.loaded.config_hash
            return Snapshot(seq=seq, config_hash=config_hash, body=self._session.save())

    async def keep(self) -> None:
        """Write a snapshot of now, unless a turn was cut short. Raises ``StorageFailed``."""
        turns, snapshot = self._session.turns, await self.take()
        if snapshot is None:
            return
        self._turns_kept = turns
        await self._journal.committed(snapshot.seq)
        await _whole(write_snapshot, self._home, snapshot.seq, snapshot.config_hash, snapshot.body)
        log(LogEvent.SNAPSHOT_WRITTEN, level="debug", seq=snapshot.seq, bytes=len(snapshot.body))
        for strategy, size in self._sizes.items():
            if size > _MUCH_BYTES and strategy not in self._told:
                self._told.add(strategy)
                log(LogEvent.STRATEGY_SWELLED, level="warning", strategy=strategy, bytes=size)


async def _whole(write: Callable[..., None], *given: object) -> None:
    """Run ``write`` in a thread, and end only when it has ended, cancelled or not.

    The last snapshot comes after the task that keeps them was cancelled: two at once would take each other's names.
    """
    writing = asyncio.ensure_future(asyncio.to_thread(write, *given))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise
