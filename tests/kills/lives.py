"""Lives of a daemon: each a process of its own, forked from this one, that has imported all there is to import.

So a start costs what the boot costs. What a life acknowledged it writes to memory that is shared with its parent, as
it acknowledges it: that outlives any death.
"""

import ctypes
import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.kills import points
from tradebot.runtime.daemon import run_daemon
from tradebot.settings.load import LoadOptions
from tradebot.store.journal import SqliteJournal

ANY_MOMENT = "any moment"
KILLED = -signal.SIGKILL
DEADLINE_S = 120.0
_LIBC = ctypes.CDLL(None)
_DIE_WITH_PARENT = 1
_TORN = "the write-ahead log can be read up to frame"


class Death(NamedTuple):
    """How a life is to end: after ``seconds``, or at a named point; the first that comes."""

    seconds: float
    point: str = ""
    passes: int = 0


class Told(NamedTuple):
    """What a life found at its start, and the newest row that it acknowledged; 0 before the start.

    ``torn``: the log ends in the head of a page that was not written. A kill between the two leaves that, and from the
    file alone nobody knows it from damage, so it is told. ``damage`` counts all other faults.
    """

    opened: int
    damage: int
    durable: int
    torn: int


class Life:
    """One process of a daemon."""

    def __init__(self, home: Path, config: Path, death: Death | None, *, is_live: bool = False) -> None:
        self._shared = mmap.mmap(-1, 8 * len(Told._fields))
        self.cause = ""
        self.home = home
        self.pid = os.fork()
        if self.pid == 0:
            self._live(home, config, death, is_live)

    def _live(self, home: Path, config: Path, death: Death | None, is_live: bool) -> None:
        code = 70
        try:
            _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            errors = os.open(home.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(errors, 1)
            os.dup2(errors, 2)
            points.quicken()
            self._watch()
            if death is not None and death.point:
                points.arm(death.point, death.passes)
            code = run_daemon(home, LoadOptions((config,)), is_live)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _watch(self) -> None:
        shared = memoryview(self._shared).cast("q")
        landed, opened = SqliteJournal._landed, SqliteJournal.open.__func__

        async def open_told(*given: object, **named: object) -> SqliteJournal:
            journal: SqliteJournal = await opened(*given, **named)
            torn = sum(_TORN in told for told in journal.opened.damage)
            shared[0], shared[2] = journal.last_seq, journal.durable_seq
            shared[1], shared[3] = len(journal.opened.damage) - torn, torn
            return journal

        def landed_told(journal: SqliteJournal, flight: object) -> None:
            # Whoever waits runs after this call, so nothing is acknowledged that is not told.
            landed(journal, flight)
            shared[2] = journal.durable_seq

        SqliteJournal.open, SqliteJournal._landed = classmethod(open_told), landed_told

    def told(self) -> Told:
        """Return what the process said so far."""
        return Told(*memoryview(self._shared).cast("q"))

    def ended(self, seconds: float = DEADLINE_S) -> int | None:
        """Return the exit code, below zero for a signal; ``None`` when it still runs after ``seconds``."""
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            left = until - time.monotonic()
            if left <= 0:
                return None
            signal.sigtimedwait({signal.SIGCHLD}, left)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return the exit code."""
        os.kill(self.pid, number)
        code = self.ended()
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise TimeoutError(f"process {self.pid} did not end by signal {number}")
        return code

    def die(self, death: Death) -> int:
        """Let it live until ``death``; return the exit code, 0 when it came to its end before."""
        code = self.ended(death.seconds)
        self.cause = ANY_MOMENT if code is None else death.point
        return self.kill() if code is None else code

    @property
    def errors(self) -> str:
        """What it wrote besides its log."""
        return self.home.with_suffix(".err").read_text(errors="replace")[-2000:]


def a_death(chance: random.Random, named: tuple[str, ...], mean_s: float, passes: Callable[[str], int]) -> Death:
    """Draw a death: half of them at a named point, half at any moment."""
    if chance.random() < 0.5:
        point = chance.choice(named)
        return Death(3 * mean_s, point, chance.randint(1, passes(point)))
    return Death(chance.uniform(0, 2 * mean_s))


def block_child_signal() -> None:
    """Let the end of a child wake ``ended``. A child inherits it, which does no harm."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
