"""``halt``, and with ``--flatten`` the wait until the venue says that nothing is left.

The daemon does it. Where none answers, this process does it at the venue, as far as it can read where that is.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Timer
from typing import Any

from tradebot.cli.commands_trading import act, reason
from tradebot.cli.context import Context
from tradebot.cli.parse import Given
from tradebot.control import client
from tradebot.model.errors import (
    InvariantError,
    NotRunning,
    RefusedByRule,
    StorageFailed,
    TimedOut,
    TradebotError,
    Unavailable,
    Unreadable,
    UsageError,
)

FLATTEN_TIMEOUT_S = 60.0
_POLL_S = 0.1
_LEAST_WAIT_S = 1.0
_SILENT_S = 0.3
"""A daemon that listens and is silent for longer, though it was urged to speak, is passed by where that can be."""
_READY_S = 0.06
_HANGS_S = 10.0
"""One that holds the home without listening, or that nobody can stand in for, is waited for so long."""
_OF_FLATTEN = ("own", "all", "timeout", "emergency")
_OF_EMERGENCY = ("network", "url", "account", "key_file")
_SILENCE = (NotRunning, TimedOut, Unreadable, StorageFailed, InvariantError)
_EMERGENCY_MEND = (
    "add --emergency to cancel and close at the venue by the key alone; stops that rest there stay until then"
)
_GOES_ON_MEND = (
    "it goes on: repeat the command, or see the venue; tradebot stop, then --emergency, does it without the daemon"
)


def halt(context: Context) -> int:
    """Nothing but cancels and stops; with ``--flatten`` also close, and return 0 only when the venue says flat."""
    given = context.given
    _refuse_alone(given, _OF_FLATTEN, "flatten")
    if not given.flag("flatten"):
        return act(context, "halt", reason(context))
    _refuse_alone(given, _OF_EMERGENCY, "emergency")
    if given.flag("own") and given.flag("all"):
        raise UsageError("all, or only what is ours", mend="give one of --all and --own")
    timeout = given.number("timeout", FLATTEN_TIMEOUT_S)
    if not given.flag("emergency"):
        return _flatten_or_act(context, timeout)
    if given.flag("own"):
        raise UsageError("without a daemon nobody knows what is ours", mend="leave --own out: --emergency ends all")
    return _flatten_anyhow(context, timeout)


def _flatten_or_act(context: Context, timeout: float) -> int:
    """Let the daemon flatten, or do it here where none answers, if it is to be read where and that all is to end."""
    try:
        return _flatten(context, timeout, _SILENT_S)
    except _NoAnswer as no_answer:
        error = no_answer
    except Unavailable:
        if not _may_act(context):
            raise
        return _flatten_anyhow(context, timeout)
    if _may_act(context):
        return _flatten_anyhow(context, timeout, error)
    if isinstance(error.error, TimedOut):
        try:
            return _flatten(context, timeout, max(min(timeout, _HANGS_S), _LEAST_WAIT_S))
        except _NoAnswer as no_answer:
            error = no_answer
    raise error.as_error(context) from None


def _may_act(context: Context) -> bool:
    from tradebot.cli.emergency import aim_of

    if context.given.flag("own"):
        return False
    try:
        aim = aim_of(context, is_quiet=True)
    except TradebotError:
        return False
    return context.given.flag("all") or not aim.is_own


def _refuse_alone(given: Given, names: Sequence[str], goes_with: str) -> None:
    extra = next((name for name in names if name in given.values), None)
    if extra is not None and not given.flag(goes_with):
        raise UsageError(f"--{extra.replace('_', '-')} goes with --{goes_with}", mend=f"add --{goes_with}")


class _NoAnswer(Exception):
    """The daemon did not take the command, or spoke no more before it was carried out."""

    def __init__(self, error: TradebotError, left: str = "") -> None:
        super().__init__(str(error))
        self.error, self.left = error, left

    @property
    def is_gone(self) -> bool:
        """Whether nobody listens, rather than that somebody is silent."""
        return isinstance(self.error, NotRunning)

    def as_error(self, context: Context) -> TradebotError:
        what, where = self.error.what, str(context.home)
        if self.left:
            what = f"{what}; left: {self.left}"
        kind = NotRunning if isinstance(self.error, Unreadable) else type(self.error)
        return kind(f"nothing more is known to be closed: {what}", where=where, mend=_EMERGENCY_MEND)


def _flatten(context: Context, timeout: float, patience: float) -> int:
    """Let the daemon flatten. Raises ``_NoAnswer`` when it is silent for ``patience`` s, ``TimedOut`` when late."""
    deadline = time.monotonic() + timeout
    arguments = {"flatten": "true", **reason(context)}
    arguments |= {name: "true" for name in ("own", "all") if context.given.flag(name)}
    try:
        with _getting_ready():
            client.act(context.socket, "halt", arguments, patience)
    except _SILENCE as error:
        raise _NoAnswer(error) from None
    left: Mapping[str, Any] = {}
    told = ""
    while True:
        left = _ask(context, left, patience)
        if left.get("flat") is True:
            return _say_flat(context, left)
        words = left_words(left)
        if words and words != told:
            told = words
            context.note(f"left: {words}")
        if left.get("over"):
            raise RefusedByRule(f"not flat: {left['stuck']}", where="halt --flatten", mend=f"left: {words}")
        if time.monotonic() >= deadline:
            what = f"not flat within {timeout:g} s; left: {words or 'the venue has not said yet'}"
            why = f" ({left['stuck']})" if left.get("stuck") else ""
            raise TimedOut(what + why, where=str(context.home), mend=_GOES_ON_MEND)
        time.sleep(_POLL_S)


@contextmanager
def _getting_ready() -> Iterator[None]:
    """Read in what acting here takes, behind the wait for a daemon that does not answer at once."""
    reading = Timer(_READY_S, _read_in)
    reading.daemon = True
    reading.start()
    try:
        yield
    finally:
        reading.cancel()


def _read_in() -> None:
    # What is missing is told by who needs it.
    with suppress(ImportError):
        for name in ("tradebot.cli.emergency", "tradebot.live.emergency", "tradebot.runtime.alone"):
            import_module(name)


def _ask(context: Context, before: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
    try:
        found = json.loads(client.read(context.socket, "flatness", timeout=timeout))
    except Unavailable:
        # It still recovers, and flattens as soon as it can.
        return before
    except _SILENCE as error:
        raise _NoAnswer(error, left_words(before)) from None
    return found if isinstance(found, dict) else before


def _flatten_anyhow(context: Context, timeout: float, silent: _NoAnswer | None = None) -> int:
    """Let the daemon flatten if one answers, else do it here. One that holds the home gets a while to speak.

    ``silent``: it was asked just now, and this is what it did instead.
    """
    from tradebot.cli.emergency import run_emergency
    from tradebot.store.lock import holder

    patience = time.monotonic() + _HANGS_S
    error: TradebotError
    while True:
        try:
            if silent is not None:
                raise silent
            return _flatten(context, timeout, _SILENT_S)
        except _NoAnswer as no_answer:
            error, is_silent = no_answer.error, not no_answer.is_gone
        except Unavailable as ending:
            error, is_silent = ending, False
        silent = None
        pid = holder(context.home)
        if is_silent or pid is None or time.monotonic() >= patience:
            context.note(f"no daemon does it: {error.what}")
            return run_emergency(context, timeout, pid)
        time.sleep(_POLL_S)


def left_words(left: Mapping[str, Any]) -> str:
    """Return what a document of ``flatness`` says is left, in words; empty when nothing is."""
    open_ = [f"{row['qty']} {row['symbol']}" for row in left.get("positions", ())]
    resting = [
        f"order {row['id']} ({row['what']} {row['symbol']}{'' if row['own'] else ', not ours'})"
        for row in left.get("orders", ())
    ]
    return ", ".join([*open_, *resting])


def _say_flat(context: Context, left: Mapping[str, Any]) -> int:
    if context.is_json:
        context.write_json({"state": "halted", "detail": "halted, flat", **left})
        return 0
    others = ", ".join(str(each) for each in left.get("others", ()))
    context.write("halted, flat" + (f"; of others: {others}" if others else ": no position, no resting order"))
    return 0
