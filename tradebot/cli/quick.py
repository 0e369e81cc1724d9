"""The commands a script calls often: they import neither typer nor rich, nor anything else that is slow."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress

from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.control.protocol import Peer
from tradebot.model.errors import NotRunning, TimedOut, Unreadable, UsageError

STOP_TIMEOUT_S = 30.0
_POLL_S = 0.05


def status(context: Context) -> int:
    """Print what the daemon does; exit 3 when it is stopped."""
    if context.given.flag("watch"):
        from tradebot.cli.watch import watch

        return watch(context)
    try:
        body = client.read(context.socket, "status")
    except NotRunning:
        return _silent_status(context)
    if context.is_json:
        context.write_bytes(body)
        return 0
    from tradebot.report.text import status_text

    context.write(status_text(json.loads(body), context.is_colour))
    return 0


def _await_peer(context: Context, timeout: float) -> Peer | None:
    """Return the daemon once it listens, while one is coming up; ``None`` when there is none."""
    from tradebot.control.holder import find_holder

    deadline = time.monotonic() + timeout
    while find_holder(context.home) is not None and time.monotonic() < deadline:
        peer = client.find_peer(context.socket)
        if peer is not None:
            return peer
        time.sleep(_POLL_S)
    return None


def _silent_status(context: Context) -> int:
    """Tell a daemon that opens its journal, and has no socket yet, from none at all."""
    from tradebot.control.holder import find_holder

    pid = find_holder(context.home)
    state = "stopped" if pid is None else "starting"
    if context.is_json:
        context.write_json({"state": state} if pid is None else {"state": state, "pid": pid})
    else:
        context.write(f"{state}  (home {context.home}{'' if pid is None else f', pid {pid}'})")
    return NotRunning.exit_code if pid is None else 0


def health(context: Context) -> int:
    """Print the checks; exit 1 when one of them fails."""
    body = client.read(context.socket, "health")
    document = json.loads(body)
    if context.is_json:
        context.write_bytes(body)
    else:
        from tradebot.report.text import health_text

        context.write(health_text(document, context.is_colour))
    return 0 if document.get("well") is True else 1


def stop(context: Context) -> int:
    """End the daemon and wait until its process is gone."""
    timeout = context.given.number("timeout", STOP_TIMEOUT_S)
    given = context.given
    scope = next((name for name in ("own", "all") if given.flag(name)), None)
    if scope is not None and not given.flag("flatten"):
        raise UsageError(f"--{scope} says what --flatten ends", mend="add --flatten")
    words = {name: "true" for name in ("flatten", "own", "all") if given.flag(name)}
    stop_daemon(context, timeout, words)
    context.write('{"state":"stopped"}' if context.is_json else "stopped")
    return 0


def stop_daemon(context: Context, timeout: float, arguments: Mapping[str, str]) -> None:
    """Ask the daemon to end and return when it has. Raises ``NotRunning`` and ``TimedOut``."""
    from tradebot.control.ending import Ending

    path = context.socket
    peer = client.find_peer(path) or _await_peer(context, timeout)
    if peer is None:
        raise NotRunning("no daemon runs here", where=str(context.home), mend="there is nothing to stop")
    with Ending(path, peer) as ending:
        # It may end before its answer is out; whether it did is what we wait for.
        with suppress(Unreadable):
            client.act(path, "stop", arguments, max(timeout, 1.0))
        if not ending.wait(timeout):
            mend = f"wait longer with --timeout, or as the last means: kill {peer.pid}"
            raise TimedOut(f"the daemon did not end within {timeout:g} s", where=str(context.home), mend=mend)
