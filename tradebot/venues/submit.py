"""Orders that exist at most once at the venue, whatever is lost, late, doubled or killed.

The signed bytes of an action are durable before the first of them leaves. They name one nonce, and the venue
executes a nonce once: sending the identical bytes again is safe, signing anew never is. What the outcome is
says only proof:

- a reply that lists the orders one by one;
- the order seen at the venue: by status, among the open ones, in the history or the fills;
- a ``noop`` with the same nonce that succeeded, where there is one: the action had not landed, and now never can;
- two looks at the venue that find nothing, each after a read stamped by *venue* time later than the expiry of
  the action plus a margin for lagging replicas, the second a while after the first.

That is the protocol where the venue takes signed bytes once and lets them expire. Where it refuses a client order id
that it has, the same request goes again while a look proves that the first is still remembered; where it does neither,
a request goes once. There what is under way ends a while after the first look behind its last sending, and a refusal
proves nothing while an earlier sending may still come. ``Rules.of`` says which, by the venue's capabilities.

A refusal of the whole action, an answer that cannot be read, a timeout or a local clock prove nothing. Crash
anywhere: what is durable and not settled is looked for and settled by the same rules.

``Submission`` decides and does nothing; ``Submitter`` carries out over ``Ports``, without a clock, a socket
or an event loop of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol, assert_never

from tradebot.backoff import Backoff
from tradebot.model.errors import InvariantError
from tradebot.model.venue import (
    Capabilities,
    Intent,
    LegOutcome,
    Never,
    Once,
    Phase,
    Refusal,
    Settled,
    Sighting,
    Unclear,
    Verdict,
    why_not_live,
)


@dataclass(frozen=True, slots=True)
class ActionReply:
    """The answer to one request. ``refusal``: it was refused whole; else ``legs`` are its outcomes in order."""

    legs: tuple[LegOutcome, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class VenueLook:
    """A look at the venue: ``stamp_ms`` is the venue's time of a read made *before* the orders were looked for.

    ``found`` holds the orders seen, by cloid. A look in which any read failed is no view.
    """

    stamp_ms: int | None
    found: Mapping[str, Sighting]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The numbers of the protocol, in milliseconds. ``margin_ms`` must exceed the lag of any replica.

    ``ttl_ms``: for how long a request executes or, with ``arrival_ms``, may be sent again. ``arrival_ms``: how long
    after it left it may still be executed, where nothing that was signed says so. ``has_fence``: a noop may take its
    nonce.
    """

    ttl_ms: int = 12_000
    arrival_ms: int | None = None
    margin_ms: int = 5_000
    spacing_ms: int = 3_000
    max_sends: int = 8
    first_pause_ms: int = 500
    longest_pause_ms: int = 5_000
    longest_urgent_ms: int = 2_000
    has_fence: bool = True

    @classmethod
    def of(cls, can: Capabilities) -> "Rules":
        """Return the numbers by which ``can`` keeps an order from existing twice. Raises ``InvariantError`` if none do.

        Signed bytes go again until they expire, and a noop with their nonce may settle them. An id that is refused
        when it is repeated goes again as long as it is. All else goes once, and is looked for until it can no longer
        come.
        """
        lag_ms, arrival_ms = int(can.lag_s * 1000), int((can.arrival_s or 0) * 1000)
        # Both ends of what is under way are known by answers that lag.
        unsigned = cls(ttl_ms=0, arrival_ms=arrival_ms, margin_ms=2 * lag_ms, max_sends=1, has_fence=False)
        match can.once:
            case Once.SAME_BYTES:
                return cls(ttl_ms=int((can.expiry_s or 0) * 1000), margin_ms=lag_ms)
            case Once.REFUSED_ID:
                return replace(unsigned, ttl_ms=int(can.resend_s * 1000), max_sends=_ALWAYS)
            case Once.PROVEN_ABSENCE:
                return unsigned
            case None:
                raise InvariantError(why_not_live(can))
            case _ as never:
                assert_never(never)


_ALWAYS = 1 << 30


class Step(StrEnum):
    """What to do next for an intent whose outcome is not known."""

    SEND = "send"
    LOOK = "look"
    FENCE = "fence"
    PAUSE = "pause"
    DONE = "done"


# Texts after which sending the same bytes again cannot help.
_POINTLESS = frozenset({Verdict.DUPLICATE, Verdict.EXPIRED, Verdict.NOT_PERMITTED, Verdict.REJECTED})
# Texts after which nothing that this key signs can help, a fence no more than the rest.
_UNSIGNED = frozenset({Verdict.NOT_PERMITTED})
_UNPROVEN = frozenset({Verdict.UNKNOWN, Verdict.DUPLICATE, Verdict.GONE})


@dataclass(slots=True)
class Submission:
    """One intent on its way to an outcome: what happened goes in, the next step comes out."""

    intent: Intent
    rules: Rules
    is_resumed: bool = False
    settled: Settled | None = None
    _sends: int = 0
    _looks: int = 0
    _is_pointless: bool = False
    _may_fence: bool = field(init=False)
    _has_executed: bool = False
    _refusal: str = ""
    _stamp: int | None = None
    _left_by: int | None = None
    _has_paused: bool = False
    _absent_since: int | None = None
    _known: dict[str, LegOutcome | Sighting] = field(default_factory=dict)
    _queue: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._may_fence = self.rules.has_fence
        # After a crash nobody knows whether bytes left; look before anything else.
        self._queue.append(Step.LOOK if self.is_resumed else Step.SEND)
        if self.rules.arrival_ms is not None:
            self._sends = int(self.is_resumed)

    def next(self, local_ms: int) -> Step:
        """Return the next step. The local clock only paces; it proves nothing."""
        if self.settled is not None:
            return Step.DONE
        if self._queue:
            return self._queue.pop()
        self._queue.append(Step.LOOK)
        if self.rules.arrival_ms is not None:
            return self._next_by_looks()
        if local_ms < self.intent.expires_ms and self._may_send:
            self._queue += (Step.SEND, Step.PAUSE)
        elif self._may_fence and self.intent.is_urgent and not (self._has_executed or self._looks % 2):
            self._queue += (Step.FENCE, Step.PAUSE)
        else:
            self._queue.append(Step.PAUSE)
        return self._queue.pop()

    @property
    def _may_send(self) -> bool:
        return not (self._is_pointless or self._has_executed) and self._sends < self.rules.max_sends

    def _next_by_looks(self) -> Step:
        """Send again only right behind a look that says how late it is there: an id is not refused for ever."""
        is_in_time = self._stamp is not None and self._stamp < self.intent.expires_ms
        may_send = self._has_paused and is_in_time and self._may_send
        self._has_paused = not may_send
        return Step.SEND if may_send else Step.PAUSE

    @property
    def pause_ms(self) -> int:
        """How long the next pause is: doubling, up to the longest; what protects does not wait for long."""
        rules = self.rules
        longest = (
            min(rules.longest_urgent_ms, rules.longest_pause_ms) if self.intent.is_urgent else rules.longest_pause_ms
        )
        pauses = Backoff(rules.first_pause_ms / 1_000, longest / 1_000)
        return round(pauses.delay_s(self._looks + self._sends + 1) * 1_000)

    def answered(self, reply: ActionReply) -> None:
        """Take the reply to one sending."""
        self._sent()
        if reply.refusal is not None:
            self._refusal = reply.refusal.text
            self._is_pointless |= reply.refusal.verdict in _POINTLESS
            self._may_fence &= reply.refusal.verdict not in _UNSIGNED
            self._queue = [Step.LOOK]
            return
        self._has_executed = True
        for cloid, leg in zip(self.intent.cloids, reply.legs, strict=True):
            if isinstance(leg, Refusal) and self.rules.arrival_ms is not None and self._sends > 1:
                # It is of this sending; another one may still come.
                self._refusal = leg.text
            elif not (isinstance(leg, Unclear) or (isinstance(leg, Refusal) and leg.verdict in _UNPROVEN)):
                self._known.setdefault(cloid, leg)
        self._settle_if_known()

    def unanswered(self) -> None:
        """One sending got no answer, or none that can be read: it may have landed."""
        self._sent()
        self._queue = [Step.LOOK]

    def _sent(self) -> None:
        self._sends += 1
        self._left_by = self._absent_since = None

    def fenced(self, reply: ActionReply | None) -> None:
        """Take the reply to a noop with our nonce."""
        if reply is not None and reply.refusal is None:
            self._settle()
        elif reply is not None and reply.refusal is not None:
            self._may_fence &= reply.refusal.verdict not in _UNSIGNED

    def looked(self, view: VenueLook | None) -> None:
        """Take what a look at the venue found; ``None`` when it failed."""
        self._looks += 1
        self._stamp = None if view is None else view.stamp_ms
        if view is None:
            return
        for cloid, sighting in view.found.items():
            # A word we cannot read shows that the order exists, not what it is.
            self._has_executed = True
            if sighting.phase is not Phase.UNKNOWN:
                self._known.setdefault(cloid, sighting)
        self._settle_if_known()
        if self.settled is None:
            self._count_absence(view)

    def _count_absence(self, view: VenueLook) -> None:
        if any(cloid in view.found for cloid in self.intent.cloids if cloid not in self._known):
            self._absent_since = None
            return
        stamp = view.stamp_ms
        if stamp is None or stamp <= self._over_ms(stamp) + self.rules.margin_ms:
            return
        if self._absent_since is None:
            self._absent_since = stamp
        elif stamp >= self._absent_since + self.rules.spacing_ms:
            self._settle()

    def _over_ms(self, stamp: int) -> int:
        """Return the venue time after which nothing of it is under way; ``stamp`` is of a look after all sendings."""
        if self.rules.arrival_ms is None:
            return self.intent.expires_ms
        if self._left_by is None:
            self._left_by = stamp
        return self._left_by + self.rules.arrival_ms

    def _settle_if_known(self) -> None:
        if len(self._known) == len(self.intent.cloids):
            self._settle()

    def _settle(self) -> None:
        legs = tuple(self._known.get(cloid, Never()) for cloid in self.intent.cloids)
        self.settled = Settled(self.intent.nonce, legs, self._refusal)


class Ports(Protocol):
    """What the protocol needs of the world."""

    def local_ms(self) -> int:
        """Return the time in epoch milliseconds as well as it is known here; nothing is proven by it."""
        ...

    async def record(self, entry: Intent | Settled) -> None:
        """Return when ``entry`` is durable. Runs to its end even when the caller is cancelled.

        Recording the same entry again waits for the same row.
        """
        ...

    async def send(self, intent: Intent) -> ActionReply | None:
        """Send the bytes of ``intent``; ``None`` when there was no answer that can be read."""
        ...

    async def fence(self, nonce: int) -> ActionReply | None:
        """Send a signed noop with ``nonce``; ``None`` as for ``send``."""
        ...

    async def look(self, intent: Intent) -> VenueLook | None:
        """Look for the orders of ``intent`` wherever the venue lists orders; ``None`` when any read failed."""
        ...

    async def sleep(self, ms: int) -> None:
        """Wait."""
        ...


class Submitter:
    """Carries intents to their outcome, over ``Ports``."""

    __slots__ = ("_ports", "_rules", "_unsettled")

    def __init__(self, ports: Ports, rules: Rules | None = None) -> None:
        self._ports = ports
        self._rules = rules or Rules()
        self._unsettled: dict[int, tuple[Intent, int]] = {}

    @property
    def rules(self) -> Rules:
        """The numbers of the protocol."""
        return self._rules

    def unsettled(self) -> Mapping[int, tuple[Intent, int]]:
        """Return the intents without an outcome, and since when by the local clock, by nonce."""
        return self._unsettled

    async def place(self, intent: Intent) -> Settled:
        """Make ``intent`` durable, send it, and return its outcome when that is proven and durable."""
        return await self._carry(intent, is_resumed=False)

    async def resume(self, intent: Intent) -> Settled:
        """Settle an intent that a crash or a cancelled task left behind."""
        return await self._carry(intent, is_resumed=True)

    async def _carry(self, intent: Intent, *, is_resumed: bool) -> Settled:
        ports = self._ports
        self._unsettled.setdefault(intent.nonce, (intent, ports.local_ms()))
        # Also when resumed: a task cancelled in mid-write must not send before the row is there.
        await ports.record(intent)
        submission = Submission(intent, self._rules, is_resumed)
        while (step := submission.next(ports.local_ms())) is not Step.DONE:
            await self._do(step, submission)
        settled = submission.settled
        if settled is None:
            raise AssertionError("a submission that is done has an outcome")
        await ports.record(settled)
        del self._unsettled[intent.nonce]
        return settled

    async def _do(self, step: Step, submission: Submission) -> None:
        match step:
            case Step.SEND:
                reply = await self._ports.send(submission.intent)
                if reply is None:
                    submission.unanswered()
                else:
                    submission.answered(reply)
            case Step.FENCE:
                submission.fenced(await self._ports.fence(submission.intent.nonce))
            case Step.LOOK:
                submission.looked(await self._ports.look(submission.intent))
            case _:
                await self._ports.sleep(submission.pause_ms)
