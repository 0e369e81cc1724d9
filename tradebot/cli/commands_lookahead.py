"""Whether a strategy looks ahead: its decisions on a whole history against those on parts of it."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout

from tradebot.cli.context import Context
from tradebot.cli.options import load
from tradebot.cli.progress import progress_bar
from tradebot.model.time import to_ms
from tradebot.report.fold import disabled_row
from tradebot.report.shapes import Document
from tradebot.report.table import cell, moment, table
from tradebot.research.prefixes import PREFIXES, Change, LookaheadResult, SeenIn, check_prefixes

_MEANINGS: Mapping[SeenIn, str] = {
    SeenIn.PREFIX: "decides otherwise when later bars are missing: it looks ahead",
    SeenIn.RESTART: "decides otherwise after a restart: it keeps something outside its fields",
    SeenIn.REPEAT: "decides otherwise on the same bars: by chance, by the clock, or by something outside its fields",
}
_HEAD = ("time", "symbol", "strategy", "decision", "change", "seen in")


def lookahead(context: Context) -> int:
    """Run the check and print every decision that changed; the exit code is 1 when one did."""
    given = context.given
    loaded = load(context)
    # What a strategy prints is no part of the result.
    with progress_bar() as progress, redirect_stdout(sys.stderr):
        result = check_prefixes(
            loaded,
            strategy=given.text("strategy"),
            data=given.texts("data"),
            bars=given.whole("bars", 0) or None,
            prefixes=given.whole("prefixes", PREFIXES),
            progress=progress,
        )
    if context.is_json:
        context.write_json(result_document(result))
    else:
        context.write(result_text(result, context.is_colour))
    return 0 if result.is_clean else 1


def result_document(result: LookaheadResult) -> Document:
    """Return the result with the keys of ``lookahead --json``."""
    return {
        "clean": result.is_clean,
        "bars": result.bars,
        "decisions": result.decisions,
        "prefixes": list(result.prefixes),
        "restarts": result.restarts,
        "changes": [_row(change) for change in result.changes],
        "disabled": [disabled_row(message) for message in result.disabled],
        "read": list(result.read),
    }


def result_text(result: LookaheadResult, colour: bool = False) -> str:
    """Return the result for a person: one sentence when nothing changed."""
    runs = f"{len(result.prefixes)} prefixes of {result.bars} bars, a repetition and {result.restarts} restarts"
    if result.is_clean:
        return f"{runs}: none of the {result.decisions} decisions changes."
    parts = []
    if result.changes:
        parts.append(table(_HEAD, [_cells(change) for change in result.changes], colour=colour, left=6))
    blamed = {(change.key.strategy, change.seen): None for change in result.changes}
    parts.append("\n".join(_sentences(result, list(blamed))))
    parts.append(f"{runs}: {len(result.changes)} decisions change, of {result.decisions} on the whole history.")
    return "\n\n".join(part for part in parts if part)


def _sentences(result: LookaheadResult, blamed: list[tuple[str, SeenIn]]) -> list[str]:
    said = [f"{strategy} {_MEANINGS[seen]}." for strategy, seen in blamed]
    said += [
        f"{one.strategy} was disabled at {moment(to_ms(one.ts_event))}, and what it would do later is unknown: "
        f"{cell(one.reason)}."
        for one in result.disabled
    ]
    said += [
        f"{cell(path)} was read in a way that cannot be cut: what it tells of the future is unknown."
        for path in result.read
    ]
    return said


def _row(change: Change) -> Document:
    key = change.key
    return {
        "ts": to_ms(change.ts_event),
        "symbol": key.symbol,
        "strategy": key.strategy,
        "action": key.action,
        "what": change.what,
        "fields": {name: {"whole": was, "part": now} for name, (was, now) in change.fields.items()},
        "seen": str(change.seen),
        "bars": change.bars,
        "runs": change.runs,
    }


def _cells(change: Change) -> list[str]:
    key = change.key
    fields = ", ".join(f"{name} {was} -> {now}" for name, (was, now) in change.fields.items())
    run = f"the first {change.bars} bars" if change.seen is SeenIn.PREFIX else f"a {change.seen}"
    more = f" and {change.runs - 1} more" if change.runs > 1 else ""
    return [
        moment(to_ms(change.ts_event)),
        cell(key.symbol),
        cell(key.strategy),
        key.action,
        cell(fields) if fields else change.what,
        run + more,
    ]
