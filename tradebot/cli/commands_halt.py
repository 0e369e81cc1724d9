"""``halt``, and with ``--flatten`` the wait until the venue says that nothing is left."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tradebot.cli.commands_trading import act, reason
from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.model.errors import NotRunning, RefusedByRule, TimedOut, Unavailable, Unreadable, UsageError

FLATTEN_TIMEOUT_S = 60.0
_POLL_S = 0.1
_LEAST_WAIT_S = 1.0
_GONE_MEND = "start it and repeat the command; what is open keeps its stops at the venue"


def halt(context: Context) -> int:
    """Nothing but cancels and stops; with ``--flatten`` also close, and return 0 only when the venue says flat."""
    given = context.given
    if not given.flag("flatten"):
        extra = next((name for name in ("own", "timeout") if name in given.values), None)
        if extra is not None:
            raise UsageError(f"--{extra} goes with --flatten", mend="add --flatten")
        return act(context, "halt", reason(context))
    return _flatten(context, given.number("timeout", FLATTEN_TIMEOUT_S))


def _flatten(context: Context, timeout: float) -> int:
    deadline = time.monotonic() + timeout
    arguments = {"flatten": "true", **reason(context)}
    if context.given.flag("own"):
        arguments["own"] = "true"
    client.act(context.socket, "halt", arguments, max(timeout, _LEAST_WAIT_S))
    left: Mapping[str, Any] = {}
    told = ""
    while True:
        left = _ask(context, left, max(deadline - time.monotonic(), _LEAST_WAIT_S))
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
            raise TimedOut(what + why, where=str(context.home), mend="it goes on; repeat the command, or see the venue")
        time.sleep(_POLL_S)


def _ask(context: Context, before: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
    try:
        found = json.loads(client.read(context.socket, "flatness", timeout=timeout))
    except Unavailable:
        # It still recovers, and flattens as soon as it can.
        return before
    except (NotRunning, Unreadable):
        words = left_words(before)
        what = "the daemon ended before the venue said flat" + (f"; left: {words}" if words else "")
        raise NotRunning(what, where=str(context.home), mend=_GONE_MEND) from None
    return found if isinstance(found, dict) else before


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
