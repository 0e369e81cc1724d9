"""Run a daemon whose files ``recorder.c`` watches, and mark there what it promised, as it promises it.

python -m tests.power.recorded HOME CONFIG [--live]
"""

import ctypes
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.kills import points
from tradebot.runtime import keeper
from tradebot.runtime.daemon import run_daemon
from tradebot.settings.load import LoadOptions
from tradebot.store import pruning
from tradebot.store.journal import SqliteJournal


class Promise(IntEnum):
    """What a mark says: its value is a row, or a nonce."""

    DURABLE = 1
    SNAPSHOT = 2
    BACKUP = 3
    SENT = 4


def mark(promise: Promise, value: int) -> None:
    """Write a mark between the records of what was written."""
    ctypes.CDLL(None).power_mark(int(promise), ctypes.c_int64(value))


def watch() -> None:
    """Mark each promise of this process."""
    landed, write, backup = SqliteJournal._landed, keeper.write_snapshot, pruning.backup

    def landed_marked(journal: SqliteJournal, flight: Any) -> None:
        # Whoever waits runs after this call: nothing is promised before.
        landed(journal, flight)
        mark(Promise.DURABLE, journal.durable_seq)

    def write_marked(home: Path, seq: int, config_hash: str, body: bytes) -> None:
        write(home, seq, config_hash, body)
        mark(Promise.SNAPSHOT, seq)

    async def backup_marked(journal: SqliteJournal) -> Path:
        path: Path = await backup(journal)
        mark(Promise.BACKUP, int(path.stem.rpartition("-")[2]))
        return path

    SqliteJournal._landed, keeper.write_snapshot, pruning.backup = landed_marked, write_marked, backup_marked


def watch_orders() -> None:
    """Mark each order that is about to be sent."""
    from tradebot.venues.hyperliquid.gateway import Gateway

    send = Gateway.send

    async def send_marked(gateway: Gateway, intent: Any) -> Any:
        mark(Promise.SENT, intent.nonce)
        return await send(gateway, intent)

    Gateway.send = send_marked


if __name__ == "__main__":
    is_live = "--live" in sys.argv
    points.quicken()
    watch()
    if is_live:
        watch_orders()
    sys.exit(run_daemon(Path(sys.argv[1]), LoadOptions((Path(sys.argv[2]),)), is_live))
