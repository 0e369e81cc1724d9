"""What leaves for ``/exchange``: signed once, sent as the same bytes, journaled before and after.

It plays the ports of ``submit`` over HTTP. Actions that place no orders - cancels, leverage - are safe to
repeat and go out without an intent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import orjson

from tradebot.model.errors import ConfigError, InvariantError, Rejected, VenueError
from tradebot.model.order import RefusalClass
from tradebot.model.time import to_ms
from tradebot.model.venue import Intent, Phase, Purpose, Refusal, Settled, Sighting, Verdict
from tradebot.ports import Clock
from tradebot.venues.allowance import ActionCount
from tradebot.venues.hyperliquid.account import (
    account_state,
    address_budget,
    fills,
    open_orders,
    order_records,
    order_status,
)
from tradebot.venues.hyperliquid.nonce import Nonces
from tradebot.venues.hyperliquid.reading import Node
from tradebot.venues.hyperliquid.replies import action_reply
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.sign import Action, ActionSigner, DigestSigner
from tradebot.venues.hyperliquid.statuses import refusal_of
from tradebot.venues.hyperliquid.wire import NOOP
from tradebot.venues.submit import ActionReply, Rules, VenueLook

Recorder = Callable[[Intent | Settled], Awaitable[None]]
"""Returns when the entry is durable."""

_RESENDS = 3
# Fills and history are looked through from a while before the nonce was given out.
_LOOK_BACK_MS = 60_000
# The venue takes nonces from two days back to one ahead; a clock hours off is a mistake before that.
_MAX_OFF_MS = 6 * 3_600_000
# Between two stamps the venue's clock and ours cannot drift apart by more; a stamp beyond it is garbled.
_MAX_LEAP_MS = 60_000


class VenueTime:
    """The venue's clock: its last stamp, carried on by our monotonic one. Late by a reply, never early."""

    __slots__ = ("_clock", "_stamp_ms", "_stamped_at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stamp_ms: int | None = None
        self._stamped_at = 0.0

    def start(self, stamp_ms: int, *, is_trusted: bool = False) -> None:
        """Take the first stamp.

        Raises ``ConfigError`` when it and our clock are hours apart, unless it ``is_trusted``: one of them is wrong.
        """
        off_ms = to_ms(self._clock.now()) - stamp_ms
        if abs(off_ms) > _MAX_OFF_MS and not is_trusted:
            raise ConfigError(f"this machine's clock is {off_ms // 1000} s off the venue's", mend="set the clock")
        self._stamp_ms, self._stamped_at = stamp_ms, self._clock.monotonic()

    def learn(self, stamp_ms: int) -> bool:
        """Take a later stamp and return ``True``; ``False`` for one from a future that cannot be.

        One that is older than what is known by now comes from a lagging replica: it is sound, and changes nothing.
        """
        known = self.ms()
        if stamp_ms > known + _MAX_LEAP_MS:
            return False
        if stamp_ms >= known:
            self._stamp_ms, self._stamped_at = stamp_ms, self._clock.monotonic()
        return True

    def ms(self) -> int:
        """Return venue time in epoch milliseconds. Raises ``InvariantError`` before the first stamp."""
        if self._stamp_ms is None:
            raise InvariantError("venue time is asked before the venue was")
        return self._stamp_ms + int((self._clock.monotonic() - self._stamped_at) * 1000)


class Gateway:
    """The signer's way to the venue. ``account`` is the master's address, whoever signs.

    Once the venue has said that the key may not trade, nothing signed leaves until ``reopen``: ``shut`` is its word.
    """

    def __init__(
        self, rest: RestClient, signer: ActionSigner, account: str, clock: Clock, recorder: Recorder, rules: Rules
    ) -> None:
        self.time = VenueTime(clock)
        self.nonces = Nonces()
        self.allowance = ActionCount(clock)
        self._rest = rest
        self._signer = signer
        self.signer = signer.address
        self.account = account.lower()
        self._recorder = recorder
        self._rules = rules
        self._writes: dict[tuple[int, bool], asyncio.Future[None]] = {}
        self._of_other_key: set[int] = set()
        self.shut = ""
        self.on_shut: Callable[[str], Awaitable[None]] = _unheard

    def sign_with(self, key: DigestSigner) -> None:
        """Sign with another key from now on, for the same network. Its nonces go on above those of the last one."""
        self._signer, self.signer = ActionSigner(key, is_mainnet=self._signer.is_mainnet), key.address
        self.reopen()

    def recall(self, intent: Intent) -> None:
        """Know an intent of an earlier run: a noop of ours takes its nonce only when this key has signed it."""
        sent = orjson.loads(intent.body)
        ours = self._signer.sign(sent["action"], sent["nonce"], expires_after=sent["expiresAfter"])
        if ours.wire() != sent["signature"]:
            self._of_other_key.add(intent.nonce)

    def reopen(self) -> None:
        """Let what is signed leave again: somebody says that the key may trade."""
        self.shut = ""

    async def _hear(self, refusal: Refusal) -> None:
        if refusal_of(refusal.text) is RefusalClass.KEY and not self.shut:
            self.shut = refusal.text
            await self.on_shut(refusal.text)

    async def ask(
        self, kind: str, purpose: Purpose = Purpose.WATCH, *, max_age_s: float = 0.0, **fields: object
    ) -> Node:
        """Return the reply to an ``/info`` request about the account."""
        return await self._rest.info({"type": kind, "user": self.account, **fields}, purpose, max_age_s)

    async def learn_time(self, *, is_trusted: bool = False) -> None:
        """Ask the venue what time it is. Raises ``ConfigError`` when this machine is hours off, unless trusted."""
        status = await self._rest.info({"type": "exchangeStatus"}, Purpose.PROTECT)
        self.time.start(to_ms(status.at("time").time()), is_trusted=is_trusted)

    async def learn_allowance(self, purpose: Purpose, max_age_s: float = 0.0) -> None:
        """Ask the venue how many actions the account may still send, or could ``max_age_s`` ago."""
        budget = address_budget(await self.ask("userRateLimit", purpose, max_age_s=max_age_s))
        self.allowance.learn(budget.used, budget.cap)

    def intent(self, action: Action, cloids: tuple[str, ...], *, is_urgent: bool) -> Intent:
        """Sign an action that places the orders ``cloids``."""
        nonce, expires_ms, body = self._signed(action)
        return Intent(nonce=nonce, cloids=cloids, expires_ms=expires_ms, body=body, is_urgent=is_urgent)

    def _signed(self, action: Action) -> tuple[int, int, str]:
        nonce = self.nonces.next(self.time.ms())
        expires_ms = self.time.ms() + self._rules.ttl_ms
        return nonce, expires_ms, self._envelope(action, nonce, expires_ms)

    def _envelope(self, action: Action, nonce: int, expires_ms: int | None) -> str:
        signature = self._signer.sign(action, nonce, expires_after=expires_ms)
        envelope: Mapping[str, object] = {
            "action": action,
            "nonce": nonce,
            "signature": signature.wire(),
            "vaultAddress": None,
            "expiresAfter": expires_ms,
        }
        return orjson.dumps(envelope).decode()

    async def act(self, action: Action, legs: int = 0, purpose: Purpose = Purpose.PROTECT) -> ActionReply:
        """Do an action that may safely be done twice. The same bytes go out again until they are answered.

        Raises the last ``VenueError`` when they never are, and ``Rejected`` while shut. A ``DUPLICATE`` refusal says
        that an earlier sending was done, not how it ended.
        """
        if self.shut:
            raise Rejected(self.shut)
        _, _, body = self._signed(action)
        for attempt in range(1, _RESENDS + 1):
            try:
                return await self._exchange(body, legs, purpose)
            except Rejected:
                raise
            except VenueError:
                if attempt == _RESENDS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    # The ports of the submit protocol.

    def local_ms(self) -> int:
        """Return the time that paces the protocol: the venue's, as far as we know it."""
        return self.time.ms()

    async def record(self, entry: Intent | Settled) -> None:
        """Return when ``entry`` is durable; a cancelled caller does not stop the write."""
        key = (entry.nonce, isinstance(entry, Settled))
        write = self._writes.get(key)
        if write is None:
            write = self._writes[key] = asyncio.ensure_future(self._recorder(entry))
        await asyncio.shield(write)
        if isinstance(entry, Settled):
            self._writes.pop((entry.nonce, False), None)
            self._writes.pop(key, None)

    async def send(self, intent: Intent) -> ActionReply | None:
        """Send the bytes of ``intent`` as they are."""
        purpose = Purpose.PROTECT if intent.is_urgent else Purpose.TRADE
        # That the last key may trade no more says nothing of this one.
        is_of_this_key = intent.nonce not in self._of_other_key
        return await self._sent(intent.body, len(intent.cloids), purpose, is_of_this_key=is_of_this_key)

    async def fence(self, nonce: int) -> ActionReply | None:
        """Send a noop that burns ``nonce``; nothing when it would take the turn of an order, or prove nothing."""
        if self.allowance.is_used_up or nonce in self._of_other_key:
            return None
        return await self._sent(self._envelope(NOOP, nonce, None), 0, Purpose.PROTECT)

    async def _sent(self, body: str, legs: int, purpose: Purpose, *, is_of_this_key: bool = True) -> ActionReply | None:
        if self.shut:
            return ActionReply(refusal=Refusal(self.shut, Verdict.NOT_PERMITTED))
        try:
            return await self._exchange(body, legs, purpose, is_of_this_key=is_of_this_key)
        except Rejected as error:
            return ActionReply(refusal=Refusal(error.what, Verdict.REJECTED))
        except VenueError:
            return None

    async def _exchange(self, body: str, legs: int, purpose: Purpose, *, is_of_this_key: bool = True) -> ActionReply:
        """Send bytes once and count what they cost of the allowance; without an answer they may have cost it."""
        actions = max(1, legs)
        self.allowance.spend(actions)
        try:
            reply = action_reply(await self._rest.exchange(body.encode(), legs, purpose), legs)
        except Rejected:
            self.allowance.refused(actions)
            raise
        if reply.refusal is not None:
            verdict = reply.refusal.verdict
            self.allowance.refused(actions, is_used_up=verdict is Verdict.BUDGET, is_expired=verdict is Verdict.EXPIRED)
            if is_of_this_key:
                await self._hear(reply.refusal)
        return reply

    async def look(self, intent: Intent) -> VenueLook | None:
        """Look for the orders of ``intent``: by status, and when absence could count, wherever orders are listed."""
        try:
            return await self._look(intent)
        except VenueError:
            return None

    async def _look(self, intent: Intent) -> VenueLook:
        stamp = account_state(await self.ask("clearinghouseState", Purpose.PROTECT)).ts_event
        stamp_ms = None if stamp is None else to_ms(stamp)
        if stamp_ms is not None and not self.time.learn(stamp_ms):
            # A garbled stamp would prove an absence that is none; after a sleep of the machine it is our time
            # that is behind, and the venue's own clock says so.
            stamp_ms = None
            await self.learn_time()
        found: dict[str, Sighting] = {}
        for cloid in intent.cloids:
            record = order_status(await self.ask("orderStatus", Purpose.PROTECT, oid=cloid))
            if record is not None:
                found[cloid] = Sighting(record.order.oid, record.phase)
        may_count = stamp_ms is not None and stamp_ms > intent.expires_ms + self._rules.margin_ms
        if may_count and len(found) < len(intent.cloids):
            wanted = set(intent.cloids) - found.keys()
            found |= {cloid: seen for cloid, seen in (await self._everywhere(intent)).items() if cloid in wanted}
        return VenueLook(stamp_ms, found)

    async def _everywhere(self, intent: Intent) -> dict[str, Sighting]:
        start = intent.nonce - _LOOK_BACK_MS
        seen: dict[str, Sighting] = {}
        # A fill shows that the order existed; its status, if any is listed, says more and is taken last.
        for fill in fills(await self.ask("userFillsByTime", Purpose.PROTECT, startTime=start)):
            if fill.cloid is not None:
                seen[fill.cloid] = Sighting(fill.oid, Phase.LIVE)
        # History is newest first: the newest status is taken last.
        for record in reversed(order_records(await self.ask("historicalOrders", Purpose.PROTECT))):
            if record.order.cloid is not None:
                seen[record.order.cloid] = Sighting(record.order.oid, record.phase)
        for order in open_orders(await self.ask("frontendOpenOrders", Purpose.PROTECT)):
            if order.cloid is not None:
                seen[order.cloid] = Sighting(order.oid, Phase.LIVE)
        return seen

    async def sleep(self, ms: int) -> None:
        """Wait."""
        await asyncio.sleep(ms / 1000)


async def _unheard(reason: str) -> None:
    del reason
