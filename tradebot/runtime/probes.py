"""What watches the daemon: the heartbeat that feeds the watchdog, and the lag of the event loop."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

from tradebot.log import log
from tradebot.model.command import Heartbeat
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock
from tradebot.runtime.notify import Notifier
from tradebot.runtime.session import Session
from tradebot.runtime.tasks import LineRunner
from tradebot.settings.model import StoreSettings
from tradebot.store.disk import disk_free_mb

_BEAT_S = 1.0
_LAG_PERIOD_S = 0.1
_DISK_PERIOD_S = 5.0
_LAG_LIMIT_S = 0.25
_LAG_WINDOW = 600


class Heart:
    """Sends a heartbeat through every stage and the journal; only when it came through is systemd told.

    Neither while ``stuck`` names a task beside the line: systemd then ends the process, which settles all anew.
    """

    def __init__(
        self,
        session: Session,
        runner: LineRunner,
        flush: Callable[[], Awaitable[None]],
        notifier: Notifier,
        clock: Clock,
        status_line: Callable[[], str],
        stuck: Callable[[], str],
    ) -> None:
        self._session, self._runner, self._flush = session, runner, flush
        self._notifier, self._clock, self._status_line = notifier, clock, status_line
        self._stuck, self._stuck_task = stuck, ""
        self._beat_at: float | None = None
        watchdog_s = notifier.watchdog_s
        self._period_s = _BEAT_S if watchdog_s is None else min(_BEAT_S, watchdog_s / 3)

    def age_s(self, now_s: float) -> float | None:
        """Return how long ago a heartbeat came through, ``None`` before the first; ``now_s`` is monotonic."""
        return None if self._beat_at is None else round(now_s - self._beat_at, 3)

    async def run(self, ready: Callable[[], None]) -> None:
        """Beat until cancelled."""
        ready()
        while True:
            async with self._runner.gate:
                await self._runner.run(Heartbeat(ts_event=self._session.market_time))
            await self._flush()
            self._beat_at = self._clock.monotonic()
            self._tell(self._stuck())
            await asyncio.sleep(self._period_s)

    def _tell(self, stuck_task: str) -> None:
        if not stuck_task:
            self._notifier.watchdog()
            self._notifier.status(self._status_line())
        elif stuck_task != self._stuck_task:
            log(LogEvent.TASK_STUCK, level="error", task=stuck_task)
            self._notifier.status(f"task {stuck_task} is stuck")
        self._stuck_task = stuck_task


class LagProbe:
    """Measures how late the event loop wakes a sleeper; ``worst_s`` is of the last minute."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=_LAG_WINDOW)

    @property
    def worst_s(self) -> float:
        """The longest delay of the last minute, in seconds."""
        return max(self._lags, default=0.0)

    async def run(self, ready: Callable[[], None]) -> None:
        """Measure until cancelled."""
        ready()
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_LAG_PERIOD_S)
            lag_s = max(0.0, loop.time() - before - _LAG_PERIOD_S)
            self._lags.append(lag_s)
            if lag_s > _LAG_LIMIT_S:
                log(LogEvent.LOOP_LAGGED, level="warning", lag_ms=round(lag_s * 1e3))


class DiskProbe:
    """Looks at the free disk; when it falls below ``min_free_mb``, ``on_low`` is called once, with what is free."""

    def __init__(self, home: Path, settings: StoreSettings, on_low: Callable[[int], Awaitable[None]]) -> None:
        self._home, self._min_free_mb, self._on_low = home, settings.min_free_mb, on_low

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        is_low = False
        while True:
            free_mb = disk_free_mb(self._home)
            if free_mb < self._min_free_mb and not is_low:
                log(LogEvent.DISK_LOW, level="error", free_mb=free_mb, min_free_mb=self._min_free_mb)
                await self._on_low(free_mb)
            is_low = free_mb < self._min_free_mb
            await asyncio.sleep(_DISK_PERIOD_S)
