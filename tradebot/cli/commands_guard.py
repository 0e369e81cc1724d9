"""``guard``: a process beside the daemon that ends the account's risk when that is gone or silent."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradebot.cli.context import Context
from tradebot.cli.emergency import aim_of, run_emergency
from tradebot.control import client
from tradebot.live.guard import PERIOD_S, GuardWatch, Pulse
from tradebot.model.command import Command, Verb
from tradebot.model.errors import NotRunning, StorageFailed, TradebotError, Unavailable, UsageError
from tradebot.runtime.alone import key_alone
from tradebot.runtime.boot import BOOT
from tradebot.runtime.clock import SystemClock
from tradebot.store.codec import decode
from tradebot.store.lock import holder
from tradebot.store.rows import JournalReader, Query
from tradebot.store.upkeep import JOURNAL_NAME

AFTER_S = 15.0
_LEAST_S = 5.0
_ANSWER_S = 1.0
_TRY_S = 20.0
_COMING_UP = frozenset({"starting"})


def guard(context: Context) -> int:
    """Watch the daemon of this home until ended by a signal, and end all at the venue when it is gone or silent.

    Raises ``UsageError`` and ``NotPermitted`` for what it could not act with.
    """
    after_s = context.given.number("after", AFTER_S)
    if after_s < _LEAST_S:
        raise UsageError(f"--after {after_s:g} would take a slow answer for a death", mend=f"give {_LEAST_S:g} or more")
    key_file = Path(context.given.text("key_file") or context.home / "guard.key").absolute()
    # What it lacks is told now, while somebody looks, not when it is needed.
    aim, clock = aim_of(context, key_file), SystemClock()
    signer = key_alone(aim.network, aim.url, aim.account, key_file, aim.slippage, clock).signer
    context.note(f"guarding {context.home} with the key of {signer}: without a beat for {after_s:g} s everything ends")
    context.note(f"at {aim.network} ({aim.url}) for {aim.account or 'the account of the key'}")
    finger = Finger(context, after_s)
    watch = GuardWatch(finger.feel, lambda: end_all(context, key_file), context.note, clock, after_s)
    while True:
        watch.look()
        time.sleep(PERIOD_S)


class Finger:
    """On the pulse of the daemon of ``context``'s home, whose line must move at least each ``after_s``."""

    def __init__(self, context: Context, after_s: float) -> None:
        self._context, self._after_s = context, after_s
        self._absence: Pulse | None = None

    def feel(self) -> Pulse:
        """Return what one look shows."""
        pulse = self._asked()
        if pulse is not Pulse.GONE:
            self._absence = None
            return pulse
        if self._absence is None:
            # Once for each absence: a daemon that is about to start must not find us at its journal.
            self._absence = how_it_ended(self._context.home)
        return self._absence

    def _asked(self) -> Pulse:
        try:
            health = json.loads(client.read(self._context.socket, "health", timeout=_ANSWER_S))
        except NotRunning:
            # One that holds the home opens its journal, or hangs before it has a socket.
            return Pulse.GONE if holder(self._context.home) is None else Pulse.SILENT
        except Unavailable:
            # It answers, and is on its way up or down.
            return Pulse.BEATS
        except (TradebotError, ValueError):
            return Pulse.SILENT
        return Pulse.BEATS if _beats(health, self._after_s) else Pulse.SILENT


def _beats(health: Mapping[str, Any], after_s: float) -> bool:
    age = health.get("progress_age_s")
    return health.get("state") in _COMING_UP or age is None or age < after_s


def how_it_ended(home: Path) -> Pulse:
    """Return whether the last run of ``home`` was stopped in order; ``GONE`` when nobody can say."""
    if not (home / JOURNAL_NAME).exists():
        return Pulse.AT_REST
    newest_of = Query(kinds=[BOOT, Command.kind], newest_first=True, limit=1)
    try:
        with JournalReader(home / JOURNAL_NAME) as journal:
            newest = next(iter(journal.rows(newest_of)), None)
    except StorageFailed:
        return Pulse.GONE
    is_stop = newest is not None and newest.kind == Command.kind and _verb(newest.payload) is Verb.STOP
    return Pulse.AT_REST if newest is None or is_stop else Pulse.GONE


def _verb(payload: bytes) -> Verb:
    return decode(Command, payload).verb


def end_all(context: Context, key_file: Path) -> bool:
    """End all that the account has; return whether the venue said flat within a while."""
    try:
        run_emergency(context, _TRY_S, None, key_file=key_file, is_beside=True)
    except TradebotError as error:
        context.note(f"not flat yet: {error.what}")
        return False
    return True
