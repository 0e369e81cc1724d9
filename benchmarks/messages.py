"""Market messages a second through the four tasks and the journal, each one a turn of its own.

Nothing conflates yet: only quotes of a live feed may be conflated, and there is none so far. So what counts is how
many turns of each kind the tasks sustain; a feed that is faster waits (replay) or would have to conflate (live).
"""

import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.engine_run import in_loop, run_turns, running_engine
from benchmarks.figures import RUNS, Figure
from benchmarks.markets import walk, write_config
from tradebot.model.market import Quote
from tradebot.model.time import Nanos

TURNS = 20_000
_QUIET_US = 50.0


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with walk((RUNS + 1) * TURNS) as (folder, data):
        config = write_config(folder, data, {"kind": "idle.py:Idle", "name": "idle"})
        bar_s = in_loop(_bar_turn_s(config))
        quote_s = in_loop(_quote_turn_s(config))
    yield Figure(what="one quiet turn of a bar", value=bar_s * 1e6, unit="us", aim=_QUIET_US)
    yield Figure(what="bars", value=1 / bar_s, unit="turns/s")
    yield Figure(what="quotes", value=1 / quote_s, unit="turns/s", note="before a live feed would conflate")


async def _bar_turn_s(config: Path) -> float:
    async with running_engine(config) as engine:
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            done = await run_turns(engine, TURNS)
            times.append((time.perf_counter() - begin) / done)
        return sorted(times)[RUNS // 2]


async def _quote_turn_s(config: Path) -> float:
    async with running_engine(config) as engine:
        await run_turns(engine, 10)
        ts = engine.session.market_time
        price = next(iter(engine.standing().marks.values()))
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            for number in range(TURNS):
                await engine.journal.room()
                async with engine.runner.gate:
                    await engine.turn(Quote(symbol="WALK", ts_event=Nanos(ts + number), bid=price, ask=price))
            times.append((time.perf_counter() - begin) / TURNS)
        return sorted(times)[RUNS // 2]
