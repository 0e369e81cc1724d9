"""From a bar handed to the feed side until its order is with the venue, through the four tasks, the journal on disk.

The bar is recorded, passes all stages, becomes a signal, a decision and an order; the intent is on the disk before
the venue has it; then the venue has accepted the order and the clock stops. A bar comes every few milliseconds, as
from a live feed; those that cause no order are not counted.
"""

import asyncio
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.engine_run import in_loop, running_engine
from benchmarks.figures import Figure, percentile
from benchmarks.markets import walk, write_config
from tradebot.model.market import Message
from tradebot.model.order import OrderAccepted

ORDERS = 1_000
_PAUSE_S = 0.002
_WARM_UP = 200


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with walk(3 * (ORDERS + _WARM_UP)) as (folder, data):
        config = write_config(folder, data, {"kind": "flip.py:Flip", "name": "flip"})
        latencies, commits = (times[_WARM_UP:] for times in in_loop(_latencies(config)))
    note = f"{len(latencies)} orders"
    yield Figure(what="event to order, p50", value=statistics.median(latencies) * 1e6, unit="us", aim=150, note=note)
    yield Figure(what="event to order, p99", value=percentile(latencies, 0.99) * 1e6, unit="us", aim=1_000, note=note)
    commit_us = statistics.median(commits) * 1e6
    yield Figure(what="of which this disk: a lone row made durable, p50", value=commit_us, unit="us")


async def _latencies(config: Path) -> tuple[list[float], list[float]]:
    latencies: list[float] = []
    commits: list[float] = []
    begin = 0.0

    def accepted(_: Message) -> None:
        latencies.append(time.perf_counter() - begin)

    async with running_engine(config) as engine:
        engine.session.line.sinks[OrderAccepted] = accepted
        while len(latencies) < ORDERS + _WARM_UP:
            message = engine.session.take()
            if message is None:
                break
            async with engine.runner.gate:
                begin = time.perf_counter()
                await engine.turn(message)
            await engine.durable()
            await asyncio.sleep(_PAUSE_S)
            asked = time.perf_counter()
            await engine.journal.committed(engine.journal.append("bench", engine.session.market_time, b"{}"))
            commits.append(time.perf_counter() - asked)
    return latencies, commits
