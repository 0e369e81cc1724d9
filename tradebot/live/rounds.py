"""Whether the loops beside the line go round: one that hangs looks, from outside, like one that has nothing to do."""

import asyncio


class Rounds:
    """When each loop of a task last came round, by the time of the event loop."""

    def __init__(self) -> None:
        self._came: dict[str, float] = {}

    def came(self, loop: str) -> None:
        """Note that ``loop`` begins, or has come round once more."""
        self._came[loop] = asyncio.get_running_loop().time()

    def oldest(self) -> float | None:
        """Return when the loop that is longest on its way last came round; ``None`` before any has begun."""
        return min(self._came.values(), default=None)
