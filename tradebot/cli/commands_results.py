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
    page = context.given.text("html")
    if page is not None:
        write_page(Path(page), json.loads(_read(context, "page", keys)))
        context.note(f"wrote {page}")
    if wants_tables(context):
        write_tables(context, document, [json.loads(line) for line in _read(context, "trades", keys[:2]).splitlines()])
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


def wants_tables(context: Context) -> bool:
    """Return whether tables were asked for."""
    return any(context.given.text(option) is not None for option in ("csv", "parquet"))


def write_tables(context: Context, document: Mapping[str, Json], trips: list[Document]) -> None:
    """Write the tables that were asked for. Raises ``UsageError`` when they cannot be written."""
    from tradebot.cli.exports import exports, write_csv, write_parquet

    for option, write in (("csv", write_csv), ("parquet", write_parquet)):
        folder = context.given.text(option)
        if folder is not None:
            context.note(f"wrote in {folder}: {', '.join(write(Path(folder), exports(document, trips)))}")


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
