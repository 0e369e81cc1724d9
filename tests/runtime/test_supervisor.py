"""Tasks: readiness, order, restart or halt by policy, and an end that comes in time whatever a task does."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from tradebot.model.errors import TimedOut
from tradebot.runtime import supervisor as supervising
from tradebot.runtime.supervisor import FailurePolicy, Supervisor, TaskSpec, TaskState

Ready = Callable[[], None]
pytestmark = pytest.mark.virtual_time


def task(
    name: str, run: Callable[[Ready], Awaitable[None]], policy: FailurePolicy = FailurePolicy.HALT, **more: object
) -> TaskSpec:
    return TaskSpec(name=name, run=run, policy=policy, **more)  # type: ignore[arg-type]


async def forever(ready: Ready) -> None:
    ready()
    await asyncio.Event().wait()


async def test_a_task_is_started_only_when_it_is_ready() -> None:
    supervisor, seen = Supervisor(), []

    async def slow(ready: Ready) -> None:
        await asyncio.sleep(0)
        seen.append("ready")
        await forever(ready)

    await supervisor.start(task("slow", slow))
    assert seen == ["ready"]
    assert supervisor.tasks[0].state is TaskState.RUNNING
    await supervisor.stop(grace_s=0, hard_s=1)


async def test_a_task_that_is_never_ready_times_out() -> None:
    supervisor = Supervisor()

    async def unready(_: Ready) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimedOut, match="task unready was not ready"):
        await supervisor.start(task("unready", unready))
    await supervisor.stop(grace_s=0, hard_s=1)


@pytest.mark.parametrize("is_ready", [True, False])
async def test_a_failure_that_no_policy_mends_is_reported_with_its_task(is_ready: bool) -> None:
    supervisor = Supervisor()

    async def fails(ready: Ready) -> None:
        if is_ready:
            ready()
            await asyncio.sleep(0.01)
        raise ValueError("boom")

    if is_ready:
        await supervisor.start(task("bad", fails))
        assert repr(await supervisor.failure) == "ValueError('boom')"
    else:
        with pytest.raises(ValueError, match="boom"):
            await supervisor.start(task("bad", fails))
    assert supervisor.failed_task == "bad"
    assert supervisor.tasks[0].state is TaskState.FAILED


async def test_a_task_that_may_is_started_again_with_growing_pauses() -> None:
    supervisor, at, loop = Supervisor(), [], asyncio.get_running_loop()
    done = asyncio.Event()

    async def stumbles(ready: Ready) -> None:
        at.append(loop.time())
        ready()
        if len(at) < 5:
            raise OSError("again")
        done.set()
        await asyncio.Event().wait()

    await supervisor.start(task("stumbles", stumbles, FailurePolicy.RESTART))
    await done.wait()
    pauses = [after - before for before, after in itertools.pairwise(at)]
    assert all(pause >= 0.49 * 2**number for number, pause in enumerate(pauses))
    assert (supervisor.tasks[0].restarts, supervisor.tasks[0].state) == (4, TaskState.RUNNING)
    assert supervisor.failed is None
    await supervisor.stop(grace_s=0, hard_s=1)


async def test_the_end_comes_in_reverse_order_and_lets_each_task_finish() -> None:
    supervisor, ended = Supervisor(), []

    def spec(name: str) -> TaskSpec:
        closing = asyncio.Event()

        async def run(ready: Ready) -> None:
            ready()
            await closing.wait()
            ended.append(name)

        return task(name, run, close=closing.set)

    for name in ("first", "second", "third"):
        await supervisor.start(spec(name))
    await supervisor.stop(grace_s=5, hard_s=5)
    assert ended == ["third", "second", "first"]
    assert {each.state for each in supervisor.tasks} == {TaskState.STOPPED}


async def test_a_task_that_ignores_its_end_is_left_behind_after_both_deadlines() -> None:
    supervisor, loop = Supervisor(), asyncio.get_running_loop()
    release = asyncio.Event()

    async def deaf(ready: Ready) -> None:
        ready()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    await supervisor.start(task("deaf", deaf, close=lambda: None))
    began = loop.time()
    await supervisor.stop(grace_s=30, hard_s=20)
    assert 49 <= loop.time() - began < 55
    release.set()
    await asyncio.wait({each.task for each in supervisor.tasks if each.task is not None})


async def test_a_task_waiting_to_be_started_again_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "_BACKOFF_FIRST_S", 60.0)
    supervisor, loop = Supervisor(), asyncio.get_running_loop()

    async def fails(ready: Ready) -> None:
        ready()
        raise OSError("gone")

    await supervisor.start(task("fails", fails, FailurePolicy.RESTART))
    began = loop.time()
    await supervisor.stop(grace_s=1, hard_s=1)
    assert loop.time() - began < 1


async def test_the_error_of_a_short_task_is_fatal_and_its_cancellation_is_not() -> None:
    supervisor = Supervisor()

    async def fails() -> None:
        raise ValueError("short")

    supervisor.run_once("short", fails)
    assert str(await supervisor.failure) == "short"
    assert supervisor.failed_task == ""
    # Only the first counts.
    supervisor.fail(OSError("later"))
    assert str(supervisor.failed) == "short"
