"""The watch of a process beside the daemon: when that is gone or silent for too long, the account's risk is ended.

It knows the daemon by its answers alone, and acts once for each silence: a daemon that speaks again is believed again.
"""

import math
from collections.abc import Callable
from enum import StrEnum

from tradebot.ports import Clock

PERIOD_S = 0.5


class Pulse(StrEnum):
    """What one look at the daemon showed."""

    BEATS = "beats"
    """It answers, and its line moves; or it is on its way up."""
    SILENT = "silent"
    """Something holds the home, and does not answer, or its line stands."""
    GONE = "gone"
    """Nothing runs, and the last run did not end in order."""
    AT_REST = "at rest"
    """Nothing runs: the last run was ended by an operator, or there was none."""


class GuardWatch:
    """Looks with ``feel``; lets ``act`` end all when there was no beat for ``after_s``. ``tell`` hears of each turn.

    ``act`` returns whether the venue said flat, and is called again until it did, or the daemon beats. ``age_s`` says
    how long ago the beat was that the last look showed; ``is_begun``, that all was to be ended before, and was not.
    """

    def __init__(
        self,
        feel: Callable[[], Pulse],
        act: Callable[[], bool],
        tell: Callable[[str], None],
        clock: Clock,
        after_s: float,
        age_s: Callable[[], float] = lambda: 0.0,
        *,
        is_begun: bool = False,
    ) -> None:
        self._feel, self._act, self._tell, self._clock, self._after_s = feel, act, tell, clock, after_s
        self._age_s = age_s
        # What a guard before this one began and did not end is not waited for.
        self._beat_at = -math.inf if is_begun else clock.monotonic()
        self._pulse: Pulse | None = None
        self._is_done = False

    def look(self) -> None:
        """Look once, and act if it is time."""
        pulse, now = self._feel(), self._clock.monotonic()
        if pulse is not self._pulse:
            self._pulse = pulse
            self._tell(f"the daemon is {pulse}" if pulse is not Pulse.BEATS else "the daemon beats")
        if pulse in (Pulse.BEATS, Pulse.AT_REST):
            self._beat_at, self._is_done = now - self._age_s(), False
        elif now - self._beat_at >= self._after_s and not self._is_done:
            since = f"no beat for {now - self._beat_at:.1f} s"
            self._tell(f"{since if self._beat_at > -math.inf else 'it was begun'}: ending all that the account has")
            self._is_done = self._act()
