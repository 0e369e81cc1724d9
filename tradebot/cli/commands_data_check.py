"""What is wrong with bars, and what can be mended."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tradebot.cli.commands_data import bar_store, named_series
from tradebot.cli.context import Context
from tradebot.data.calendar import flaw_calendar
from tradebot.data.importing import Keep
from tradebot.data.validate import BarFinding, Subject, finding_row, read_subject, stored_subject, validate
from tradebot.model.errors import UsageError
from tradebot.model.near import did_you_mean
from tradebot.model.time import parse_timeframe, timeframe_name, to_ms
from tradebot.report.table import listing
from tradebot.settings.dataspec import given_series, parse_series, parse_stored
from tradebot.store.flaws import FlawKind, flaw_words

_SHOWN = 20
_KEYS = ("kind", "ts", "until_ts", "detail")


def validate_series(context: Context) -> int:
    """Name what is wrong with each series; exit 1 when anything is."""
    store = bar_store(context)
    names = context.given.texts("series") or list(map(str, store.series()))
    subjects = [_subject(context, name) for name in names]
    findings = validate(subjects)
    if context.is_json:
        context.write_json({"findings": list(map(finding_row, findings))})
    elif not names:
        context.write(f"no bars in {store.root}")
    else:
        for subject in subjects:
            context.write(_text(context, subject, [each for each in findings if each.subject is subject]))
    return 1 if findings else 0


def repair(context: Context) -> int:
    """Mend a file into a copy, or a series of the store in its place."""
    from tradebot.data.mending import mend_series
    from tradebot.runtime.clock import SystemClock
    from tradebot.store.repair import repair as repair_file

    name, target = context.given.text("series") or "", context.given.text("to")
    drops = _drops(context.given.text("leave_out") or "")
    if "=" in name:
        if drops:
            raise UsageError("--leave-out is for a series of the store", where=name, mend="import the file first")
        one = given_series(name)
        done = repair_file(
            one.path, one.timeframe, None if target is None else Path(target), is_forced=context.given.flag("force")
        )
        _tell_repair(context, str(done.path), done.actions, [])
        return 0
    if target is not None:
        raise UsageError("--to is for a file; a series is mended in its place", where=name, mend="leave it out")
    series = named_series(name, "SERIES")
    mended = mend_series(bar_store(context), series, drops, to_ms(SystemClock().now()))
    _tell_repair(context, str(series), mended.actions, [f"still {line}" for line in flaw_words(mended.left)])
    return 0


def resample(context: Context) -> int:
    """Make the bars of a longer timeframe, as a series of its own."""
    from tradebot.data.resample import resample_series
    from tradebot.runtime.clock import SystemClock

    series, text = named_series(context.given.text("series") or "", "SERIES"), context.given.text("timeframe") or ""
    try:
        timeframe = parse_timeframe(text)
    except ValueError as error:
        raise UsageError(str(error), where="TIMEFRAME", mend="write it as 1h") from error
    keep = cast("Keep | None", context.given.text("keep"))
    is_whole, now = not context.given.flag("partial"), to_ms(SystemClock().now())
    done = resample_series(bar_store(context), series, timeframe, keep, now, is_whole=is_whole)
    if context.is_json:
        context.write_json(
            {"series": str(done.series), "bars": done.bars, "added": done.added, "left_out": done.left_out}
        )
    else:
        left = f"; {done.left_out:,} of which bars are missing were left out" if done.left_out else ""
        context.write(f"{done.series}: {done.bars:,} bars of {series}, {done.added:,} new{left}")
    return 0


def _subject(context: Context, name: str) -> Subject:
    try:
        if "=" in name:
            series = parse_series(name)
            return read_subject(Path(series.path).expanduser(), series.symbol, series.timeframe)
        return stored_subject(bar_store(context), parse_stored(name))
    except ValueError as error:
        mend = "write a file as BTC:5m=btc.csv.gz, a series of the store as hyperliquid:BTC:5m"
        raise UsageError(str(error), where="SERIES", mend=mend) from error


def _text(context: Context, subject: Subject, findings: list[BarFinding]) -> str:
    name = f"{subject.symbol} {timeframe_name(subject.timeframe)}, {subject.where}: {len(subject.bars):,} bars"
    if not findings:
        return f"{name}, nothing found"
    last = context.given.whole("last", _SHOWN)
    rows = [finding_row(finding) | {"until_ts": finding.flaw.until} for finding in findings]
    head = f"{name}, {len(rows):,} found" + (f", the last {last} of them" if len(rows) > last else "")
    table = listing(_KEYS, rows[-last:], colour=context.is_colour, width=context.width)
    return f"{head}\n\n{table}\n\n{flaw_calendar([finding.flaw for finding in findings])}\n"


def _drops(text: str) -> list[FlawKind]:
    from tradebot.data.mending import DROPPED

    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in list(DROPPED)]
    if wrong:
        mend = did_you_mean(wrong[0], list(DROPPED))
        raise UsageError(f"{wrong[0]} is not left out", where="--leave-out", mend=mend)
    return [FlawKind(name) for name in names]


def _tell_repair(context: Context, name: str, actions: Sequence[str], left: Sequence[str]) -> None:
    if context.is_json:
        context.write_json({"written": name, "actions": list(actions), "left": list(left)})
        return
    count = {0: "nothing to mend", 1: "one repair"}.get(len(actions), f"{len(actions):,} repairs")
    context.write("\n".join([*actions, *left, f"{name}: {count}"]))
