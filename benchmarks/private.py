"""What private names of libraries buy: aiosqlite's queue under the journal, pycryptodome's C calls under a signature.

Each is timed against the same done with public names alone: rows that are hashed and committed by public calls of
aiosqlite, and a new hash object for each hash. The journal lies on a file system in memory where there is one, for the
disk is in both. Should a figure of ours not be clearly the smaller one, the private names are not worth having.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite

from benchmarks.engine_run import in_loop
from benchmarks.figures import Figure, median_s
from tradebot.store.integrity import Tip, chain
from tradebot.store.journal import _Connection, _insert
from tradebot.store.schema import INSERT_ROW, connect
from tradebot.venues.hyperliquid.sign import Keccak, keccak256, l1_digest

_MEMORY = Path("/dev/shm")
_GROUPS, _WARM_UP, _DIGESTS = 1_000, 100, 2_000
_PAUSE_S = 0.0005
_BODY = b'{"order":"entry","qty":"0.0147"}' * 8
_ORDER = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
_ACTION = {"type": "order", "orders": [_ORDER | {"c": "0x" + "5" * 32}], "grouping": "na"}


def run() -> Iterable[Figure]:
    """Yield the figures."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        for rows, what in ((1, "a lone row made durable"), (5, "five rows made durable")):
            ours, public = in_loop(_rows_us(Path(folder), rows))
            yield Figure(what=f"{what}: one hand-over, as the journal, p50", value=ours, unit="us")
            yield Figure(what=f"{what}: public names alone, p50", value=public, unit="us")
    for name, hashed in (("one state, reset", Keccak()), ("public names alone", keccak256)):
        digest = partial(l1_digest, _ACTION, 1, expires_after=2, is_mainnet=False, hashed=hashed)
        taken = median_s(partial(_repeat, digest), runs=7)
        yield Figure(what=f"digest of an order: {name}", value=taken / _DIGESTS * 1e6, unit="us")


def _repeat(work: Callable[[], object]) -> None:
    for _ in range(_DIGESTS):
        work()


async def _rows_us(folder: Path, rows: int) -> tuple[float, float]:
    """Return the medians of one hand-over to the thread for all, and of public calls; each in turn with the other."""
    ours = _Connection(partial(connect, folder / f"ours-{rows}.db"), iter_chunk_size=64)
    await ours.connect()
    public = await aiosqlite.Connection(partial(connect, folder / f"public-{rows}.db"), iter_chunk_size=64)
    tips: dict[aiosqlite.Connection, Tip] = {ours: Tip(0, b""), public: Tip(0, b"")}
    times: dict[aiosqlite.Connection, list[float]] = {ours: [], public: []}
    for _ in range(_WARM_UP + _GROUPS):
        for connection, taken in times.items():
            tip = tips[connection]
            batch = [(tip.seq + number, "bench", 1, 1, _BODY) for number in range(1, rows + 1)]
            begin = time.perf_counter()
            if connection is ours:
                tips[ours] = await ours.post(partial(_insert, tip=tip, batch=batch))
            else:
                tips[public] = await _commit(public, tip, batch)
            taken.append(time.perf_counter() - begin)
            await asyncio.sleep(_PAUSE_S)
    await ours.close()
    await public.close()
    ours_us, public_us = (statistics.median(taken[_WARM_UP:]) * 1e6 for taken in times.values())
    return ours_us, public_us


async def _commit(connection: aiosqlite.Connection, tip: Tip, batch: Sequence[Any]) -> Tip:
    rows, h = [], tip.h
    for seq, kind, ts_event, ts_wall, payload in batch:
        h = chain(h, seq, kind, ts_event, payload)
        rows.append((seq, kind, ts_event, ts_wall, payload, h))
    if len(rows) == 1:
        await connection.execute(INSERT_ROW, rows[0])
    else:
        await connection.execute("BEGIN IMMEDIATE")
        await connection.executemany(INSERT_ROW, rows)
        await connection.execute("COMMIT")
    return Tip(batch[-1][0], h)
