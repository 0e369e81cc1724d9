"""The configuration over its bars, as fast as possible."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from tradebot.cli.commands_results import wants_tables, write_lines, write_page, write_tables
from tradebot.cli.context import Context
from tradebot.cli.options import load
from tradebot.cli.progress import progress_bar
from tradebot.model.errors import UsageError
from tradebot.model.time import to_ms
from tradebot.report.document import document
from tradebot.report.gaps import ends_text
from tradebot.report.page_document import page_document
from tradebot.report.table import moment
from tradebot.report.tape import Tape
from tradebot.report.trades import trade_line, trade_row
from tradebot.report.uncertainty import with_uncertainty


def backtest(context: Context) -> int:
    """Run a backtest, or many, and print what they found; nothing is written under the home."""
    given = context.given
    if given.flag("force") and not given.flag("repair"):
        raise UsageError("--force is for --repair", where="tradebot backtest", mend="add --repair, or leave it out")
    if given.texts("grid") or given.texts("each"):
        from tradebot.cli.commands_grid import grid

        return grid(context)
    for option in ("workers", "cluster", "results"):
        if given.values.get(option) is not None:
            what = f"--{option} is for many runs"
            raise UsageError(what, where="tradebot backtest", mend="add --grid NAME=A,B,C or --each SYMBOL:TF=FILE")
    return _single(context)


def _single(context: Context) -> int:
    from tradebot.runtime.backtest import run_backtest

    given = context.given
    loaded = load(context)
    bars = given.whole("bars", 0)
    trades, page = given.text("trades"), given.text("html")
    tape = None if page is None else Tape()
    # What a strategy prints is no part of the result.
    with progress_bar() as progress, redirect_stdout(sys.stderr):
        result = run_backtest(
            loaded,
            data=given.texts("data"),
            bars=bars if bars else None,
            repair=given.flag("repair"),
            force=given.flag("force"),
            progress=progress,
            tape=tape,
        )
    for action in result.repairs:
        context.note(f"repaired: {action}")
    for line in ends_text(result.document).splitlines():
        context.note(f"warning: {line}")
    for note in result.notes:
        context.note(f"warning: {note}")
    for row in result.disabled:
        context.note(f"warning: strategy {row.strategy} was disabled at {moment(to_ms(row.ts_event))}: {row.reason}")
    for tick in result.assumed:
        context.note(f"warning: {tick}")
    report = with_uncertainty(result.document, result.trades)
    body = document(report)
    if trades is not None:
        write_lines(Path(trades), [trade_line(trip).decode() for trip in result.trades])
        context.note(f"wrote {trades}")
    if page is not None and tape is not None:
        shown = json.loads(document(page_document(report, result.trades, tape)))
        write_page(Path(page), shown, f"Backtest of {loaded.settings.bot.name}")
        context.note(f"wrote {page}")
    if wants_tables(context):
        write_tables(context, json.loads(body), [trade_row(trip) for trip in result.trades])
    if context.is_json:
        context.write_bytes(body)
        return 0
    from tradebot.report.result_text import report_text

    context.write(report_text(json.loads(body), context.is_colour, context.width))
    return 0
