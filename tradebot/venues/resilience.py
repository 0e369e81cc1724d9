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
    continuous comparison may use. ``budget_reserve`` actions of the address are kept for exits. A refusal stops us for
    ``limited_s``, and what protects a position for ``protect_limited_s``: a second gives weight for twenty actions.
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
    budget_reserve: int = 500

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


class ActionBudget:
    """The actions an address may still send in its life. Once used up, one each ten seconds goes through."""

    __slots__ = ("_cap", "_next_trickle", "_reserve", "_trickle_s", "_used")

    def __init__(self, reserve: int, trickle_s: float = 10.0) -> None:
        self._reserve = reserve
        self._trickle_s = trickle_s
        self._used = 0
        self._cap: int | None = None
        self._next_trickle = 0.0

    def learn(self, used: int, cap: int) -> None:
        """Take the venue's word on what was used and what is allowed."""
        self._used, self._cap = used, cap

    def allows(self, actions: int, purpose: Purpose, now: float) -> bool:
        """Return whether ``actions`` may be sent. Entries leave the reserve to exits; before ``learn`` all may."""
        if self._cap is None:
            return True
        left = self._cap - self._used
        if purpose is not Purpose.PROTECT:
            return left - actions >= self._reserve
        return left >= actions or now >= self._next_trickle

    def spent(self, actions: int, now: float) -> None:
        """Count ``actions`` that were sent."""
        self._used += actions
        if self._cap is not None and self._used > self._cap:
            self._next_trickle = now + self._trickle_s

    @property
    def left(self) -> int | None:
        """The actions left, or ``None`` before the venue said."""
        return None if self._cap is None else self._cap - self._used


class Resilience:
    """The one policy object: asks the budget, waits, retries what may be repeated, and times reconnects."""

    def __init__(self, policy: Policy, clock: Clock, sleep: Sleep, seed: int) -> None:
        self.policy = policy
        self.requests = RequestBudget(policy, clock.monotonic())
        self.actions = ActionBudget(policy.budget_reserve)
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
