"""The order of turns of live bars: by closing time, then symbol, as a replay of the same bars would give them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tradebot.model.market import Bar
from tradebot.model.time import Nanos

# A symbol that closes later than the others is not waited for any longer.
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Due:
    """A closed bar that waits for its turn since ``since``, in monotonic seconds; on a late one nothing is entered."""

    bar: Bar
    since: float
    is_late: bool


class Turns:
    """Closed bars that wait for those that close before them, for a short while."""

    def __init__(self) -> None:
        self._waiting: list[Due] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, bars: Iterable[Bar], now: float, *, is_late: bool) -> None:
        """Let ``bars`` wait for their turns."""
        self._waiting += [Due(bar, now, is_late) for bar in bars]
        self._waiting.sort(key=lambda due: (due.bar.ts_event, due.bar.symbol))

    def take(self, next_close: Mapping[str, Nanos | None], now: float) -> Sequence[Due]:
        """Take the bars whose turn it is. ``next_close``: the earliest close that a symbol can still come with."""
        count = 0
        # One that waits too long takes along all that come before it.
        for index, due in enumerate(self._waiting, 1):
            if now - due.since >= PATIENCE_S:
                count = index
        while count < len(self._waiting) and _is_next(self._waiting[count].bar, next_close):
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken


def _is_next(bar: Bar, next_close: Mapping[str, Nanos | None]) -> bool:
    turn = bar.ts_event, bar.symbol
    return all(close is None or (close, symbol) > turn for symbol, close in next_close.items() if symbol != bar.symbol)
