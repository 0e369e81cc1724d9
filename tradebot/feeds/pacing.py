"""When the next message of recorded time is due in real time."""

from tradebot.model.time import NANOS_PER_S, Nanos


class Pace:
    """Spreads market time over real time: ``speed`` market seconds a second; ``None`` is as fast as possible.

    Each wait is counted from one anchor, so that neither late wake-ups nor the work between messages add up.
    Who falls behind by up to ``slack_s`` catches up; after a longer halt (a suspended machine, a resume) the
    pace goes on from there. Raises ``ValueError`` on a speed that is not above 0.
    """

    def __init__(self, speed: float | None, slack_s: float = 5.0) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise ValueError(f"speed {speed} is not above 0")
        self._speed = speed
        self._slack_s = slack_s
        self._anchor: tuple[Nanos, float] | None = None

    def wait_s(self, ts: Nanos, now_s: float) -> float:
        """Return the seconds, >= 0, until a message of market time ``ts`` is due; ``now_s`` is monotonic."""
        if self._speed is None:
            return 0.0
        if self._anchor is None:
            self._anchor = ts, now_s
        anchor_ts, anchor_s = self._anchor
        wait_s = anchor_s + (ts - anchor_ts) / NANOS_PER_S / self._speed - now_s
        if wait_s < -self._slack_s:
            self._anchor = ts, now_s
        return max(0.0, wait_s)

    def reset(self) -> None:
        """Begin anew with the next message, which is due at once."""
        self._anchor = None
