"""How often the tasks around a real venue look, by a clock of their own: the intervals that the documents promise."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.builders import approved, signal
from tests.clock import VirtualClock
from tests.live_watch.bench import Bench, bench
from tests.live_watch.test_live_watch import World
from tradebot.live.allowance import AllowanceWatch
from tradebot.live.reconcile import Reconciler
from tradebot.model.command import AlertName
from tradebot.model.time import NANOS_PER_S
from tradebot.model.venue import ActionLimit, Purpose
from tradebot.venues.allowance import LOW, RESERVE, TRICKLE_S, ActionCount

pytestmark = pytest.mark.virtual_time

Asked = list[tuple[float, str]]
LIMIT = ActionLimit(RESERVE, LOW, TRICKLE_S)


class Timetable:
    """Sleeps for the tasks of one clock: each is woken in its turn, once all of them sleep."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count, self._slept = itertools.count(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._due, (self.clock.monotonic() + seconds, next(self._count), woken))
        self._slept.set()
        await woken

    async def until(self, end_s: float, tasks: int) -> None:
        """Let time pass up to ``end_s``, for so many tasks."""
        while await self._next_s(tasks) <= end_s:
            await self.wake(tasks)

    async def wake(self, tasks: int) -> None:
        """Let time pass until the first of so many tasks wakes."""
        await self._next_s(tasks)
        at_s, _, woken = heapq.heappop(self._due)
        self.clock.advance(round((at_s - self.clock.monotonic()) * NANOS_PER_S))
        woken.set_result(None)

    async def _next_s(self, tasks: int) -> float:
        while len(self._due) < tasks:
            self._slept.clear()
            await self._slept.wait()
        return self._due[0][0]


@contextlib.asynccontextmanager
async def running(run: Callable[[Callable[[], None]], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(run(lambda: None))
    try:
        async with asyncio.timeout(30):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def listen(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return what the venue is asked from here on, and when."""
    asked: Asked = []
    ask = made.gateway.ask

    async def heard(kind: str, purpose: Purpose = Purpose.WATCH, **fields: object) -> object:
        asked.append((made.clock.monotonic(), kind))
        return await ask(kind, purpose, **fields)

    monkeypatch.setattr(made.gateway, "ask", heard)
    return asked


def times(asked: Asked, kind: str) -> list[float]:
    return [at_s for at_s, what in asked if what == kind]


async def test_open_orders_are_compared_each_5_s_and_the_account_each_15_s(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        asked, table = listen(made, monkeypatch), Timetable(made.clock)
        async with running(Reconciler(made.sides(), table.sleep).run):
            await table.until(30, tasks=3)
        assert times(asked, "frontendOpenOrders") == [5, 10, 15, 20, 25, 30]
        assert times(asked, "clearinghouseState") == [15, 30]


async def test_the_account_is_compared_each_5_s_until_what_differs_is_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        asked, table = listen(made, monkeypatch), Timetable(made.clock)
        async with running(Reconciler(made.sides(), table.sleep).run):
            await table.until(14, tasks=3)
            # The venue forgets what explains it.
            made.hand.trade("", "BTC", Decimal("-0.004"))
            made.hand.desk("").account.fills.clear()
            await table.until(60, tasks=3)
        assert sorted(set(times(asked, "clearinghouseState"))) == [15, 20, 25, 40, 55]
        assert made.paged == [AlertName.MISMATCH]


async def test_an_order_without_an_answer_is_asked_for_after_a_second_and_at_last_each_30_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bench() as made:
        await made.begin()
        made.line.line.pump(approved(signal("cross-BTC-9", close=made.price()), "0.01"))
        asked, table = listen(made, monkeypatch), Timetable(made.clock)
        async with running(Reconciler(made.sides(), table.sleep).run):
            await table.until(200, tasks=3)
        found = times(asked, "orderStatus")
        pauses = [after - before for before, after in itertools.pairwise(found)]
        assert found[0] <= 2
        assert pauses == sorted(pauses)
        assert set(pauses[-3:]) == {30}


async def test_the_actions_left_are_asked_for_each_10_minutes_and_each_minute_when_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with bench() as made:
        account = made.net.exchange.account(made.net.user)
        assert account is not None
        asked, table = listen(made, monkeypatch), Timetable(made.clock)
        watch = AllowanceWatch(made.venue, LIMIT, made.line, made.page, made.clock, table.sleep)
        await watch.learn(Purpose.TRADE)
        async with running(watch.run):
            await table.until(1_201, tasks=1)
            account.requests = 8_001
            await table.until(1_921, tasks=1)
        assert times(asked, "userRateLimit") == [0, 600, 1200, 1800, 1860, 1920]


async def test_the_watch_looks_each_second() -> None:
    world = World(is_due=True)
    table = Timetable(world.clock)
    looks: list[float] = []
    look = world.watch.look

    async def seen() -> None:
        looks.append(world.clock.monotonic())
        await look()

    world.watch.look = seen  # type: ignore[method-assign]
    world.watch._sleep = table.sleep
    async with running(world.watch.run):
        await table.until(5, tasks=2)
    assert looks == [0, 1, 2, 3, 4, 5]


async def test_when_all_actions_are_used_up_orders_leave_ten_seconds_apart() -> None:
    clock = VirtualClock(0)
    table = Timetable(clock)
    allowance, left = ActionCount(clock, table.sleep), list[float]()
    allowance.learn(used=10_000, cap=10_000)

    async def leave() -> None:
        await allowance.turn()
        left.append(clock.monotonic())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(leave())
        for _ in range(2):
            await table.wake(tasks=1)
    assert left == [0, 10, 20]
