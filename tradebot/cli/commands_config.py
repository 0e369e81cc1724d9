"""The configuration beyond checking it: what differs, what was in force, and ways back and forward."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tradebot.cli.context import Context
from tradebot.cli.options import load, load_options
from tradebot.control import client
from tradebot.model.errors import NotRunning, UsageError
from tradebot.report.shapes import Json
from tradebot.report.table import listing, moment
from tradebot.runtime.config_rows import CONFIG, Revision, find_revision, read_revisions

_ROLLBACK_TIMEOUT_S = 60.0
_SHOWN_HASH = 12


def diff(context: Context) -> int:
    """List what the files say otherwise than the running daemon; without one, than what was in force last."""
    try:
        found = json.loads(client.read(context.socket, "config-diff"))
    except NotRunning:
        found = _stored_diff(context)
    if context.is_json:
        context.write_json(found)
    elif not found:
        context.write("nothing differs")
    else:
        context.write(
            listing(("key", "file", "running", "where"), found, colour=context.is_colour, width=context.width)
        )
    return 0


def history(context: Context) -> int:
    """List the configurations that were in force, the newest first."""
    try:
        found = json.loads(client.read(context.socket, "config-history"))
    except NotRunning:
        with _revisions(context) as revisions:
            found = [one.row() for one in reversed(revisions)]
    if context.is_json:
        context.write_json(found)
    else:
        shown = [_history_row(row) for row in found]
        keys = ("hash", "when", "who", "how", "changed")
        context.write(listing(keys, shown, colour=context.is_colour, width=context.width))
    return 0


def rollback(context: Context) -> int:
    """Put a configuration of the past back into the files, and let the daemon apply it when it runs."""
    wanted = context.given.text("hash") or ""
    try:
        answer = json.loads(client.act(context.socket, "rollback", {"hash": wanted}, _ROLLBACK_TIMEOUT_S))
    except NotRunning:
        answer = _stored_rollback(context, wanted)
    if context.is_json:
        context.write_json(answer)
    else:
        context.write(str(answer.get("detail", "")))
    return 0


def schema(context: Context) -> int:
    """Print the JSON Schema of a configuration."""
    from tradebot.settings.schema import schema_text

    context.write(schema_text())
    return 0


def migrate(context: Context) -> int:
    """Bring the files into the form of this release, or only show how."""
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.rollback import stamp
    from tradebot.settings import migrate as migration
    from tradebot.settings.rewriting import keep_copy, write_config
    from tradebot.settings.schema import SCHEMA_NAME, schema_text

    is_dry = context.given.flag("dry_run")
    found = migration.migrate(load_options(context), context.home, context.environ)
    kept = None
    if found and not is_dry:
        kept = keep_copy(context.home, [one.path for one in found], stamp(SystemClock().now()))
        for one in found:
            write_config(one.path, one.after)
            write_config(one.path.with_name(SCHEMA_NAME), schema_text())
    rows = [{"file": str(one.path), "changes": list(one.changes), "diff": one.diff} for one in found]
    if context.is_json:
        context.write_json({"files": rows, "written": bool(found) and not is_dry, "kept": kept and str(kept)})
        return 0
    for one in found:
        context.write(one.diff if is_dry else "\n".join([f"wrote {one.path}", *(f"  {it}" for it in one.changes)]))
    context.write(f"what was there is kept in {kept}" if kept else "" if found else "nothing to change")
    return 0


def _history_row(row: Mapping[str, Json]) -> dict[str, Json]:
    changed, ts = row["changed"], row["ts"]
    keys = ", ".join(map(str, changed)) if isinstance(changed, list) else ""
    when = moment(ts if isinstance(ts, int) else None)
    return {**row, "hash": str(row["hash"])[:_SHOWN_HASH], "when": when, "changed": keys}


def _stored_diff(context: Context) -> list[dict[str, Json]]:
    from tradebot.settings.difference import differences

    with _revisions(context) as revisions:
        context.note("no daemon runs here: held against what was in force last")
        return [one._asdict() for one in differences(load(context), revisions[-1].settings())]


def _stored_rollback(context: Context, wanted: str) -> Mapping[str, Json]:
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.rollback import put_back

    with _revisions(context) as revisions:
        revision = find_revision(revisions, wanted)
        target, now = revision.settings(), SystemClock().now()
        done = put_back(context.home, load_options(context), context.environ, target, None, now)
        detail = f"{done.text}; the next start takes it"
        return {"hash": revision.hash, "file": str(done.rewrite.path), "applied": [], "restart": [], "detail": detail}


@contextmanager
def _revisions(context: Context) -> Iterator[Sequence[Revision]]:
    """Give what the journal of a stopped daemon tells, while no daemon can start on it.

    Raises ``NotRunning`` when there is nothing, ``LockHeld`` when a daemon is coming up.
    """
    from tradebot.store.lock import HomeLock
    from tradebot.store.rows import JournalReader, Query
    from tradebot.store.schema import JOURNAL_NAME

    path = context.home / JOURNAL_NAME
    if not path.exists():
        mend = "start it with: tradebot start"
        raise NotRunning("no daemon runs here, and none ever did", where=str(context.home), mend=mend)
    with HomeLock(context.home), JournalReader(path) as journal:
        revisions = read_revisions(journal.rows(Query(kinds=(CONFIG,))))
        if not revisions:
            raise UsageError("the journal holds no configuration yet", where=str(path), mend="tradebot start")
        yield revisions
