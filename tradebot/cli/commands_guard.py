"""``guard``: a process beside the daemon that ends the account's risk when that is gone or silent."""

import json
import math
import time
from pathlib import Path

from tradebot.cli.context import Context
from tradebot.cli.emergency import KeyPlace, aim_of, run_emergency
from tradebot.control import client
from tradebot.live.guard import PERIOD_S, GuardWatch, Pulse
from tradebot.model.command import AlertName, Command, Verb
from tradebot.model.errors import NotPermitted, NotRunning, StorageFailed, TradebotError, Unavailable, UsageError
from tradebot.ports import Clock
from tradebot.runtime.alerts import Sender
from tradebot.runtime.boot import BOOT
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.logs import redact
from tradebot.runtime.lone_pager import LonePager
from tradebot.store.codec import decode
from tradebot.store.lock import holder
from tradebot.store.mark import read_mark
from tradebot.store.rows import JournalReader, Query
from tradebot.store.schema import JOURNAL_NAME

AFTER_S = 15.0
_LEAST_S = 5.0
_ANSWER_S = 1.0
_TRY_S = 20.0
_REPEAT_S = 300.0
_COMING_UP = frozenset({"starting"})
_MEND = "look why it is gone: tradebot logs; the next start comes up halted, then tradebot resume"
_STUCK_MEND = "close on the venue's own page"


def guard(context: Context) -> int:
    """Watch the daemon of this home until ended by a signal, and end all at the venue when it is gone or silent.

    Raises ``UsageError`` and ``NotPermitted`` for what it could not act with.
    """
    after_s = context.given.number("after", AFTER_S)
    if after_s < _LEAST_S:
        raise UsageError(f"--after {after_s:g} would take a slow answer for a death", mend=f"give {_LEAST_S:g} or more")
    key = _key(context)
    # What it lacks is told now, while somebody looks, not when it is needed.
    aim, clock = aim_of(context, key), SystemClock()
    signer = aim.account_of(context.home, clock).signer
    context.note(f"guarding {context.home} with the key of {signer}: without a beat for {after_s:g} s everything ends")
    context.note(f"at {aim.network} ({aim.url}) for {aim.account or 'the account of the key'}")
    who = Sender(bot=aim.bot, mode="live", venue=f"hyperliquid {aim.network}")
    context.note("paging a human at the webhook" if aim.webhook else "nobody is paged: alerts.url is not set")
    mark = read_mark(context.home)
    is_begun = mark is not None and not mark.is_over
    finger, ender = Finger(context, after_s), Ender(context, key, LonePager(aim.webhook, who, clock), clock)
    watch = GuardWatch(finger.feel, ender.act, context.note, clock, after_s, lambda: finger.age_s, is_begun=is_begun)
    while True:
        watch.look()
        time.sleep(PERIOD_S)


def _key(context: Context) -> KeyPlace:
    file, secret = context.given.text("key_file"), context.given.text("key_secret")
    if file is not None and secret is not None:
        raise UsageError("--key-file and --key-secret exclude each other", mend="give where its key is")
    if secret is not None:
        return KeyPlace(None, secret)
    return KeyPlace(Path(file or context.home / "guard.key").absolute(), None)


class Finger:
    """On the pulse of the daemon of ``context``'s home, whose line must move at least each ``after_s``."""

    def __init__(self, context: Context, after_s: float) -> None:
        self._context, self._after_s = context, after_s
        self._absence: Pulse | None = None
        self.age_s = 0.0
        """How long ago the line moved, by the last look."""

    def feel(self) -> Pulse:
        """Return what one look shows."""
        self.age_s = 0.0
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
        age_s = health.get("progress_age_s")
        if health.get("state") in _COMING_UP or age_s is None:
            return Pulse.BEATS
        self.age_s = float(age_s)
        return Pulse.BEATS if self.age_s < self._after_s else Pulse.SILENT


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


class Ender:
    """Ends all that the account has, and pages a human when it begins, when it is done, and while it cannot."""

    def __init__(self, context: Context, key: KeyPlace, pager: LonePager, clock: Clock) -> None:
        self._context, self._key, self._pager, self._clock = context, key, pager, clock
        self._is_begun = False
        self._stuck_at = self._not_before = -math.inf

    def act(self) -> bool:
        """Return whether the venue said flat within a while."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return False
        if not self._is_begun:
            self._is_begun = True
            what = f"the daemon of {self._context.home} is gone or silent: the guard ends all that the account has"
            self._pager.page(AlertName.GUARD, what, _MEND)
        try:
            run_emergency(self._context, _TRY_S, None, key=self._key, is_beside=True)
        except TradebotError as error:
            self._is_stuck(error, now)
            return False
        self._is_begun, self._stuck_at = False, -math.inf
        self._pager.page(AlertName.GUARD, "the guard has ended all: the venue says flat", _MEND)
        return True

    def _is_stuck(self, error: TradebotError, now: float) -> None:
        self._context.note(f"not flat yet: {error.what}")
        if isinstance(error, NotPermitted):
            # The venue would say the same at once.
            self._not_before = now + _TRY_S
        if now - self._stuck_at >= _REPEAT_S:
            self._stuck_at = now
            self._pager.page(AlertName.GUARD, f"the guard goes on, not flat yet: {redact(error.what)}", _STUCK_MEND)
