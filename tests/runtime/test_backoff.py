"""The one backoff: doubling waits, with chance from a seed, as tenacity's strategy and asked by attempt."""

from hypothesis import given
from hypothesis import strategies as st
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tradebot.backoff import Backoff


@given(st.integers(1, 10**6))
def test_without_a_seed_a_wait_is_all_of_its_time(attempt: int) -> None:
    assert Backoff(0.5, 30.0).delay_s(attempt) == min(30.0, 0.5 * 2.0 ** min(attempt - 1, 60))


@given(st.integers(0, 2**32), st.lists(st.integers(1, 50), min_size=1))
def test_one_seed_draws_the_same_waits_again(seed: int, attempts: list[int]) -> None:
    first, second = Backoff(0.25, 30.0, seed), Backoff(0.25, 30.0, seed)
    assert [first.delay_s(n) for n in attempts] == [second.delay_s(n) for n in attempts]


async def test_tenacity_waits_as_long_as_is_said_by_attempt() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def fail() -> None:
        raise TimeoutError

    retrying = AsyncRetrying(
        sleep=sleep,
        wait=Backoff(1.0, 8.0, seed=7),
        retry=retry_if_exception_type(TimeoutError),
        stop=stop_after_attempt(6),
        retry_error_callback=lambda state: None,
    )
    await retrying(fail)
    asked = Backoff(1.0, 8.0, seed=7)
    assert slept == [asked.delay_s(attempt) for attempt in range(1, 6)]
