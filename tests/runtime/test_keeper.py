"""The keeper of snapshots: one is written at a time, whatever ends the task that keeps them."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tradebot.runtime import keeper
from tradebot.runtime.keeper import Keeper


class CommittedJournal:
    """A journal whose rows are durable."""

    last_seq = 7

    async def committed(self, _seq: int) -> None:
        """Return at once."""


async def test_a_write_under_way_is_waited_for_when_its_task_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end, written = threading.Event(), threading.Event(), list[int]()

    def write(_home: Path, seq: int, *_: Any) -> None:
        began.set()
        assert may_end.wait(10)
        written.append(seq)

    monkeypatch.setattr(keeper, "write_snapshot", write)
    session = SimpleNamespace(turns=1, turn_seq=0, save=lambda: b"{}")
    loaded = SimpleNamespace(config_hash="c")
    runner = SimpleNamespace(gate=asyncio.Lock())
    kept: Any = Keeper(tmp_path, *cast("Any", (session, runner, CommittedJournal(), loaded)), sizes={})
    keeping = asyncio.create_task(kept.keep())
    await asyncio.to_thread(began.wait, 10)
    keeping.cancel()
    await asyncio.wait({keeping}, timeout=0.05)
    assert not keeping.done(), "the next snapshot would be written beside this one"
    may_end.set()
    await asyncio.wait({keeping})
    assert keeping.cancelled()
    assert written == [7]
