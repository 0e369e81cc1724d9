"""Commands about the daemon as a process."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.cli.commands_trading import act
from tradebot.cli.context import Context
from tradebot.cli.parse import parse
from tradebot.cli.quick import STOP_TIMEOUT_S, stop_daemon
from tradebot.cli.spawn import await_running, option_words, read_status, spawn, words_of
from tradebot.control import client
from tradebot.model.errors import LockHeld, NotRunning
from tradebot.model.logevent import LogEvent
from tradebot.model.near import did_you_mean
from tradebot.report.shapes import Json
from tradebot.report.table import cell, listing, moment

if TYPE_CHECKING:
    from tradebot.secret.secret import Secret


def start(context: Context) -> int:
    """Start the daemon; in the background return when it runs."""
    from tradebot.cli.options import load, load_options
    from tradebot.settings.check import check_settings
    from tradebot.store.lock import refuse_network_home

    is_live = context.given.flag("live")
    _refuse_running(context)
    if is_live:
        refuse_network_home(context.home)
    check_settings(load(context), is_live=is_live)
    if context.given.flag("foreground"):
        from tradebot.runtime.daemon import run_daemon

        return run_daemon(context.home, load_options(context), is_live, context.given.flag("take_over"))
    switches = [f"--{name}" for name in ("live", "take-over") if context.given.flag(name.replace("-", "_"))]
    return _start_behind(context, option_words(context.given, Path.cwd()), switches)


def restart(context: Context) -> int:
    """Stop the daemon if it runs, and start it as it was started, or as the options of this command say."""
    words = option_words(context.given, Path.cwd())
    is_live = False
    peer = client.find_peer(context.socket)
    if peer is not None:
        before = words_of(peer.pid)
        words = words or [word for word in before if word != "--live"]
        is_live = "--live" in before
        _refuse_what_cannot_start(context, words, is_live)
        # It may end by itself between the two; all the better.
        with suppress(NotRunning):
            stop_daemon(context, context.given.number("timeout", STOP_TIMEOUT_S), {})
    return _start_behind(context, words, ["--live"] if is_live else [])


def reload(context: Context) -> int:
    """Let the daemon read its configuration again."""
    return act(context, "reload")


def ps(context: Context) -> int:
    """List the daemons of all homes."""
    from tradebot.control.registry import find_running

    listed: list[dict[str, Json]] = []
    for running in find_running(context.environ):
        status = read_status(running.home, context.environ, timeout=1.0) or {"state": "silent"}
        keys = ("bot", "state", "mode", "uptime_s")
        listed.append({"home": str(running.home), "pid": running.pid, **{key: status.get(key) for key in keys}})
    if context.is_json:
        context.write_json(listed)
    elif not listed:
        context.write("no daemon runs")
    else:
        shown = ("bot", "state", "mode", "pid", "uptime_s", "home")
        context.write(listing(shown, listed, colour=context.is_colour, width=context.width))
    return 0


def logs(context: Context) -> int:
    """Print the log of this home, whether or not the daemon runs."""
    from tradebot.runtime.logs import log_file
    from tradebot.runtime.logtail import read_log

    given = context.given
    event = given.text("event")
    if event is not None and not any(name == event or name.startswith(event.rstrip(".") + ".") for name in LogEvent):
        # An older version may have logged it, so it is looked for all the same.
        context.note(f"no event is named {event}: {did_you_mean(event, LogEvent)}")
    lines = read_log(
        log_file(context.home),
        n=given.whole("last", 50),
        level=given.text("level") or "debug",
        event=event,
        follow=given.flag("follow"),
    )
    for line in lines:
        if context.is_json:
            context.write_json(line)
        else:
            context.write(_log_text(line))
        sys.stdout.flush()
    return 0


def _start_behind(context: Context, words: list[str], switches: list[str]) -> int:
    from tradebot.store.lock import prepare_home

    prepare_home(context.home)
    passphrase = _passphrase(context, words, is_live="--live" in switches)
    child = spawn(context.home, [*words, *switches], passphrase)
    status = await_running(child, context.home, context.environ)
    if context.is_json:
        context.write_json({"state": status.get("state"), "pid": child.pid, "home": str(context.home)})
    else:
        context.write(f"{status.get('state')}: pid {child.pid}, home {context.home}")
    return 0


def _refuse_what_cannot_start(context: Context, words: list[str], is_live: bool) -> None:
    """Raise what would keep a daemon from coming up with ``words``, while the one before still trades."""
    from tradebot.cli.options import load
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.secret_store import check_opens
    from tradebot.settings.check import check_settings

    coming = Context(parse(["--home", str(context.home), *words, "start"]), context.environ)
    check_settings(load(coming), is_live=is_live)
    check_opens(_secret_sections(coming, is_live), context.home, SystemClock())


def _passphrase(context: Context, words: list[str], *, is_live: bool) -> "Secret | None":
    """Return the passphrase that a daemon started with ``words`` will need: it has no terminal to ask at."""
    from tradebot.runtime.secret_store import given_passphrase, needs_passphrase

    coming = Context(parse(["--home", str(context.home), *words, "start"]), context.environ)
    return given_passphrase() if needs_passphrase(_secret_sections(coming, is_live)) else None


def _secret_sections(coming: Context, is_live: bool) -> Mapping[str, Mapping[str, str]]:
    """Return the sections that say which secrets a daemon opens; one of paper money needs no key."""
    from tradebot.settings.salvage import salvage_venue

    files = [Path(name) for name in coming.given.texts("config")]
    found = salvage_venue(coming.home, files, coming.given.text("profile"), coming.environ)
    return {"venue": found.venue if is_live else {}, "alerts": found.alerts, "secrets": found.secrets}


def _refuse_running(context: Context) -> None:
    peer = client.find_peer(context.socket)
    if peer is not None:
        mend = "tradebot status shows it, tradebot stop ends it"
        raise LockHeld(f"the daemon already runs: pid {peer.pid}", where=str(context.home), mend=mend)


def _log_text(line: Mapping[str, object]) -> str:
    ts = line.get("ts")
    head = f"{moment(ts if isinstance(ts, int) else None)}  {line.get('level', ''):<8}{line.get('event', '')}"
    told = {"ts", "level", "event"}
    rest = (f"{name}={_value_text(value)}" for name, value in line.items() if name not in told and value is not None)
    # What a strategy or a venue said may hold control characters; a terminal must not obey them.
    return cell("  ".join([head, *rest]))


def _value_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
