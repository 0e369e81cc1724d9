"""``status --watch``: the same text, kept on the screen."""

import json
import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tradebot.cli.context import Context
from tradebot.control import client
from tradebot.model.errors import NotRunning, TimedOut, Unreadable
from tradebot.report.text import status_text

_EVERY_S = 1.0


def watch(context: Context) -> int:
    """Show ``status`` afresh every second until interrupted; a daemon that stops is waited for."""
    with Live(console=Console(), auto_refresh=False, screen=context.is_colour) as live:
        while True:
            live.update(Text.from_ansi(_text(context)), refresh=True)
            time.sleep(_EVERY_S)


def _text(context: Context) -> str:
    try:
        document = json.loads(client.read(context.socket, "status", timeout=_EVERY_S * 3))
    except NotRunning:
        document = {"state": "stopped"}
    except (TimedOut, Unreadable) as error:
        return error.what
    return status_text(document, context.is_colour)
