"""How a test waits for what tells nobody: it looks again and again, until a deadline that only a failure meets."""

import asyncio
import time
from collections.abc import Callable

DEADLINE_S = 60.0
_PAUSE_S = 0.01


async def until(is_so: Callable[[], object], seconds: float = DEADLINE_S) -> None:
    """Return once ``is_so``, in a loop that goes on meanwhile. Raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(_PAUSE_S)


def wait_until(is_so: Callable[[], object], seconds: float = DEADLINE_S, pause_s: float = _PAUSE_S) -> None:
    """Return once ``is_so``, of another process or thread. Raises ``TimeoutError``."""
    ends = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends:
            raise TimeoutError(f"it was not so within {seconds:.0f} s")
        time.sleep(pause_s)
