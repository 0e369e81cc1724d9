"""Memory of real daemons: of the demo after a minute, and how it grows while a million bars are replayed.

Growth is from the first tenth of the replay to its end. The demo runs beside the replay, to save the minute.
"""

import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.figures import Figure
from benchmarks.markets import SMA, START_MS, write_config, write_walk
from benchmarks.processes import daemon, memory_mb, tradebot

BARS = 1_000_000
DEMO_S = 60
_AIM_MB = 60
_FLAT_MB = 3
_MINUTE_MS = 60_000
_POLL_S = 1.0
# On a busy machine fewer bars must do.
_DEADLINE_S = 120


class _Replayed(NamedTuple):
    bars: int
    early: float
    late: float
    most: float
    turn_us: float

    @property
    def note(self) -> str:
        return (
            f"{self.early:.1f} MB at a tenth, {self.late:.1f} at the end, {self.most:.1f} at most; "
            f"{self.turn_us:.0f} us a bar, trading"
        )


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        demo: list[float] = []
        beside = threading.Thread(target=lambda: demo.append(_demo_mb(folder / "demo")))
        beside.start()
        replayed = _replay_mb(folder)
        beside.join()
    if demo:
        yield Figure(what=f"demo daemon after {DEMO_S} s", value=demo[0], unit="MB", aim=_AIM_MB)
    what = f"growth over {replayed.bars:,} bars replayed"
    yield Figure(what=what, value=replayed.late - replayed.early, unit="MB", aim=_FLAT_MB, note=replayed.note)


def _demo_mb(home: Path) -> float:
    with daemon(home) as running:
        time.sleep(DEMO_S)
        return memory_mb(running.process.pid)


def _replay_mb(folder: Path) -> _Replayed:
    config = write_config(folder, write_walk(folder / "walk.csv", BARS), SMA)
    home = folder / "replay"
    early: float | None = None
    with daemon(home, config, "TRADEBOT__FEED__AT_END=stay") as running:
        pid, begin = running.process.pid, time.perf_counter()
        while True:
            time.sleep(_POLL_S)
            feed = json.loads(tradebot("--home", home, "status", "--json"))["feed"]
            bars = ((feed["last_ts"] or START_MS) - START_MS) // _MINUTE_MS
            if early is None and bars >= BARS / 10:
                early = memory_mb(pid)
            took_s = time.perf_counter() - begin
            if feed["state"] == "finished" or took_s > _DEADLINE_S:
                break
        late, most = memory_mb(pid), memory_mb(pid, "VmHWM")
    if early is None:
        raise RuntimeError(f"only {bars:,} bars within {_DEADLINE_S} s")
    return _Replayed(bars, early, late, most, took_s / bars * 1e6)
