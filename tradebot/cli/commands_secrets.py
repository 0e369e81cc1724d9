"""Commands that keep secrets; no value of one is ever printed."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.cli.commands_trading import act
from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.control.when import parse_when
from tradebot.model.errors import (
    NotPermitted,
    NotRunning,
    StorageFailed,
    TimedOut,
    TradebotError,
    Unreadable,
    UsageError,
)
from tradebot.model.finding import Finding, Grade
from tradebot.model.time import Nanos, parse_timeframe, to_ms
from tradebot.report.shapes import Json
from tradebot.report.table import listing, moment
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.secret_store import store_of, used_by
from tradebot.secret.checks import secret_findings
from tradebot.secret.secret import Secret
from tradebot.secret.store import (
    KINDS,
    LONGEST,
    SecretFacts,
    SecretKind,
    SecretStore,
    absent,
    check_name,
    checked,
    fingerprint,
    next_name,
)
from tradebot.settings.salvage import salvage_venue
from tradebot.store.lock import prepare_home

if TYPE_CHECKING:
    from tradebot.settings.salvage import Salvaged

_ROTATE_TIMEOUT_S = 90.0
_COLUMNS = ("name", "kind", "backend", "created", "expires", "used_by", "fingerprint")


def set_secret(context: Context) -> int:
    """Keep a secret, read from standard input or asked for."""
    name, clock = check_name(context.given.text("name") or ""), SystemClock()
    kind = _kind(context, _used(context).get(name, []))
    expires = _expires(context.given.text("expires"), clock.now())
    secret = _value(name)
    prepare_home(context.home)
    facts = _store(context).put(name, secret, kind=kind, expires=expires)
    if context.is_json:
        context.write_json(_shown(facts, _used(context)))
    else:
        context.write(f"kept {name} ({kind}) in the {facts.backend}: {facts.fingerprint}")
    return 0


def rotate(context: Context) -> int:
    """Keep another value of a secret; a running daemon that trades by it takes it into use, or refuses it."""
    name = check_name(context.given.text("name") or "")
    store, clock = _store(context), SystemClock()
    known = next((facts for facts in store.facts() if facts.name == name), None)
    if known is None:
        raise absent(name, str(context.home))
    if known.flaw:
        raise NotPermitted(known.flaw, mend=f"tradebot secrets set {name}")
    expires, secret = _expires(context.given.text("expires"), clock.now()), _value(name)
    is_in_use = "venue.key_secret" in _used(context).get(name, []) and client.find_peer(context.socket) is not None
    if not is_in_use:
        facts = store.put(name, secret, kind=known.kind, expires=expires)
        if context.is_json:
            context.write_json(_shown(facts, _used(context)))
        else:
            context.write(f"kept {name} anew: {facts.fingerprint}; what runs uses it after its next start")
        return 0
    coming = next_name(name)
    store.put(coming, secret, kind=known.kind, expires=expires)
    try:
        return act(context, "rotate", {"secret": name}, _ROTATE_TIMEOUT_S)
    except (TimedOut, NotRunning, StorageFailed, Unreadable):
        context.note(
            f"nobody knows which key signs: the new one is kept as {coming}; ask tradebot logs, then repeat it"
        )
        raise
    except TradebotError:
        with suppress(NotPermitted):
            store.remove(coming)
        raise


def list_secrets(context: Context) -> int:
    """List the secrets: names, dates and fingerprints, never a value."""
    used = _used(context)
    shown = [_shown(facts, used) for facts in _store(context).facts()]
    if context.is_json:
        context.write_json(shown)
    elif not shown:
        context.write("no secrets are kept; tradebot secrets set NAME keeps one")
    else:
        for row in shown:
            row["created"], row["expires"] = moment(row["created"]), moment(row["expires"])
            row["used_by"] = ", ".join(used.get(str(row["name"]), [])) or "-"
            row["fingerprint"] = row["fingerprint"] or row["flaw"]
        context.write(listing(_COLUMNS, shown, colour=context.is_colour, width=context.width))
    return 0


def check(context: Context) -> int:
    """Open every secret, and say what is wrong: 77 when one cannot be opened, is missing or has ended."""
    store, used = _store(context), _used(context)
    facts = store.facts()
    findings = list(secret_findings(facts, used, SystemClock().now()))
    for one in (one for one in facts if not one.flaw):
        try:
            secret = checked(one.kind, store.get(one.name))
            is_same = fingerprint(one.name, one.kind, secret) == one.fingerprint or not one.fingerprint
            if not is_same:
                findings.append(Finding("secrets", Grade.FAIL, f"{one.name} is another than was kept", "set it anew"))
        except TradebotError as error:
            findings.append(Finding("secrets", Grade.FAIL, f"{one.name}: {error.what}", error.mend))
    if context.is_json:
        context.write_json(
            [{"result": found.grade.value, "what": found.what, "mend": found.mend} for found in findings]
        )
    else:
        for found in findings:
            context.write(f"{found.grade.value:5} {found.what}" + (f"; mend: {found.mend}" if found.mend else ""))
        context.write(f"{len(facts)} secrets looked at")
    return NotPermitted.exit_code if any(found.grade is Grade.FAIL for found in findings) else 0


def revoke(context: Context) -> int:
    """Forget a secret that no setting names."""
    name = check_name(context.given.text("name") or "")
    if users := _used(context).get(name):
        raise NotPermitted(
            f"secret {name!r} is used by {', '.join(users)}", mend="name another one there first, then reload"
        )
    _store(context).remove(name)
    if context.is_json:
        context.write_json({"name": name, "revoked": True})
    else:
        context.write(f"{name} is forgotten here; whoever issued it may still take it: revoke it there as well")
    return 0


def _store(context: Context) -> SecretStore:
    return store_of(_salvaged(context).secrets, context.home, SystemClock())


def _salvaged(context: Context) -> "Salvaged":
    # Not the whole configuration: it may name a secret that is only now to be kept.
    files = [Path(name).absolute() for name in context.given.texts("config")]
    return salvage_venue(context.home, files, context.given.text("profile"), context.environ)


def _used(context: Context) -> dict[str, list[str]]:
    found = _salvaged(context)
    return used_by({"venue": found.venue, "alerts": found.alerts})


def _kind(context: Context, users: Sequence[str]) -> SecretKind:
    given = context.given.text("kind")
    if given is None:
        return "agent-key" if "venue.key_secret" in users else "other"
    kind = next((kind for kind in KINDS if kind == given), None)
    if kind is None:
        raise UsageError(f"--kind {given!r} is none of {', '.join(KINDS)}", mend="give one of them")
    return kind


def _expires(text: str | None, now: Nanos) -> Nanos | None:
    if text is None:
        return None
    try:
        expires = Nanos(now + parse_timeframe(text))
    except ValueError:
        expires = parse_when(text, now)
    if expires <= now:
        raise UsageError(f"--expires {text} is past", mend="give a moment to come, or an age such as 90d")
    return expires


def _value(name: str) -> Secret:
    if sys.stdin.isatty():
        text = getpass(f"value of {name}: ")
        if getpass("once more: ") != text:
            raise UsageError("the two were not the same", mend="try again")
    else:
        raw = sys.stdin.buffer.read(4 * LONGEST)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise UsageError("the value is no UTF-8 text", mend="give text on standard input") from None
    text = text.strip()
    if not text:
        raise UsageError("the value is empty", mend=f"tradebot secrets set {name} < FILE, or type it when asked")
    return Secret(text)


def _shown(facts: SecretFacts, used: dict[str, list[str]]) -> dict[str, Json]:
    created = None if facts.created is None else to_ms(facts.created)
    expires = None if facts.expires is None else to_ms(facts.expires)
    users: list[Json] = list(used.get(facts.name, []))
    return {**asdict(facts), "created": created, "expires": expires, "used_by": users}
