"""Backs up as often as the configuration says, proves each backup, and has it copied elsewhere.

Nothing of it is in the way of trading: it has its own threads, and what fails is paged and tried again the next time.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tradebot.log import log
from tradebot.model.command import AlertName
from tradebot.model.errors import StorageFailed, TradebotError
from tradebot.model.logevent import LogEvent
from tradebot.model.time import Nanos
from tradebot.ports import Clock, Page
from tradebot.report.views import BackupFacts
from tradebot.runtime.drill import prove
from tradebot.runtime.keeper import Keeper
from tradebot.settings.model import StoreSettings
from tradebot.store.backups import backup, backups
from tradebot.store.journal import SqliteJournal

_COMMAND_S = 600.0
_IDLE_S = 60.0
_SETTLED_S = 30.0
_MOST_SAID = 300
_MEND = "tradebot state backup tries at once; tradebot state verify checks what is there"


class BackupKeeper:
    """Makes the backups of one home. ``facts`` are those of the newest."""

    def __init__(
        self,
        home: Path,
        journal: SqliteJournal,
        keeper: Keeper,
        clock: Clock,
        page: Page,
    ) -> None:
        self._home, self._journal, self._keeper, self._clock, self._page = home, journal, keeper, clock, page
        self._one_at_a_time = asyncio.Lock()
        self.facts = BackupFacts()

    @property
    def _settings(self) -> StoreSettings:
        return self._keeper.loaded.settings.store

    async def run(self, ready: Callable[[], None]) -> None:
        """Prove the newest backup, then keep making them until cancelled."""
        ready()
        found = backups(self._home)
        if found:
            self.facts = _facts(found[0], is_verified=False)
            # The boot comes first.
            await asyncio.sleep(_SETTLED_S)
            async with self._one_at_a_time:
                await self._told(self._prove(found[0]))
        while True:
            minutes = self._settings.backup_minutes
            await asyncio.sleep(minutes * 60 or _IDLE_S)
            if minutes:
                await self._told(self.make())

    async def make(self, *, is_asked: bool = False) -> Path:
        """Make a backup, prove it, and have it copied. Raises ``StorageFailed``.

        One that an operator asked for may take of the disk what is otherwise left free.
        """
        async with self._one_at_a_time:
            path = await self._make(0 if is_asked else self._settings.min_free_mb)
            await self._prove(path)
        await self._told(self._copy_elsewhere(path))
        return path

    async def make_last(self) -> None:
        """Make a backup at the end, unless none are made: the next start proves it."""
        if self._settings.backup_minutes:
            async with self._one_at_a_time:
                await self._told(self._make(self._settings.min_free_mb))

    async def _make(self, min_free_mb: int) -> Path:
        path = await backup(self._journal, await self._keeper.take(), min_free_mb)
        self.facts = _facts(path, is_verified=False)
        log(LogEvent.BACKUP_MADE, file=path.name)
        return path

    async def _prove(self, path: Path) -> None:
        self.facts = _facts(path, is_verified=False)
        # A loop of its own: an hour of inputs must not pass through the loop that trades.
        rows = await asyncio.to_thread(asyncio.run, prove(path, self._clock))
        self.facts = _facts(path, is_verified=True)
        log(LogEvent.BACKUP_VERIFIED, file=path.name, rows=rows)

    async def _copy_elsewhere(self, path: Path) -> None:
        command = _filled(self._settings.backup_command, path)
        if not command:
            return
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise _not_copied(f"{command[0]} cannot be run: {error.strerror}") from error
        try:
            _, said = await asyncio.wait_for(process.communicate(), _COMMAND_S)
        except TimeoutError:
            raise _not_copied(f"{command[0]} took longer than {_COMMAND_S:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
        if process.returncode:
            words = said.decode(errors="replace").strip()[-_MOST_SAID:]
            raise _not_copied(f"{command[0]} ended with {process.returncode}: {words}")

    async def _told(self, work: Awaitable[object]) -> None:
        try:
            await work
        except (TradebotError, OSError) as error:
            log(LogEvent.BACKUP_FAILED, level="warning", error=str(error))
            self._page(AlertName.BACKUP_FAILED, f"backup: {error}", _MEND)


def _facts(path: Path, *, is_verified: bool) -> BackupFacts:
    return BackupFacts(last_ts=Nanos(path.stat().st_mtime_ns), is_verified=is_verified)


def _filled(command: Sequence[str], path: Path) -> list[str]:
    """Return the words of ``command`` with the path in place of ``{file}``, at the end where none asks for it."""
    if not command:
        return []
    words = [word.replace("{file}", str(path)) for word in command]
    return words if words != list(command) else [*words, str(path)]


def _not_copied(what: str) -> StorageFailed:
    return StorageFailed(f"the backup was not copied: {what}", where="store.backup_command", mend="run it by hand")
