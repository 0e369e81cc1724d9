"""Whether a running daemon is well: one check for each thing that may be wrong."""

from collections.abc import Mapping

from tradebot.model.money import plain
from tradebot.report.shapes import Document
from tradebot.report.views import BookFacts, RuntimeFacts, why_unprotected

_WELL_STATES = frozenset({"running", "paused", "reduce_only"})
_WELL_TASKS = frozenset({"running", "finished"})
_STALE_S = 60.0


def health(facts: RuntimeFacts, books: BookFacts | None) -> Document:
    """Return the document of ``health``: ``well`` when every one of ``checks`` is ok."""
    disabled: Mapping[str, str] = {} if books is None else books.disabled
    checks = [
        _check("state", facts.state in _WELL_STATES, f"{facts.state}: {facts.reason}" if facts.reason else facts.state),
        _check("journal", not facts.journal_error, facts.journal_error or "written"),
        _check("venue", facts.venue.connected, "connected" if facts.venue.connected else "not connected"),
        _check("feed", facts.feed.state != "failed", facts.feed.state),
        _progress_check(facts),
        *(_check(f"task {task.name}", task.state in _WELL_TASKS, task.state) for task in facts.tasks),
        _protection_check(facts, books),
        *_listing_check(books),
        *_agreement_checks(facts),
        _drift_check(facts),
        *(_check(f"strategy {name}", False, f"disabled: {why}") for name, why in disabled.items()),
    ]
    return {
        "well": all(check["ok"] is True for check in checks),
        "state": facts.state,
        "progress_age_s": facts.progress_age_s,
        "checks": checks,
    }


def _check(name: str, ok: bool, detail: str) -> Document:
    return {"check": name, "ok": ok, "detail": detail}


def _progress_check(facts: RuntimeFacts) -> Document:
    age = facts.progress_age_s
    if age is None:
        return _check("progress", True, "no heartbeat was due yet")
    return _check("progress", age <= _STALE_S, f"a heartbeat passed the line {age:.1f} s ago")


def _agreement_checks(facts: RuntimeFacts) -> list[Document]:
    """Return whether book and venue agree; nothing where there is no venue but the book's own."""
    if facts.residual is None and not facts.mismatches:
        return []
    differing = [
        f"{one.symbol or 'cash'}: the venue has {plain(one.venue)}, the book {plain(one.book)}"
        for one in facts.mismatches
    ]
    # Money that nothing explains may stay for good, and is traded on with; a position is not.
    is_ok = not any(one.symbol for one in facts.mismatches)
    return [_check("agreement", is_ok, "; ".join(differing) or "book and venue agree")]


def _drift_check(facts: RuntimeFacts) -> Document:
    # What is in force trades on: a supervisor that restarts what is not well is not to apply an edit.
    drift = facts.drift
    if drift.since is None:
        return _check("configuration", True, "as the files say")
    said = drift.error or f"they differ in {', '.join(drift.keys)}"
    return _check("configuration", True, f"not as the files say: {said}")


def _listing_check(books: BookFacts | None) -> list[Document]:
    untraded = {} if books is None else books.risk.untraded
    if books is None or not untraded:
        return []
    held = [symbol for symbol in untraded if symbol in books.risk.positions]
    named = ", ".join(f"{symbol} ({listing})" for symbol, listing in untraded.items())
    return [_check("symbols", not held, f"not traded at the venue: {named}{'; with a position' if held else ''}")]


def _protection_check(facts: RuntimeFacts, books: BookFacts | None) -> Document:
    if books is None:
        return _check("protected", False, "not known before the books are recovered")
    stops = {each.symbol: each for each in books.protection}
    # What has ended at the venue keeps no stop there, and has a check of its own.
    ended = {symbol for symbol, listing in books.risk.untraded.items() if listing.has_ended}
    held = [one for one in books.risk.positions.values() if one.symbol not in ended]
    due = sorted((one for one in held if one.strategy in facts.stops_expected), key=lambda one: one.symbol)
    found = [
        (one.symbol, why_unprotected(one, stops.get(one.symbol), books.liquidations.get(one.symbol))) for one in due
    ]
    naked = "; ".join(f"{symbol}: {why}" for symbol, why in found if why)
    return _check("protected", not naked, f"not protected: {naked}" if naked else f"all {len(due)} due")
