"""The kill switch: ``halt --flatten`` of a live daemon that is hampered, from the command's process to flat.

A whole daemon on a devnet as another process holds two positions with stops and targets; an entry rests, and twenty
orders of another hand do. The time begins with the process of the command, so that its own start counts.
"""

import os
import statistics
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure
from benchmarks.kill_run import Ended, bot, fill, net, small_disk

_RUNS = int(os.environ.get("KILL_RUNS", "5"))
_SPEED, _FAST = 60.0, 600.0
_WAYS = {
    "unhampered": "",
    "strategy spins": "spin",
    "strategy sleeps in C": "sleep",
    "strategy deaf in C": "deaf",
    "queue flooded": "slow",
    "disk full": "full",
}


def run() -> Iterable[Figure]:
    """Yield the figures."""
    only = os.environ.get("KILL_ONLY", "")
    with TemporaryDirectory(prefix="tradebot-bench-") as name:
        folder = Path(name)
        for what, how in _WAYS.items():
            if only and how not in only.split(","):
                continue
            found = [_once(folder / f"{how}{number}", how) for number in range(_RUNS)]
            ends = [one for one in found if one is not None]
            if not ends:
                yield Figure(what=what, value=None, unit="ms", note="a small disk cannot be mounted here")
                continue
            yield from _figures(what, ends)


def _figures(what: str, ends: list[Ended]) -> Iterable[Figure]:
    rows = {"last cancel on the wire": ([one.last_cancel_ms for one in ends], 200.0)}
    rows["flat"] = ([one.flat_ms for one in ends], 1_000.0)
    rows["answer"] = ([one.answer_ms for one in ends], None)
    for name, (times, aim) in rows.items():
        yield Figure(what=f"{what}: {name}, p50", value=statistics.median(times), unit="ms", aim=aim)
        yield Figure(what=f"{what}: {name}, worst of {len(times)}", value=max(times), unit="ms", aim=aim)


def _once(folder: Path, how: str) -> Ended | None:
    folder.mkdir()
    with net(folder, _FAST if how == "slow" else _SPEED) as exchange:
        if how != "full":
            with bot(exchange, folder / "bot") as made:
                if how:
                    made.hamper(how)
                return made.end_all()
        with small_disk(folder / "disk") as disk:
            if disk is None:
                return None
            with bot(exchange, folder / "bot", disk / "home") as made:
                fill(disk)
                return made.end_all()
