"""The submit protocol against a hostile venue, in virtual time and from one seed.

A bot wants five orders, each exactly once. Requests and replies are lost, doubled and delayed as long as the venue's
capabilities let them be, replicas lag, the local clock is wrong and jumps, tasks are cancelled, the process is killed
and the machine loses power between any two steps. At the end nothing may live at the venue twice, or unknown to the
journal.

``Submitter`` is the real one, by ``Rules.of`` the capabilities; only its ports are played. A mutant breaks one of them.
"""

import heapq
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from random import Random
from typing import Any

from tests.builders import replace
from tradebot.model.money import Price, Qty
from tradebot.model.venue import (
    Capabilities,
    FilledNow,
    Intent,
    Never,
    Once,
    Phase,
    Refusal,
    Rests,
    Settled,
    Sighting,
    Success,
    Unclear,
    Verdict,
    Waiting,
)
from tradebot.venues.hyperliquid.nonce import Nonces
from tradebot.venues.hyperliquid.seen import Seen
from tradebot.venues.hyperliquid.statuses import verdict_of
from tradebot.venues.hyperliquid.venue import CAPABILITIES
from tradebot.venues.submit import ActionReply, Rules, Submitter, VenueLook

GOALS = 5
ATTEMPTS = 3
EPOCH_MS = 1_700_000_000_000
TIMEOUT_MS = 4_000
MAX_LAG_MS = 3_000
LONGEST_DELAY_MS = 45_000
JUMP_EVERY_MS = 40_000
MAX_CRASHES = 4
END_MS = EPOCH_MS + 3_600_000


def is_never(settled: Settled) -> bool:
    """Whether none of its orders exists: only then may the wish be sent anew."""
    return all(isinstance(leg, Never | Refusal) for leg in settled.legs)


class Mutant(Enum):
    """Ways to get it wrong; each must be found."""

    NONE = "none"
    FRESH_NONCE = "fresh nonce on retry"
    FRESH_ID = "fresh client order id on retry"
    RESEND = "sent again though nothing refuses it"
    LOCAL_CLOCK = "absence by the local clock"
    NO_DURABILITY = "synchronous=NORMAL under power loss"
    NO_DEDUPLICATION = "no fill de-duplication"
    UNSHIELDED = "unshielded journal write"


EVERYWHERE = frozenset({Mutant.LOCAL_CLOCK, Mutant.NO_DURABILITY, Mutant.NO_DEDUPLICATION, Mutant.UNSHIELDED})
MUTANTS: Mapping[Once, frozenset[Mutant]] = {
    Once.SAME_BYTES: EVERYWHERE | {Mutant.FRESH_NONCE},
    Once.REFUSED_ID: EVERYWHERE | {Mutant.FRESH_ID},
    Once.PROVEN_ABSENCE: EVERYWHERE | {Mutant.RESEND, Mutant.FRESH_ID},
}
"""The ways to get it wrong, by how once is kept."""


class Cancelled(BaseException):
    """A task was cancelled."""


@types.coroutine
def suspend(operation: object) -> Generator[object, Any, Any]:
    return (yield operation)


class Gate:
    """Something to wait for."""

    __slots__ = ("is_open", "value", "waiting")

    def __init__(self) -> None:
        self.is_open = False
        self.value: Any = None
        self.waiting: list[tuple[Task, int]] = []

    def open(self, value: Any = None) -> None:
        if not self.is_open:
            self.is_open, self.value = True, value
            for task, epoch in self.waiting:
                task.wake(epoch, value)


class Task:
    """A coroutine that runs in virtual time. What it waits for is a number of milliseconds or a gate."""

    __slots__ = ("_coroutine", "_done", "_epoch", "_world")

    def __init__(self, world: "World", coroutine: Coroutine[Any, Any, None]) -> None:
        self._world, self._coroutine = world, coroutine
        self._epoch, self._done = 0, False
        self.wake(0, None)

    def wake(self, epoch: int, value: Any) -> None:
        if epoch == self._epoch and not self._done:
            self._step(lambda: self._coroutine.send(value))

    def cancel(self) -> None:
        if not self._done:
            self._step(lambda: self._coroutine.throw(Cancelled()))

    def kill(self) -> None:
        self._done = True
        self._coroutine.close()

    def _step(self, run: Callable[[], object]) -> None:
        self._epoch += 1
        epoch = self._epoch
        try:
            operation = run()
        except (StopIteration, Cancelled):
            self._done = True
            return
        if isinstance(operation, int):
            self._world.after(operation, lambda: self.wake(epoch, None))
        elif isinstance(operation, Gate):
            if operation.is_open:
                self._world.after(0, lambda: self.wake(epoch, operation.value))
            else:
                operation.waiting.append((self, epoch))
        if self._world.may_crash():
            self._world.crash()


@dataclass(slots=True)
class Placed:
    """An order at the venue."""

    oid: int
    cloid: str
    at: int
    phase: Phase
    nonce: int


@dataclass(slots=True)
class Venue:
    """The rules as documented: a nonce once and an expiry, a client order id once for a while, or nothing of that."""

    random: Random
    can: Capabilities = CAPABILITIES
    nonces: set[int] = field(default_factory=set)
    orders: list[Placed] = field(default_factory=list)
    by_cloid: dict[str, list[Placed]] = field(default_factory=dict)
    fills: list[tuple[str, str, int]] = field(default_factory=list)

    def act(self, intent: Intent, now: int) -> ActionReply:
        refusal = self._refused(intent, now)
        if refusal is not None:
            return refusal
        chance = self.random.random()
        if chance < 0.04:
            return ActionReply((self._error("Insufficient margin to place order. asset=1"),) * len(intent.cloids))
        legs = tuple(self._place(cloid, index, intent.nonce, now) for index, cloid in enumerate(intent.cloids))
        # The venue learned a new text: it says something unheard of, and the order is there.
        return ActionReply((Unclear("queued"), *legs[1:])) if chance < 0.06 else ActionReply(legs)

    def noop(self, nonce: int, now: int) -> ActionReply:
        return self._admit(nonce, None, now) or ActionReply((Success(),))

    def _refused(self, intent: Intent, now: int) -> ActionReply | None:
        if self.can.once is Once.SAME_BYTES:
            return self._admit(intent.nonce, intent.expires_ms, now)
        if self.random.random() < 0.01:
            return ActionReply(refusal=Refusal("too many requests", Verdict.BUDGET))
        had = [order for cloid in intent.cloids for order in self.by_cloid.get(cloid, ())]
        if any(order.at + self.can.id_memory_s * 1000 >= now for order in had):
            return ActionReply(refusal=Refusal("client order id is taken", Verdict.DUPLICATE))
        return None

    def _admit(self, nonce: int, expires_ms: int | None, now: int) -> ActionReply | None:
        if nonce in self.nonces:
            return ActionReply(refusal=self._error(f"Invalid nonce: duplicate nonce {nonce}"))
        if self.random.random() < 0.01:
            return ActionReply(refusal=self._error("Too many cumulative requests sent (2 > 1)"))
        self.nonces.add(nonce)
        if expires_ms is not None and now > expires_ms:
            return ActionReply(refusal=self._error("Action already expired"))
        return None

    @staticmethod
    def _error(text: str) -> Refusal:
        return Refusal(text, verdict_of(text))

    def _place(self, cloid: str, index: int, nonce: int, now: int) -> Rests | FilledNow | Waiting:
        oid = len(self.orders) + 1
        fills = self.random.random() < 0.5 and index == 0
        order = Placed(oid, cloid, now, Phase.FILLED if fills else Phase.LIVE, nonce)
        self.orders.append(order)
        self.by_cloid.setdefault(cloid, []).append(order)
        if index:
            return Waiting()
        if not fills:
            return Rests(oid)
        for part in range(self.random.randint(1, 2)):
            self.fills.append((f"t{oid}.{part}", cloid, 1))
        return FilledNow(oid, Qty(Decimal(1)), Price(Decimal(1)))


@dataclass(slots=True)
class Disk:
    """What survives: rows written survive a kill, rows synced survive a power cut."""

    written: dict[str, Intent | Settled | tuple[str, int]] = field(default_factory=dict)
    synced: dict[str, Intent | Settled | tuple[str, int]] = field(default_factory=dict)

    def lose_power(self) -> None:
        self.written = dict(self.synced)

    def lose_process(self) -> None:
        self.synced = dict(self.written)


class World:
    """One schedule: a venue, a network, a disk, a clock and a bot, from one seed."""

    def __init__(self, seed: int, mutant: Mutant, can: Capabilities = CAPABILITIES) -> None:
        self.random = Random(seed)
        self.mutant = mutant
        self.now = EPOCH_MS
        self.venue = Venue(self.random, can)
        self.has_expiry = can.once is Once.SAME_BYTES
        self.rules = _rules(can, mutant)
        self.disk = Disk()
        self.crashes = 0
        self.intents = 0
        self.skew = self._new_skew()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._is_crashing = False
        self.is_calm = False
        self.bot = Bot(self)
        self.after(0, self.bot.start)
        if not self.has_expiry:
            self.after(0, self._jump)

    def _jump(self) -> None:
        self.skew = self._new_skew()
        self.after(self.random.randint(0, JUMP_EVERY_MS), self._jump)

    @property
    def longest_delay_ms(self) -> int:
        """How long a request may be under way: as long as it may where nothing that is signed ends it."""
        arrival_ms = self.rules.arrival_ms
        return LONGEST_DELAY_MS if arrival_ms is None else arrival_ms

    def after(self, ms: int, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (self.now + ms, self._count, action))

    def run(self) -> list[str]:
        """Play to the end; return what went wrong."""
        while self._heap and self.now < END_MS:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        return self.verdict()

    def _new_skew(self) -> int:
        return self.random.choice((0, self.random.randint(-30_000, 30_000)))

    def may_crash(self) -> bool:
        return not self._is_crashing and self.crashes < MAX_CRASHES and self.random.random() < 0.03

    def crash(self) -> None:
        self._is_crashing = True
        self.crashes += 1
        is_power_cut = self.random.random() < 0.5
        # The step at hand ends first: a coroutine cannot be closed from within.
        self.after(0, lambda: self._die(is_power_cut))

    def _die(self, is_power_cut: bool) -> None:
        self.bot.kill()
        self.disk.lose_power() if is_power_cut else self.disk.lose_process()
        if self.random.random() < 0.3:
            self.skew = self._new_skew()
        self._is_crashing = False
        self.bot = Bot(self)
        self.after(self.random.randint(200, 20_000), self.bot.start)

    def request(self, deliver: Callable[[], Any]) -> Gate:
        """Carry a request to the venue and its reply back; the gate opens with ``None`` at the timeout."""
        gate, random = Gate(), self.random

        def arrive() -> None:
            reply = deliver()
            if random.random() >= 0.15:
                self.after(random.randint(20, 200), lambda: gate.open(reply))

        if random.random() >= 0.10:
            late = random.random() < 0.08
            longest = self.longest_delay_ms
            self.after(random.randint(5_000, longest) if late else random.randint(20, 300), arrive)
            # Where a refused request may be taken when it comes again, a connection carries it once.
            if random.random() < 0.05 and self.has_expiry:
                self.after(random.randint(0, longest), arrive)
        self.after(TIMEOUT_MS, lambda: gate.open(None))
        return gate

    def verdict(self) -> list[str]:
        """Return what is wrong between the venue, the journal and the books."""
        rows = self.disk.written
        settled = {row.nonce: row for row in rows.values() if isinstance(row, Settled)}
        wrong, known = list[str](), set[str]()
        for intent in [row for row in rows.values() if isinstance(row, Intent)]:
            if intent.nonce in settled:
                legs = zip(intent.cloids, settled[intent.nonce].legs, strict=True)
                known |= {cloid for cloid, leg in legs if not isinstance(leg, Never | Refusal)}
            else:
                wrong.append(f"never settled: {intent.cloids}")
        live = set(self.venue.by_cloid)
        wrong += [f"known to us, unknown at the venue: {cloid}" for cloid in known - live]
        wrong += [f"live at the venue, unknown to us: {cloid}" for cloid in live - known]
        for goal in range(GOALS):
            orders = [order for order in self.venue.orders if order.cloid.startswith(f"{goal}-")]
            if len({order.nonce for order in orders}) > 1:
                wrong.append(f"double live: goal {goal}")
        twice = [cloid for cloid, orders in self.venue.by_cloid.items() if len(orders) > 1]
        wrong += [f"placed twice: {cloid}" for cloid in twice]
        if self.bot.position != len(self.venue.fills):
            wrong.append(f"booked wrongly: {self.bot.position} of {len(self.venue.fills)} fills")
        return wrong


class Bot:
    """The process: it wants its goals met, reads its disk at start, and knows nothing else."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ports = BotPorts(world)
        self.submitter = Submitter(self.ports, world.rules)
        self.nonces = Nonces()
        self.tasks: list[Task] = []
        self.seen = Seen()
        self.position = 0

    def kill(self) -> None:
        for task in self.tasks:
            task.kill()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        task = Task(self.world, coroutine)
        self.tasks.append(task)
        return task

    def start(self) -> None:
        rows = self.world.disk.written
        for row in list(rows.values()):
            if isinstance(row, tuple):
                self.book(row[0], is_stored=True)
            else:
                self.nonces.seen(row.nonce)
        for goal in range(GOALS):
            self.spawn(self.pursue(goal))
        self.spawn(self.read_fills())

    async def pursue(self, goal: int) -> None:
        random = self.world.random
        await suspend(random.randint(0, 20_000))
        for attempt in range(ATTEMPTS):
            cloids = tuple(f"{goal}-{attempt}-{leg}" for leg in range(1 + (goal % 2)))
            settled = self.outcome(cloids)
            if settled is None:
                settled = await self.carry(cloids)
            if not is_never(settled):
                return

    def stored(self, cloids: tuple[str, ...]) -> Intent | None:
        row = self.world.disk.written.get(f"intent {cloids[0]}")
        return row if isinstance(row, Intent) else None

    def outcome(self, cloids: tuple[str, ...]) -> Settled | None:
        intent = self.stored(cloids)
        row = None if intent is None else self.world.disk.written.get(f"settled {intent.nonce}")
        return row if isinstance(row, Settled) else None

    async def carry(self, cloids: tuple[str, ...]) -> Settled:
        """See the intent through, even when the task that carries it is cancelled on the way."""
        intent, is_new = self.stored(cloids), False
        if intent is None:
            # The expiry is meant in venue time, which the bot knows but roughly; the nonce needs no clock.
            expires = self.world.now + self.world.random.randint(-1_000, 1_000) + self.submitter.rules.ttl_ms
            nonce, is_new = self.nonces.next(self.ports.local_ms()), True
            is_urgent = self.world.random.random() < 0.5
            intent = Intent(nonce=nonce, cloids=cloids, expires_ms=expires, body="", is_urgent=is_urgent)
            self.world.intents += 1
        while True:
            gate = Gate()
            task = self.spawn(self.attempt(intent, is_new, gate))
            if self.world.random.random() < 0.1:
                early = self.world.random.random() < 0.5
                self.world.after(self.world.random.randint(0, 20 if early else 20_000), task.cancel)
            settled = await suspend(gate)
            if settled is not None:
                return settled  # type: ignore[no-any-return]
            await suspend(self.world.random.randint(0, 1_000))
            is_new = False

    async def attempt(self, intent: Intent, is_new: bool, gate: Gate) -> None:
        try:
            carry = self.submitter.place if is_new else self.submitter.resume
            gate.open(await carry(intent))
        except Cancelled:
            gate.open(None)

    async def read_fills(self) -> None:
        """A stream that misses some fills, and a replay of all of them at each reconnect."""
        read = 0
        while self.world.now < END_MS - 60_000:
            await suspend(self.world.random.randint(500, 60_000))
            fills = self.world.venue.fills
            read = 0 if self.world.random.random() < 0.2 else read
            for trade_id, _, _ in fills[read:]:
                self.book(trade_id)
            read = len(fills)
            if self.world.now > EPOCH_MS + 1_000_000:
                return

    def book(self, trade_id: str, *, is_stored: bool = False) -> None:
        if not self.seen.is_new(trade_id) and self.world.mutant is not Mutant.NO_DEDUPLICATION:
            return
        self.position += 1
        if not is_stored:
            self.world.disk.written[f"fill {trade_id}"] = (trade_id, 1)
            self.world.disk.synced[f"fill {trade_id}"] = (trade_id, 1)


class BotPorts:
    """The ports of the protocol, as this world plays them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._writes: dict[str, Gate] = {}
        self._sends: dict[int, int] = {}

    def local_ms(self) -> int:
        return self._world.now + self._world.skew

    async def record(self, entry: Intent | Settled) -> None:
        key = f"intent {entry.cloids[0]}" if isinstance(entry, Intent) else f"settled {entry.nonce}"
        world, disk = self._world, self._world.disk
        if disk.synced.get(key) == entry:
            return
        gate = self._writes.get(key)
        if gate is not None:
            await suspend(gate)
            return
        gate = self._writes[key] = Gate()
        is_dropped = [False]
        bot = world.bot

        def write() -> None:
            if is_dropped[0] or world.bot is not bot:
                return
            disk.written[key] = entry
            if world.mutant is not Mutant.NO_DURABILITY:
                disk.synced[key] = entry
            gate.open()

        world.after(world.random.randint(1, 20), write)
        if world.mutant is Mutant.NO_DURABILITY:
            world.after(world.random.randint(500, 30_000), lambda: disk.synced.update(_kept(disk, key)))
        try:
            await suspend(gate)
        except Cancelled:
            if world.mutant is Mutant.UNSHIELDED and not gate.is_open:
                is_dropped[0] = True
                gate.open()
            raise

    async def send(self, intent: Intent) -> ActionReply | None:
        world = self._world
        sends = self._sends[intent.nonce] = self._sends.get(intent.nonce, 0) + 1
        if world.mutant is Mutant.FRESH_NONCE and sends > 1:
            intent = replace(intent, nonce=world.bot.nonces.next(self.local_ms()))
        if world.mutant is Mutant.FRESH_ID and sends > 1:
            intent = replace(intent, cloids=tuple(f"{cloid}.{sends}" for cloid in intent.cloids))
        return await suspend(world.request(lambda: world.venue.act(intent, world.now)))  # type: ignore[no-any-return]

    async def fence(self, nonce: int) -> ActionReply | None:
        world = self._world
        return await suspend(world.request(lambda: world.venue.noop(nonce, world.now)))  # type: ignore[no-any-return]

    async def look(self, intent: Intent) -> VenueLook | None:
        world, random = self._world, self._world.random
        stamp = world.now - random.randint(0, MAX_LAG_MS)
        await suspend(random.randint(20, 300))
        seen_at = world.now - random.randint(0, MAX_LAG_MS)
        await suspend(random.randint(20, 300))
        if random.random() < 0.1:
            return None
        found = {
            cloid: Sighting(order.oid, Phase.UNKNOWN if random.random() < 0.02 else order.phase)
            for cloid in intent.cloids
            for order in world.venue.by_cloid.get(cloid, ())
            if order.at <= seen_at
        }
        return VenueLook(self.local_ms() if world.mutant is Mutant.LOCAL_CLOCK else stamp, found)

    async def sleep(self, ms: int) -> None:
        await suspend(ms)


def _kept(disk: Disk, key: str) -> dict[str, Any]:
    return {key: disk.written[key]} if key in disk.written else {}


def _rules(can: Capabilities, mutant: Mutant) -> Rules:
    rules = Rules.of(can)
    if mutant is Mutant.RESEND or (mutant is Mutant.FRESH_ID and rules.max_sends == 1):
        return replace(rules, ttl_ms=120_000, max_sends=8)
    return rules


def play(seed: int, mutant: Mutant = Mutant.NONE, can: Capabilities = CAPABILITIES) -> tuple[list[str], int]:
    """Play one schedule; return what went wrong, and how many intents it had."""
    world = World(seed, mutant, can)
    return world.run(), world.intents


def search(
    seeds: range, mutant: Mutant = Mutant.NONE, can: Capabilities = CAPABILITIES
) -> tuple[int | None, list[str], int]:
    """Play ``seeds`` until one goes wrong; return it with what went wrong, and the intents played."""
    intents = 0
    for seed in seeds:
        wrong, played = play(seed, mutant, can)
        intents += played
        if wrong:
            return seed, wrong, intents
    return None, [], intents
