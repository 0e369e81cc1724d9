"""How we behave towards a venue that is slow, full or gone: one policy for retries, request weight and reconnects.

Time, sleep and chance are given, so that a whole outage can pass in a test within a millisecond.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tradebot.model.errors import Unavailable
from tradebot.ports import Clock
from tradebot.venues.backoff import Backoff

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_MINUTE_S = 60.0


class RateLimited(Unavailable):
    """The venue wants no request of ours for ``after_s`` seconds."""

    def __init__(self, what: str, *, after_s: float, where: str = "") -> None:
        super().__init__(what, where=where, mend="it passes; other programs on this address share the limit")
        self.after_s = after_s


class Purpose(StrEnum):
    """What a request is for, the most urgent first."""

    PROTECT = "protect"
    """Cancels, stops, closes, and questions about orders whose outcome is not known."""
    TRADE = "trade"
    """Entries."""
    WATCH = "watch"
    """The continuous comparison with the venue."""
    HISTORY = "history"
    """What can wait: old bars, old fills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers of the policy. Weights are the venue's units of request cost.

    ``reserves`` are the weights that a purpose leaves for more urgent ones; ``watch_per_minute`` is all that
    continuous comparison may use. A refusal stops us for ``limited_s``, and what protects a position for
    ``protect_limited_s``: a second gives weight for twenty actions.
    """

    weight_per_minute: int = 1200
    trade_reserve: int = 200
    watch_reserve: int = 400
    history_reserve: int = 600
    watch_per_minute: int = 300
    attempts: int = 5
    base_s: float = 0.25
    cap_s: float = 30.0
    deadline_s: float = 60.0
    limited_s: float = 10.0
    protect_limited_s: float = 1.0

    def reserve(self, purpose: Purpose) -> int:
        """Return the weight that ``purpose`` must leave."""
        return {
            Purpose.PROTECT: 0,
            Purpose.TRADE: self.trade_reserve,
            Purpose.WATCH: self.watch_reserve,
            Purpose.HISTORY: self.history_reserve,
        }[purpose]


class Bucket:
    """Tokens that come back at ``per_minute``, at most that many at once. May go below zero by ``charge``."""

    __slots__ = ("_capacity", "_level", "_stamp")

    def __init__(self, per_minute: int, now: float) -> None:
        self._capacity = float(per_minute)
        self._level = float(per_minute)
        self._stamp = now

    def level(self, now: float) -> float:
        """Return the tokens there are at ``now``, in monotonic seconds."""
        passed = max(0.0, now - self._stamp)
        self._stamp = now
        self._level = min(self._capacity, self._level + passed * self._capacity / _MINUTE_S)
        return self._level

    def wait_s(self, tokens: float, reserve: float, now: float) -> float:
        """Return how long until ``tokens`` may be taken and ``reserve`` remains; 0 when at once."""
        # A request dearer than all there can be waits for a full bucket, not for ever.
        missing = min(tokens + reserve, self._capacity) - self.level(now)
        return max(0.0, missing * _MINUTE_S / self._capacity)

    def charge(self, tokens: float, now: float) -> None:
        """Take ``tokens``, whether they are there or not."""
        self._level = self.level(now) - tokens

    def drain(self, now: float) -> None:
        """Take all: the venue counts more than we did."""
        self._level = min(self.level(now), 0.0)


class RequestBudget:
    """The weight of requests we may send, with reserves for the urgent, and a stop after a refusal."""

    __slots__ = ("_all", "_blocked_until", "_policy", "_protect_from", "_watch")

    def __init__(self, policy: Policy, now: float) -> None:
        self._policy = policy
        self._all = Bucket(policy.weight_per_minute, now)
        self._watch = Bucket(policy.watch_per_minute, now)
        self._blocked_until = self._protect_from = now

    def wait_s(self, weight: int, purpose: Purpose, now: float) -> float:
        """Return how long a request must wait; 0 when it may be sent at once."""
        begin = self._protect_from if purpose is Purpose.PROTECT else self._blocked_until
        wait = max(begin - now, self._all.wait_s(weight, self._policy.reserve(purpose), now), 0.0)
        return max(wait, self._watch.wait_s(weight, 0, now)) if purpose is Purpose.WATCH else wait

    def charge(self, weight: int, purpose: Purpose, now: float) -> None:
        """Count a request that is sent, or the rows of its reply."""
        self._all.charge(weight, now)
        if purpose is Purpose.WATCH:
            self._watch.charge(weight, now)

    def limited(self, after_s: float, now: float) -> None:
        """Stop for ``after_s``: the venue refused. What protects a position tries again sooner."""
        self._all.drain(now)
        self._blocked_until = max(self._blocked_until, now + after_s)
        self._protect_from = now + min(after_s, self._policy.protect_limited_s)

    def left(self, now: float) -> int:
        """Return the weight left, rounded down; for status."""
        return int(self._all.level(now))


class Resilience:
    """The one policy object: asks the budget, waits, retries what may be repeated, and times reconnects."""

    def __init__(self, policy: Policy, clock: Clock, sleep: Sleep, seed: int) -> None:
        self.policy = policy
        self.requests = RequestBudget(policy, clock.monotonic())
        self.reconnect = Backoff(policy.base_s * 2, policy.cap_s, seed ^ 1)
        self._retry = Backoff(policy.base_s, policy.cap_s, seed)
        self._clock = clock
        self._sleep = sleep

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)

    async def admit(self, weight: int, purpose: Purpose) -> None:
        """Return when a request of ``weight`` may be sent, and count it."""
        while (wait := self.requests.wait_s(weight, purpose, self.now())) > 0:
            await self._sleep(wait)
        self.requests.charge(weight, purpose, self.now())

    async def once(self, work: Callable[[], Awaitable[T]], *, weight: int, purpose: Purpose) -> T:
        """Do ``work`` when the budget allows, and never again: for what must not be repeated blindly."""
        await self.admit(weight, purpose)
        try:
            return await work()
        except RateLimited as error:
            self.requests.limited(error.after_s, self.now())
            raise

    async def repeated(self, work: Callable[[], Awaitable[T]], *, weight: int, purpose: Purpose) -> T:
        """Do ``work``, which only reads, again while the venue is ``Unavailable``, within the policy's limits.

        Raises the last error. All others end it at once.
        """
        ends = self.now() + self.policy.deadline_s
        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception_type(Unavailable),
            wait=self._wait_s,
            stop=lambda state: state.attempt_number >= self.policy.attempts or self.now() >= ends,
            reraise=True,
        )
        return await retrying(self.once, work, weight=weight, purpose=purpose)

    def _wait_s(self, state: RetryCallState) -> float:
        return self._retry.delay_s(state.attempt_number)
