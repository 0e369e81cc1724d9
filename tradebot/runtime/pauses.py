"""How soon a line that failed is built anew."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _CALM_S = 0.25, 60.0, 120.0


class Pauses:
    """How long to wait before the line is built anew: not at all at first, twice as long each time it fails soon."""

    def __init__(self) -> None:
        self._last_s = -_CALM_S
        self._pause_s = 0.0

    def next(self, now_s: float) -> float:
        """Return the pause after a failure at ``now_s``."""
        is_calm = now_s - self._last_s >= _CALM_S
        self._last_s = now_s
        self._pause_s = 0.0 if is_calm else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))
        return self._pause_s
