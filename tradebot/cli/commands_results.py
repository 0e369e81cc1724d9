"""What was earned: the report and the round trips, from the daemon, or from the journal when none runs."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.model.errors import NotRunning, UsageError
from tradebot.report.shapes import Document, Json

_TIMEOUT_S = 60.0


def report(context: Context) -> int:
    """Print the report; write it as a page or as tables where asked."""
    keys = ("since", "until", "by")
    body = _read(context, "report", keys)
    document = json.loads(body)
    page, folder = context.given.text("html"), context.given.text("csv")
    if page is not None or folder is not None:
        if page is not None:
            write_page(Path(page), json.loads(_read(context, "page", keys)))
            context.note(f"wrote {page}")
        if folder is not None:
            trips = [json.loads(line) for line in _read(context, "trades", keys[:2]).splitlines()]
            _write_tables(Path(folder), document, trips)
            context.note(f"wrote {folder}/trades.csv, equity.csv, report.csv")
    if context.is_json:
        context.write_bytes(body)
        return 0
    from tradebot.report.result_text import report_text

    context.write(report_text(document, context.is_colour, context.width))
    return 0


def trades(context: Context) -> int:
    """Print the round trips, newest last."""
    body = _read(context, "trades", ("since", "until"))
    if context.is_json:
        context.write_bytes(body)
        return 0
    from tradebot.report.result_text import trades_text

    context.write(trades_text([json.loads(line) for line in body.splitlines()], context.is_colour, context.width))
    return 0


def write_page(path: Path, document: Mapping[str, Json], title: str = "tradebot report") -> None:
    """Write the page of a ``page`` document. Raises ``UsageError`` when it cannot be written."""
    from tradebot.report.html import report_html

    write_lines(path, [report_html(document, title=title)])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a text file. Raises ``UsageError`` when it cannot be written."""
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            out.writelines(lines)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=str(path), mend="name another file") from error


def _read(context: Context, view: str, keys: tuple[str, ...]) -> bytes:
    given = {key: context.given.text(key) for key in keys}
    query = {key: value for key, value in given.items() if value is not None}
    try:
        return client.read(context.socket, view, query, _TIMEOUT_S)
    except NotRunning:
        from tradebot.cli.stored import read_stored

        return read_stored(context.home, view, query)


def _write_tables(folder: Path, document: Mapping[str, Json], trips: list[Document]) -> None:
    from tradebot.report.trades import TRADE_KEYS, csv_lines, equity_csv

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder: {error.strerror}", where=str(folder)) from error
    curve = document.get("equity_curve")
    points = [(int(ts), str(equity)) for ts, equity in curve] if isinstance(curve, list) else []
    plain = [key for key, value in document.items() if not isinstance(value, list | dict)]
    write_lines(folder / "trades.csv", csv_lines(TRADE_KEYS, trips))
    write_lines(folder / "equity.csv", equity_csv(points))
    write_lines(folder / "report.csv", csv_lines(plain, [dict(document)]))
