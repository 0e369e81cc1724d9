"""The line: every message has a route, and both ways to run it are the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.message import KINDS
from tradebot.model.order import CancelOrder
from tradebot.model.signal import StrategyDisabled
from tradebot.model.time import Nanos, Timeframe
from tradebot.pipeline.line import ROUTES, Line, StageName
from tradebot.runtime.tasks import TASKS, LineRunner


@dataclass(frozen=True)
class Nothing:
    """The state of a scripted stage."""


class Scripted:
    """A stage that answers each message with what the script draws next, and keeps its inbox."""

    STATE = Nothing

    def __init__(self, name: StageName, script: list[list[Message]], seen: list[tuple[str, Message]]) -> None:
        self.name, self.script, self.seen = name, list(script), seen

    def handle(self, message: Message) -> Sequence[Message]:
        self.seen.append((self.name, message))
        return self.script.pop() if self.script else ()

    def save(self) -> Nothing:
        return Nothing()

    def load(self, state: Any) -> None:
        del state


def bar() -> Bar:
    one = Decimal(1)
    return Bar("BTC", Timeframe(60), Nanos(60), one, one, one, one, one)  # type: ignore[arg-type]


MESSAGES = st.sampled_from(
    [
        BarsClosed("BTC", Nanos(60), (bar(),)),
        CancelOrder(ts_event=Nanos(1), client_order_id="a", symbol="BTC", reason=""),
        StrategyDisabled(ts_event=Nanos(2), strategy="s", symbol="BTC", reason=""),
    ]
)
SCRIPTS = st.fixed_dictionaries({name: st.lists(st.lists(MESSAGES, max_size=3), max_size=3) for name in StageName})


def scripted_line(
    scripts: dict[StageName, list[list[Message]]],
) -> tuple[Line, list[tuple[str, Message]], list[Message]]:
    seen: list[tuple[str, Message]] = []
    recorded: list[Message] = []
    stages = {name: Scripted(name, scripts[name], seen) for name in StageName}
    return Line(stages, dict.fromkeys(KINDS.values(), recorded.append)), seen, recorded


def test_every_kind_of_message_has_a_route() -> None:
    assert set(ROUTES) == set(KINDS.values())


def test_every_stage_belongs_to_exactly_one_task() -> None:
    assert sorted(stage for stages in TASKS.values() for stage in stages) == sorted(StageName)


@given(SCRIPTS)
def test_a_turn_and_the_tasks_do_exactly_what_the_pump_does(scripts: dict[StageName, list[list[Message]]]) -> None:
    line, seen, recorded = scripted_line(scripts)
    line.pump(bar())

    stepped, seen_by_steps, recorded_by_steps = scripted_line(scripts)
    turn = stepped.turn(bar())
    while turn.owner() is not None:
        turn.owner()
        turn.step()

    tasked, seen_by_tasks, recorded_by_tasks = scripted_line(scripts)
    asyncio.run(through_tasks(tasked))

    assert seen == seen_by_steps == seen_by_tasks
    assert recorded == recorded_by_steps == recorded_by_tasks


async def no_wait() -> None:
    await asyncio.sleep(0)


async def through_tasks(line: Line) -> None:
    runner = LineRunner(line, no_wait)
    async with asyncio.TaskGroup() as group:
        for task in runner.tasks:
            group.create_task(task.run(lambda: None))
        await runner.run(bar())
        for task in runner.tasks:
            task.close()


class Broken(Scripted):
    def handle(self, message: Message) -> list[Message]:
        raise ArithmeticError(self.name)


async def test_an_error_in_a_lent_stage_is_raised_by_the_task_that_owns_it() -> None:
    stages = {name: (Broken if name is StageName.RISK else Scripted)(name, [], []) for name in StageName}
    stages[StageName.BARS].script.append([BarsClosed("BTC", Nanos(60), (bar(),))])
    runner = LineRunner(Line(stages), no_wait)
    running = {task.name: asyncio.create_task(task.run(lambda: None)) for task in runner.tasks}
    turn = asyncio.create_task(runner.run(bar()))
    done, _ = await asyncio.wait({turn, *running.values()}, return_when=asyncio.FIRST_COMPLETED)
    assert done == {running["risk"]}
    with pytest.raises(ArithmeticError):
        running["risk"].result()
    for task in (turn, *running.values()):
        task.cancel()
    await asyncio.wait({turn, *running.values()})
