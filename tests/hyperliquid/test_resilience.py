"""The budget keeps room for exits, retries end, and no two bots come back in step."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import VirtualClock
from tradebot.backoff import Backoff
from tradebot.model.errors import Rejected, Unavailable
from tradebot.model.logevent import LogEvent
from tradebot.model.time import NANOS_PER_S
from tradebot.model.venue import Purpose
from tradebot.ports import Sent
from tradebot.venues.resilience import MemoryLog, Policy, RateLimited, RequestBudget, Resilience

pytestmark = pytest.mark.virtual_time


class World:
    """A clock that a sleep moves, and the list of all sleeps."""

    def __init__(self, **policy: Any) -> None:
        self.clock = VirtualClock(0)
        self.slept: list[float] = []
        self.events: list[LogEvent] = []
        self.resilience = Resilience(Policy(**policy), self.clock, self.sleep, seed=1, tell=self.tell)

    def tell(self, event: LogEvent, level: str = "info", **fields: object) -> None:
        assert fields["purpose"] in Purpose
        self.events.append(event)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(max(1, round(seconds * NANOS_PER_S)))


def failing(times: int, error: Callable[[], Exception]) -> Callable[[], Awaitable[str]]:
    left = [times]

    async def work() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise error()
        return "done"

    return work


async def test_a_read_is_repeated_while_the_venue_is_unavailable() -> None:
    world = World()
    done = await world.resilience.repeated(failing(3, lambda: Unavailable("gone")), weight=2, purpose=Purpose.WATCH)
    assert done == "done"
    assert len(world.slept) == 3
    assert world.events == [LogEvent.REQUEST_RETRIED] * 3


async def test_retries_end_after_the_attempts_of_the_policy() -> None:
    world = World(attempts=4)
    with pytest.raises(Unavailable):
        await world.resilience.repeated(failing(99, lambda: Unavailable("gone")), weight=2, purpose=Purpose.WATCH)
    assert len(world.slept) == 3


async def test_a_definite_no_is_never_repeated() -> None:
    world = World()
    with pytest.raises(Rejected):
        await world.resilience.repeated(failing(1, lambda: Rejected("no")), weight=2, purpose=Purpose.WATCH)
    assert world.slept == []


async def test_what_must_not_be_repeated_is_tried_once() -> None:
    world = World()
    with pytest.raises(Unavailable):
        await world.resilience.once(failing(1, lambda: Unavailable("gone")), weight=1, purpose=Purpose.TRADE)
    assert world.slept == []


@pytest.mark.parametrize(("purpose", "least", "most"), [(Purpose.PROTECT, 0.1, 0.25), (Purpose.TRADE, 0.5, 1.0)])
async def test_one_refusal_stops_what_protects_for_a_quarter_second_and_all_else_for_one(
    purpose: Purpose, least: float, most: float
) -> None:
    world = World()
    with pytest.raises(RateLimited):
        await world.resilience.once(failing(1, lambda: RateLimited("429")), weight=1, purpose=Purpose.PROTECT)
    began = world.clock.monotonic()
    await world.resilience.admit(1, purpose)
    assert least <= world.clock.monotonic() - began <= most
    assert world.events[0] == LogEvent.REQUEST_LIMITED
    assert world.events[-1] == LogEvent.REQUEST_WAITED


async def test_refusals_in_a_row_stop_for_longer_and_an_answer_ends_it() -> None:
    world, waits = World(), list[float]()
    for _ in range(8):
        with pytest.raises(RateLimited):
            await world.resilience.once(failing(1, lambda: RateLimited("429")), weight=1, purpose=Purpose.WATCH)
        began = world.clock.monotonic()
        await world.resilience.admit(1, Purpose.WATCH)
        waits.append(world.clock.monotonic() - began)
    assert waits[0] <= 1.0
    assert 5.0 <= waits[-1] <= 10.0
    await world.sleep(1.0)
    assert await world.resilience.once(failing(0, AssertionError), weight=1, purpose=Purpose.WATCH) == "done"
    with pytest.raises(RateLimited):
        await world.resilience.once(failing(1, lambda: RateLimited("429")), weight=1, purpose=Purpose.WATCH)
    began = world.clock.monotonic()
    await world.resilience.admit(1, Purpose.WATCH)
    assert world.clock.monotonic() - began <= 1.0


async def test_what_is_refused_together_is_one_refusal() -> None:
    world = World()

    async def work() -> str:
        await asyncio.sleep(0)
        raise RateLimited("429")

    refused = [world.resilience.once(work, weight=1, purpose=Purpose.HISTORY) for _ in range(30)]
    assert all(isinstance(one, RateLimited) for one in await asyncio.gather(*refused, return_exceptions=True))
    began = world.clock.monotonic()
    await world.resilience.admit(1, Purpose.HISTORY)
    assert world.clock.monotonic() - began <= 1.0


async def test_a_wait_beyond_the_patience_is_an_error_that_says_so() -> None:
    world = World(patience_s=5.0)
    await world.resilience.admit(1200, Purpose.PROTECT)
    with pytest.raises(RateLimited, match="used up its requests"):
        await world.resilience.admit(20, Purpose.HISTORY)
    assert world.slept == []


async def test_what_the_rows_of_a_reply_may_cost_is_given_back_when_they_did_not() -> None:
    world = World()
    budget, now = world.resilience.requests, world.clock.monotonic()
    await world.resilience.once(
        failing(0, AssertionError), weight=20, purpose=Purpose.PROTECT, rows=100, cost=lambda reply: 3
    )
    assert budget.left(now) == 1200 - 23
    with pytest.raises(RateLimited):
        await world.resilience.once(
            failing(1, lambda: RateLimited("429")), weight=20, purpose=Purpose.PROTECT, rows=100
        )
    assert budget.left(now) == 1200 - 43
    await world.sleep(Policy().span_s)
    assert budget.left(world.clock.monotonic()) == 1200


REQUESTS = st.lists(st.tuples(st.integers(1, 120), st.sampled_from(list(Purpose)), st.floats(0, 5)), max_size=150)


@given(REQUESTS, st.floats(0, 4))
def test_no_sixty_seconds_carry_more_than_the_limit_and_each_purpose_keeps_its_share(
    requests: list[tuple[int, Purpose, float]], travel_s: float
) -> None:
    policy = Policy()
    budget = RequestBudget(policy, MemoryLog(policy.span_s))
    now, sent, left_at = 0.0, list[tuple[float, int, Purpose]](), list[tuple[float, int, Purpose]]()
    for number, (weight, purpose, pause) in enumerate(requests):
        now += pause
        if budget.take(weight, purpose, now) == 0:
            used = {one: sum(w for at, w, p in left_at if p is one and at > now - policy.span_s) for one in Purpose}
            for urgent in list(Purpose)[: list(Purpose).index(purpose)]:
                left = policy.weight_per_minute - sum(used.values()) - weight
                assert left >= policy.share(urgent) - used[urgent], "its share is there when it comes"
                assert left >= policy.protect_least
            # Some arrive at once, others as late as they can.
            sent.append((now + (travel_s if number % 2 else 0.0), weight, purpose))
            left_at.append((now, weight, purpose))
    for start, _, _ in sent:
        window = [(w, p) for at, w, p in sent if start <= at < start + 60]
        assert sum(w for w, _ in window) <= policy.weight_per_minute
        assert sum(w for w, p in window if p is Purpose.WATCH) <= max(policy.share(Purpose.WATCH), 120)


@given(weight=st.integers(1, 5000), purpose=st.sampled_from(list(Purpose)))
def test_every_request_is_admitted_in_the_end(weight: int, purpose: Purpose) -> None:
    policy = Policy()
    budget = RequestBudget(policy, MemoryLog(policy.span_s))
    assert budget.take(1200, Purpose.PROTECT, 0.0) == 0
    wait = budget.take(weight, purpose, 0.0)
    assert 0 < wait <= policy.span_s
    assert budget.take(weight, purpose, wait + 0.001) == 0


def test_what_another_user_says_he_sent_keeps_nobody_from_protecting() -> None:
    policy, log = Policy(), MemoryLog(100.0)
    log.update(0.0, lambda seen: [Sent(0.0, 1200, "history", is_own=False), Sent(0.0, 1, "strange")])
    budget = RequestBudget(policy, log)
    assert budget.take(20, Purpose.TRADE, 1.0) > 0
    assert budget.take(20, Purpose.PROTECT, 1.0) == 0


async def test_no_more_than_thirty_sockets_are_opened_in_a_minute() -> None:
    world = World()
    for _ in range(30):
        await world.resilience.admit_socket()
    assert world.slept == []
    await world.resilience.admit_socket()
    assert world.clock.monotonic() >= 60
    assert world.events == [LogEvent.REQUEST_WAITED]


def test_shares_follow_the_weight_that_is_allowed() -> None:
    for weight in (300, 600, 1200):
        policy = Policy(weight_per_minute=weight)
        shares = [policy.share(purpose) for purpose in Purpose]
        assert shares == [weight // 3, weight // 24, weight // 4, 0]
        assert sum(shares) < weight
        assert policy.protect_least == weight // 8


@given(st.integers(1, 10**6), st.integers(0, 2**32))
def test_a_delay_is_never_longer_than_the_cap_nor_shorter_than_half(attempt: int, seed: int) -> None:
    backoff = Backoff(0.25, 30.0, seed)
    longest = min(30.0, 0.25 * 2.0 ** min(attempt - 1, 60))
    assert longest / 2 <= backoff.delay_s(attempt) <= longest


def test_bots_with_other_seeds_come_back_at_other_times() -> None:
    assert len({Backoff(1.0, 30.0, seed).delay_s(5) for seed in range(100)}) == 100
