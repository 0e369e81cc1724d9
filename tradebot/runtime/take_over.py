"""Whose an account is: a home that was restored or copied trades it only when an operator says that it takes over.

The journal of such a home ends before its account's past does. Another home may trade still, ids after its last row
are at the venue already, and what it decided last may have been sent by the other.
"""

import sqlite3
from functools import partial
from pathlib import Path

from tradebot.live.opening import opened
from tradebot.model.command import Verb
from tradebot.model.errors import RefusedByRule
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.ports import Clock
from tradebot.runtime.engine import Engine
from tradebot.store.journal import SqliteJournal
from tradebot.store.rows import get_meta
from tradebot.store.schema import INSTANCE, PLACE, PUT_META

HALT_REASON = "this home took the account over: compare positions and orders with the venue, then resume"
_GAP = "gap_s"
_MACHINE_ID = Path("/etc/machine-id")


async def admit(journal: SqliteJournal, home: Path, clock: Clock, *, take_over: bool) -> bool:
    """Return whether ``home`` takes its account over; where its journal is a copy, only with ``take_over``.

    What it signs from now on has other ids than before, and other ids than those of the past that it does not know.
    Raises ``RefusedByRule``.
    """
    if await opened(journal) is None:
        # It never traded: there is nothing to repeat.
        return False
    is_copy = await journal.run(partial(_is_copy, place=_place(home)))
    if is_copy and not take_over:
        raise RefusedByRule(
            "this home was restored or copied: the account may be traded by the one it was made of",
            where=str(home),
            mend="stop that one for good, then start here with: tradebot start --live --take-over",
        )
    await journal.run(partial(_renew, is_copy=is_copy, now=clock.now()))
    return is_copy


async def number_anew(engine: Engine, journal: SqliteJournal) -> None:
    """Let the numbers of signals go on behind all that may have been given out since the journal's last row."""
    gap_s = await journal.meta(_GAP)
    if gap_s is not None:
        await engine.command(Verb.RENUMBER, {"gap_s": gap_s})
        await journal.run(lambda found: found.execute("DELETE FROM meta WHERE key = ?", (_GAP,)).close())


async def settle(journal: SqliteJournal, home: Path) -> None:
    """Take note that the account is traded from ``home``."""
    await journal.set_meta(PLACE, _place(home))


def _is_copy(connection: sqlite3.Connection, place: str) -> bool:
    known = get_meta(connection, PLACE)
    if known is None:
        # Older versions took no note of the place; a backup has no instance either.
        return get_meta(connection, INSTANCE) is None
    return known != place


def _renew(connection: sqlite3.Connection, now: Nanos, *, is_copy: bool) -> None:
    """Give up the instance of a copy; remember how long ago a journal without one was written last."""
    connection.execute("BEGIN IMMEDIATE")
    if is_copy:
        connection.execute("DELETE FROM meta WHERE key = ?", (INSTANCE,))
    if get_meta(connection, INSTANCE) is None and get_meta(connection, _GAP) is None:
        (wall,) = connection.execute("SELECT ts_wall FROM rows ORDER BY seq DESC LIMIT 1").fetchone()
        connection.execute(PUT_META, (_GAP, str(max(0, now - wall) // NANOS_PER_S)))
    connection.execute("COMMIT")


def _place(home: Path) -> str:
    """Return what names this folder on this machine; a copy of it is another one."""
    try:
        machine = _MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    return f"{machine} {home.stat().st_ino}"
