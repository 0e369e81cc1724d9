"""Keeps the journal from growing without end: market rows that no recovery needs are pruned, after a backup."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.runtime.session import Session
from tradebot.settings.model import StoreSettings
from tradebot.store.journal import SqliteJournal
from tradebot.store.pruning import prune, prune_before
from tradebot.store.snapshot import peek_snapshots

_PERIOD_S = 3600.0


class Housekeeper:
    """Prunes every hour what is older, by market time, than ``[store] keep_market_days``."""

    def __init__(
        self, home: Path, journal: SqliteJournal, session: Session, settings: StoreSettings, clock: Clock
    ) -> None:
        self._home, self._journal, self._session = home, journal, session
        self._settings, self._clock = settings, clock

    async def run(self, ready: Callable[[], None]) -> None:
        """Keep house until cancelled."""
        ready()
        while True:
            await asyncio.sleep(_PERIOD_S)
            await self.prune()

    async def prune(self) -> None:
        """Prune once. Raises ``StorageFailed``."""
        kept = peek_snapshots(self._home).valid
        if not kept:
            return
        before = prune_before(self._session.market_time, self._settings.keep_market_days)
        pruned = await prune(self._journal, before, kept[-1], self._clock.now())
        if pruned.backup is not None:
            log(LogEvent.BACKUP_MADE, file=pruned.backup.name)
            log(LogEvent.JOURNAL_PRUNED, removed=pruned.removed, up_to_seq=pruned.up_to_seq)
