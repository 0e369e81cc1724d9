"""What an emergency exit left for the daemon: it halts, and the mark goes when the halt is in the journal."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tradebot.log import log
from tradebot.model.command import CommandDone, Verb
from tradebot.model.errors import StorageFailed, Unavailable
from tradebot.model.logevent import LogEvent
from tradebot.store.mark import Mark, read_mark, remove_mark

_PERIOD_S = 1.0


class Marks:
    """Looks for a mark in ``home``, at boot and beside a daemon that only seemed dead; ``command`` is the line's."""

    def __init__(self, home: Path, command: Callable[[Verb, Mapping[str, str]], Awaitable[CommandDone]]) -> None:
        self._home, self._command = home, command
        self._honoured: Mark | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        while True:
            # One that is stopping leaves it to the next run.
            with contextlib.suppress(Unavailable):
                await self.look()
            await asyncio.sleep(_PERIOD_S)

    async def look(self) -> None:
        """Halt and flatten when there is a mark; only what is ours, if the venue had said flat.

        Raises ``Unavailable`` while stopping.
        """
        mark = read_mark(self._home)
        if mark is None or mark == self._honoured:
            return
        log(LogEvent.EMERGENCY_FOUND, level="warning", what=mark.what, is_over=mark.is_over)
        # Where it was over, an entry that was on its way may still have come: what is ours goes.
        arguments = {"flatten": "true", "reason": f"an emergency exit without the daemon: {mark.what}"}
        await self._command(Verb.HALT, arguments | ({"own": "true"} if mark.is_over else {}))
        self._honoured = mark
        try:
            remove_mark(self._home)
        except StorageFailed as error:
            # It halts the next run again, which does no harm.
            log(LogEvent.EMERGENCY_FOUND, level="error", what=str(error), is_over=mark.is_over)
        else:
            self._honoured = None
