"""The budget keeps room for exits, retries end, and no two bots come back in step."""

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.model.errors import Rejected, Unavailable
from tradebot.model.time import NANOS_PER_S
from tradebot.runtime.clock import VirtualClock
from tradebot.venues.backoff import Backoff
from tradebot.venues.resilience import Policy, Purpose, RateLimited, RequestBudget, Resilience


class World:
    """A clock that a sleep moves, and the list of all sleeps."""

    def __init__(self, **policy: int) -> None:
        self.clock = VirtualClock(0)
        self.slept: list[float] = []
        self.resilience = Resilience(Policy(**policy), self.clock, self.sleep, seed=1)

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


@pytest.mark.parametrize(("purpose", "waits"), [(Purpose.PROTECT, 1), (Purpose.TRADE, 10), (Purpose.WATCH, 10)])
async def test_a_refusal_for_too_many_requests_stops_all_and_what_protects_for_a_second(
    purpose: Purpose, waits: int
) -> None:
    world = World()
    with pytest.raises(RateLimited):
        await world.resilience.once(
            failing(1, lambda: RateLimited("429", after_s=10)),
            weight=1,
            purpose=Purpose.PROTECT,
        )
    await world.resilience.admit(1, purpose)
    assert waits <= world.clock.monotonic() <= 2 * waits + 20


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(list(Purpose)), st.floats(0, 5)), max_size=150))
def test_no_minute_carries_more_than_the_limit_and_exits_keep_their_reserve(
    requests: list[tuple[int, Purpose, float]],
) -> None:
    policy = Policy()
    budget = RequestBudget(policy, 0.0)
    now, sent = 0.0, list[tuple[float, int, Purpose]]()
    for weight, purpose, pause in requests:
        now += pause
        if budget.wait_s(weight, purpose, now) == 0:
            budget.charge(weight, purpose, now)
            sent.append((now, weight, purpose))
            if purpose is not Purpose.PROTECT:
                assert budget.left(now) >= policy.reserve(purpose) - 1
    for start, _, _ in sent:
        window = [(w, p) for at, w, p in sent if start <= at < start + 60]
        # A full bucket and what comes back within the minute.
        assert sum(w for w, _ in window) <= 2 * policy.weight_per_minute
        assert sum(w for w, p in window if p is Purpose.WATCH) <= 2 * policy.watch_per_minute


@given(weight=st.integers(1, 5000), purpose=st.sampled_from(list(Purpose)))
def test_every_request_is_admitted_in_the_end(weight: int, purpose: Purpose) -> None:
    budget = RequestBudget(Policy(), 0.0)
    budget.charge(1200, Purpose.PROTECT, 0.0)
    wait = budget.wait_s(weight, purpose, 0.0)
    assert wait <= 61
    assert budget.wait_s(weight, purpose, wait + 0.001) == 0


@given(st.integers(1, 10**6), st.integers(0, 2**32))
def test_a_delay_is_never_longer_than_the_cap_nor_shorter_than_half(attempt: int, seed: int) -> None:
    backoff = Backoff(0.25, 30.0, seed)
    longest = min(30.0, 0.25 * 2.0 ** min(attempt - 1, 60))
    assert longest / 2 <= backoff.delay_s(attempt) <= longest


def test_bots_with_other_seeds_come_back_at_other_times() -> None:
    assert len({Backoff(1.0, 30.0, seed).delay_s(5) for seed in range(100)}) == 100
