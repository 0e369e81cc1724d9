"""Processes that die: killed while they write, and stopped by a disk that is full."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

from tradebot.store.journal import SqliteJournal
from tradebot.store.snapshot import load_snapshots

WRITER = """
import asyncio, sys, time
from pathlib import Path
from tradebot.store.journal import SqliteJournal
from tradebot.store.snapshot import write_snapshot

class Clock:
    now = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)

async def main(home):
    journal = await SqliteJournal.open(home / "journal.db", Clock(), full=True)
    if journal.opened.damage:
        sys.exit(f"damage: {journal.opened.damage}")
    while True:
        for n in range(1 + journal.last_seq % 50):
            seq = journal.append("bar" if n else "fill", n, b"payload" * (n + 1))
        await journal.committed(seq)
        write_snapshot(home, seq, "cafe", str(seq).encode())
        print(seq, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""
FULL_DISK = """
import asyncio, resource, signal, sys, time
from pathlib import Path
from tradebot.model.errors import StorageFailed
from tradebot.store.journal import SqliteJournal

class Clock:
    now = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)

async def main(home):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal = await SqliteJournal.open(home / "journal.db", Clock())
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    try:
        while True:
            await journal.committed(journal.append("bar", 1, bytes(5_000)))
            print(journal.durable_seq, flush=True)
    except StorageFailed as error:
        print(error.exit_code, "failed" if journal.failed is error else "other", flush=True)
    await journal.close()

asyncio.run(main(Path(sys.argv[1])))
"""


class FixedClock:
    def now(self) -> int:
        return 5

    def monotonic(self) -> float:
        return 0.0


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(3)
    acknowledged = 0
    for _ in range(5):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            for _ in range(chance.randint(1, 60)):
                line = child.stdout.readline()
                assert line, child.stderr.read()
                assert int(line) > acknowledged
                acknowledged = int(line)
            child.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])
        found = load_snapshots(tmp_path)
        assert found.valid[0].seq >= acknowledged
        assert found.rejected == []


async def test_a_full_disk_stops_the_journal_and_what_it_acknowledged_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    *acknowledged, last = done.stdout.splitlines()
    assert (last, done.stderr, done.returncode) == ("74 failed", "", 0)
    journal = await SqliteJournal.open(tmp_path / "journal.db", FixedClock(), full=True)
    assert journal.last_seq >= int(acknowledged[-1]) > 10
    assert journal.opened.damage == ()
    await journal.close()
