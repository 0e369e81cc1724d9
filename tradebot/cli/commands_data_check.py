"""What is wrong with bars, and what can be mended."""

from pathlib import Path

from tradebot.cli.commands_data import bar_store
from tradebot.cli.context import Context
from tradebot.data.calendar import flaw_calendar
from tradebot.data.validate import BarFinding, Subject, finding_row, read_subject, stored_subject, validate
from tradebot.model.errors import UsageError
from tradebot.model.time import timeframe_name
from tradebot.report.table import listing
from tradebot.settings.dataspec import parse_series, parse_stored

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
