"""How soon a line that failed is built anew."""

from tradebot.backoff import Backoff

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _CALM_S = 0.25, 60.0, 120.0


class Pauses:
    """How long to wait before the line is built anew: not at all at first, twice as long each time it fails soon."""

    def __init__(self) -> None:
        self._last_s = -_CALM_S
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        self._soon = 0

    def next(self, now_s: float) -> float:
        """Return the pause after a failure at ``now_s``."""
        is_calm = now_s - self._last_s >= _CALM_S
        self._last_s = now_s
        self._soon = 0 if is_calm else self._soon + 1
        return self._backoff.delay_s(self._soon) if self._soon else 0.0
