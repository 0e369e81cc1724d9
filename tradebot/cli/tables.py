"""Tables for a person, by rich; colour only on a terminal."""

import sys
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradebot.cli.context import Context

_WIDE = 200
_STYLES = {"ok": "green", "running": "green", "warn": "yellow", "paused": "yellow", "fail": "bold red", "halted": "red"}


def show_table(context: Context, keys: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print ``rows`` with a column for each of ``keys``."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for key in keys:
        table.add_column(key.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in keys))
    sys.stdout.flush()
    console_for(context).print(table)


def console_for(context: Context) -> Console:
    """Return a console for the output: as wide as the terminal, or wide enough for a file."""
    is_colour = context.is_colour
    return Console(no_color=not is_colour, highlight=False, width=None if is_colour else _WIDE)


def _cell(value: object) -> Text:
    text = "-" if value is None else str(value)
    return Text(text, style=_STYLES.get(text, ""))
