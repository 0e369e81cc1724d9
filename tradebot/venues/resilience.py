"""How we behave towards a venue that is slow, full or gone: one policy for retries, request weight and reconnects.

Time, sleep and chance are given, so that a whole outage can pass in a test within a millisecond.
"""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tradebot.backoff import Backoff
from tradebot.model.errors import Unavailable
from tradebot.model.logevent import LogEvent
from tradebot.model.venue import Purpose
from tradebot.ports import Clock, Sent, SentLog

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_MINUTE_S = 60.0
# A venue that allows 1,200 of weight in a minute allows 30 new sockets.
_WEIGHT_PER_SOCKET = 40


class RateLimited(Unavailable):
    """The venue turned a request away, or would: this address has used up the weight of a minute.

    ``wait_s`` is after how long it may be asked again.
    """

    def __init__(self, what: str, *, where: str = "", wait_s: float = _MINUTE_S) -> None:
        mend = f"wait {wait_s:.0f} s, then ask again; other programs on this address share the limit"
        super().__init__(what, where=where, mend=mend)


_URGENCY = tuple(Purpose)
_BY_NAME = {purpose.value: purpose for purpose in Purpose}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers of the policy. Weights are the venue's units of request cost, counted over any 60 seconds.

    A request counts until 60 s after it can have arrived: ``travel_s`` after it left. Each purpose has a share of the
    weight that no less urgent one takes; ``protect_least`` is left to what protects however much it had already. The
    continuous comparison gets no more than its share. A request that would wait longer than ``patience_s`` fails
    instead. After a refusal what protects waits for ``base_s``, doubling to ``urgent_cap_s``; all else for
    ``limited_base_s``, doubling to ``limited_cap_s``.
    """

    weight_per_minute: int = 1200
    travel_s: float = 4.0
    patience_s: float = math.inf
    attempts: int = 5
    base_s: float = 0.25
    cap_s: float = 30.0
    reconnect_cap_s: float = 6.0
    deadline_s: float = 60.0
    urgent_cap_s: float = 2.0
    limited_base_s: float = 1.0
    limited_cap_s: float = 10.0

    @property
    def span_s(self) -> float:
        """How long a request counts from when it left."""
        return _MINUTE_S + self.travel_s

    @property
    def protect_least(self) -> int:
        """What is left to what protects a position, always."""
        return self.weight_per_minute // 8

    def share(self, purpose: Purpose) -> int:
        """Return the weight that ``purpose`` may count on in any minute."""
        parts = {Purpose.PROTECT: 3, Purpose.TRADE: 24, Purpose.WATCH: 4}
        return self.weight_per_minute // parts[purpose] if purpose in parts else 0


class MemoryLog:
    """What this process sent, forgotten with it."""

    __slots__ = ("_sent", "_span_s")

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._sent: list[Sent] = []

    def update(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
        """Let ``decide`` see what counts at ``now_s``, and add what it returns."""
        self._sent = [sent for sent in self._sent if sent.at_s > now_s - self._span_s]
        self._sent += decide(self._sent)


class RequestBudget:
    """The weight of requests that may be sent, by a log of what left: of all daemons that share ``log``."""

    __slots__ = ("_log", "_policy")

    def __init__(self, policy: Policy, log: SentLog) -> None:
        self._policy, self._log = policy, log

    def take(self, weight: int, purpose: Purpose, now_s: float) -> float:
        """Count a request that is sent now and return 0; or return how long it must wait, seconds."""
        wait_s = 0.0

        def decide(seen: Sequence[Sent]) -> Sequence[Sent]:
            nonlocal wait_s
            wait_s = self._wait_s(seen, weight, purpose, now_s)
            return () if wait_s > 0 else (Sent(now_s, weight, purpose),)

        self._log.update(now_s, decide)
        return wait_s

    def give_back(self, weight: int, purpose: Purpose, sent_s: float, now_s: float) -> None:
        """Give back what a request that left at ``sent_s`` did not cost after all."""
        if weight:
            self._log.update(now_s, lambda _seen: (Sent(sent_s, -weight, purpose),))

    def left(self, now_s: float) -> int:
        """Return the weight left; for status."""
        used = 0

        def look(seen: Sequence[Sent]) -> Sequence[Sent]:
            nonlocal used
            used = sum(sent.weight for sent in seen)
            return ()

        self._log.update(now_s, look)
        return max(0, self._policy.weight_per_minute - used)

    def _wait_s(self, seen: Sequence[Sent], weight: int, purpose: Purpose, now_s: float) -> float:
        # What another user of this machine says he sent must not keep us from protecting: the venue may be asked.
        counted = [sent for sent in seen if sent.is_own] if purpose is Purpose.PROTECT else seen
        used = dict.fromkeys(_URGENCY, 0)
        for sent in counted:
            used[_purpose(sent)] += sent.weight
        wait_s = 0.0
        for sent in () if self._fits(used, weight, purpose) else sorted(counted):
            if self._fits(used, weight, purpose):
                break
            used[_purpose(sent)] -= sent.weight
            wait_s = sent.at_s + self._policy.span_s - now_s
        return wait_s

    def _fits(self, used: Mapping[Purpose, int], weight: int, purpose: Purpose) -> bool:
        policy, total = self._policy, sum(used.values())
        if purpose is Purpose.WATCH and used[purpose] > 0 and used[purpose] + weight > policy.share(purpose):
            return False
        # One that is dearer than all there can be waits for an empty minute, not for ever.
        return total <= 0 or total + weight + self._kept(used, purpose) <= policy.weight_per_minute

    def _kept(self, used: Mapping[Purpose, int], purpose: Purpose) -> int:
        """Return what more urgent purposes have not used of their shares."""
        policy = self._policy
        urgent = _URGENCY[: _URGENCY.index(purpose)]
        kept = {one: max(0, policy.share(one) - used[one]) for one in urgent}
        if Purpose.PROTECT in kept:
            kept[Purpose.PROTECT] = max(kept[Purpose.PROTECT], policy.protect_least)
        return sum(kept.values())


def _purpose(sent: Sent) -> Purpose:
    # Another version of this program may have purposes that we do not know.
    return _BY_NAME.get(sent.purpose, Purpose.HISTORY)


class Refusals:
    """How long nothing is asked after the venue turned requests away: longer each time, until it takes one."""

    __slots__ = ("_all", "_all_until", "_at_s", "_count", "_urgent", "_urgent_until")

    def __init__(self, policy: Policy, seed: int) -> None:
        self._urgent = Backoff(policy.base_s, policy.urgent_cap_s, seed)
        self._all = Backoff(policy.limited_base_s, policy.limited_cap_s, seed ^ 2)
        self._count = 0
        self._at_s = self._urgent_until = self._all_until = -math.inf

    def refused(self, sent_s: float, now_s: float) -> None:
        """Take note that a request that left at ``sent_s`` was turned away."""
        # Those that were on the way together are one refusal.
        if sent_s > self._at_s:
            self._count += 1
            self._at_s = now_s
            self._urgent_until = now_s + self._urgent.delay_s(self._count)
            self._all_until = now_s + self._all.delay_s(self._count)

    def served(self, sent_s: float) -> None:
        """Take note that a request that left at ``sent_s`` was answered."""
        if sent_s > self._at_s:
            self._count = 0

    def wait_s(self, purpose: Purpose, now_s: float) -> float:
        """Return how long a request must wait; 0 or less when not."""
        return (self._urgent_until if purpose is Purpose.PROTECT else self._all_until) - now_s


class Tell(Protocol):
    """Logs an event with its fields."""

    def __call__(self, event: LogEvent, level: str = "info", **fields: object) -> None:
        """Log it."""
        ...


class Resilience:
    """The one policy object: asks the budget, waits, retries what may be repeated, and times reconnects.

    ``log`` is what left for the venue, ``sockets`` what was opened to it; by default this process is alone. ``tell``
    hears of each wait and refusal.
    """

    def __init__(
        self,
        policy: Policy,
        clock: Clock,
        sleep: Sleep,
        seed: int,
        *,
        log: SentLog | None = None,
        sockets: SentLog | None = None,
        tell: Tell = lambda event, level="info", **fields: None,
    ) -> None:
        self.policy = policy
        self.requests = RequestBudget(policy, MemoryLog(policy.span_s) if log is None else log)
        opened = Policy(weight_per_minute=policy.weight_per_minute // _WEIGHT_PER_SOCKET)
        self._sockets = RequestBudget(opened, MemoryLog(opened.span_s) if sockets is None else sockets)
        self.reconnect = Backoff(policy.base_s * 2, policy.reconnect_cap_s, seed ^ 1)
        self._refusals = Refusals(policy, seed ^ 3)
        self._retry = Backoff(policy.base_s, policy.cap_s, seed)
        self._clock = clock
        self._sleep = sleep
        self._tell = tell

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._sleep(seconds)

    async def admit(self, weight: int, purpose: Purpose, what: str = "") -> float:
        """Return when a request of ``weight`` may be sent, and count it; the moment, in monotonic seconds.

        Raises ``RateLimited`` when that would take longer than the policy's patience.
        """
        began, is_told = self.now(), False
        while True:
            now = self.now()
            wait_s = self._refusals.wait_s(purpose, now)
            if wait_s <= 0:
                wait_s = self.requests.take(weight, purpose, now)
            if wait_s <= 0:
                return now
            if now + wait_s - began > self.policy.patience_s:
                raise RateLimited(
                    f"this machine has used up its requests of a minute; the next may go in {wait_s:.0f} s",
                    wait_s=wait_s,
                )
            # Others may be quicker when the time has come; to wait a moment longer is no news.
            if not is_told or wait_s >= 1.0:
                is_told = True
                self._tell(LogEvent.REQUEST_WAITED, what=what, purpose=purpose, weight=weight, wait_s=round(wait_s, 3))
            await self._sleep(wait_s)

    async def admit_socket(self) -> None:
        """Return when a socket may be opened, and count it."""
        while (wait_s := self._sockets.take(1, Purpose.PROTECT, self.now())) > 0:
            self._tell(
                LogEvent.REQUEST_WAITED, what="socket", purpose=Purpose.PROTECT, weight=1, wait_s=round(wait_s, 3)
            )
            await self._sleep(wait_s)

    async def once(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        weight: int,
        purpose: Purpose,
        what: str = "",
        rows: int = 0,
        cost: Callable[[T], int] = lambda reply: 0,
    ) -> T:
        """Do ``work`` when the budget allows, and never again: for what must not be repeated blindly.

        ``rows`` is the most weight that the rows of the reply may cost, ``cost`` what they did. ``what`` is logged.
        """
        sent_s = await self.admit(weight + rows, purpose, what)
        try:
            reply = await work()
        except RateLimited as error:
            now = self.now()
            self._refusals.refused(sent_s, now)
            self.requests.give_back(rows, purpose, sent_s, now)
            wait_s = round(max(0.0, self._refusals.wait_s(purpose, now)), 3)
            self._tell(LogEvent.REQUEST_LIMITED, "warning", what=what, purpose=purpose, wait_s=wait_s, error=error.what)
            raise
        self._refusals.served(sent_s)
        self.requests.give_back(rows - cost(reply), purpose, sent_s, self.now())
        return reply

    async def repeated(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        weight: int,
        purpose: Purpose,
        what: str = "",
        rows: int = 0,
        cost: Callable[[T], int] = lambda reply: 0,
    ) -> T:
        """Do ``work``, which only reads, again while the venue is ``Unavailable``, within the policy's limits.

        Raises the last error. All others end it at once.
        """
        ends = self.now() + self.policy.deadline_s
        retrying = AsyncRetrying(
            sleep=self._sleep,
            retry=retry_if_exception_type(Unavailable),
            wait=self._retry,
            stop=lambda state: state.attempt_number >= self.policy.attempts or self.now() >= ends,
            before_sleep=partial(self._tell_of_retry, what, purpose),
            reraise=True,
        )
        return await retrying(self.once, work, weight=weight, purpose=purpose, what=what, rows=rows, cost=cost)

    def _tell_of_retry(self, what: str, purpose: Purpose, state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        self._tell(
            LogEvent.REQUEST_RETRIED,
            what=what,
            purpose=purpose,
            attempt=state.attempt_number,
            wait_s=round(state.upcoming_sleep, 3),
            error=str(error),
        )
