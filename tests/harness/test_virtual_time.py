"""In virtual time hours are over at once, in order, and nothing that is under way outside is overtaken."""

import asyncio
import time

import pytest

from tests.virtual import LoopClock, VirtualLoop
from tradebot.model.time import NANOS_PER_S

pytestmark = pytest.mark.virtual_time
HOUR_S = 3600.0


async def test_hours_are_over_at_once_and_in_order() -> None:
    clock, over, began = LoopClock(), list[float](), time.monotonic()

    async def sleeper(hours: float) -> None:
        await asyncio.sleep(hours * HOUR_S)
        over.append(hours)

    before = clock.now()
    await asyncio.gather(*(sleeper(hours) for hours in (3, 1, 2)))
    assert over == [1, 2, 3]
    assert clock.now() - before >= 3 * HOUR_S * NANOS_PER_S
    assert time.monotonic() - began < HOUR_S


async def test_a_deadline_is_met() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HOUR_S):
            await asyncio.Event().wait()


async def test_a_thread_at_work_is_waited_for() -> None:
    async with asyncio.timeout(HOUR_S):
        assert await asyncio.to_thread(sum, range(10**6)) == 499999500000


async def test_an_answer_on_a_socket_comes_before_the_deadline_for_it() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        for _ in range(20):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"well\n")
            async with asyncio.timeout(1):
                assert await reader.readline() == b"well\n"
            writer.close()
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(5)
        assert asyncio.get_running_loop().time() - before >= 5


async def test_what_holds_the_loop_up_lets_time_pass() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    before = loop.time()
    loop.hold(HOUR_S)
    assert loop.time() - before >= HOUR_S
