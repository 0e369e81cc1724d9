"""Logging an event with its fields, from wherever something happens. ``runtime.logs`` says where it is written.

It never raises into the caller: what cannot be written is counted. Before ``runtime.logs.configure`` nothing is.
"""

from collections import deque

from loguru import logger

from tradebot.model.logevent import LogEvent
from tradebot.model.time import Nanos, to_ms
from tradebot.ports import Clock

LEVELS = ("debug", "info", "warning", "error")
RANK = {level: rank for rank, level in enumerate(LEVELS)}
_REMEMBERED_ERRORS = 10_000


class Logging:
    """What logging knows between calls: ``least`` is the rank of the least level that is written."""

    def __init__(self) -> None:
        self.least = len(LEVELS)
        self.failures = 0
        self.errors: deque[Nanos] = deque(maxlen=_REMEMBERED_ERRORS)
        self.clock: Clock | None = None


STATE = Logging()
"""There is one for the process."""


def log(event: LogEvent, level: str = "info", **fields: object) -> None:
    """Log ``event`` with its fields. Never raises."""
    rank, clock = RANK[level], STATE.clock
    if clock is None:
        return
    if level == "error":
        STATE.errors.append(clock.now())
    if rank < STATE.least:
        return
    try:
        # The message has no braces and the fields are bound, so nothing in them is ever formatted.
        logger.bind(level=level, ts=to_ms(clock.now()), fields=fields).log(level.upper(), str(event))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        STATE.failures += 1
