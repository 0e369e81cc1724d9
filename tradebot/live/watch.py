"""The watch over a line that trades for real: what takes too long freezes, halts and pages.

It reads and gives commands; it never trades. While something is overdue it sends the line a ``Tick`` each second.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tradebot.live.freezer import Freezer, FreezeReason
from tradebot.live.line import LiveLine
from tradebot.live.rounds import Rounds
from tradebot.model.command import AlertName, Tick, TradingState, Verb
from tradebot.model.errors import Unavailable, VenueError
from tradebot.model.time import DAY, NANOS_PER_S, Nanos, from_ms
from tradebot.model.venue import Intent
from tradebot.pipeline.orders.facts import KEY_MEND
from tradebot.ports import Clock, Page

PERIOD_S = 1.0
UNKNOWN_AFTER_MS = 60_000
HALT_AFTER_MS = 600_000
LOST_AFTER_S = 60.0
_EXPIRY_PERIOD_S = 3600.0
_EXPIRY_RETRY_S = 60.0
_EXPIRY_DAYS = (1, 7, 14)
_EXPIRY_MEND = (
    "approve a new agent of the account under another name (tradebot agent create, agent approve), then: tradebot "
    "secrets rotate NAME; or put its key into key_file, then: tradebot restart"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the watch looks at.

    ``unsettled``: intents without an outcome, and since when by ``venue_ms``. ``down_since``: since when, in
    monotonic seconds, the account's socket has been down; ``None`` while it is up. ``expiry``: until when the key
    may sign, ``None`` for one that does not run out; raises ``VenueError``. ``is_due``: whether a tick would find
    something to do.
    """

    unsettled: Callable[[], Mapping[int, tuple[Intent, int]]]
    venue_ms: Callable[[], int]
    symbol_of: Callable[[Intent], str]
    down_since: Callable[[], float | None]
    expiry: Callable[[], Awaitable[Nanos | None]]
    is_due: Callable[[], bool]


class LiveWatch:
    """Looks each second; ``refused`` is for who hears from the venue that we may not trade."""

    def __init__(
        self,
        line: LiveLine,
        watched: Watched,
        page: Page,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._line, self._watched, self._page, self._clock, self._sleep = line, watched, page, clock, sleep
        self._freezer = Freezer(line, FreezeReason.UNKNOWN_ORDER)
        self._paged: set[int] = set()
        self._halted: set[int] = set()
        self._is_lost_told = self._is_refusal_told = False
        self._days_told: int | None = None
        self._refusing = asyncio.Lock()
        self.rounds = Rounds()

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_line())
            group.create_task(self._watch_key())

    async def refused(self, reason: str) -> None:
        """Page and halt, once, because the venue does not let us trade: ``reason`` is its word."""
        what = f"the venue does not let this key trade: {reason}"
        is_halted = self._line.risk.trading_state is TradingState.HALTED
        if not (is_halted and self._is_refusal_told):
            self._is_refusal_told = True
            self._page(AlertName.KEY_REFUSED, f"{what}; stops that rest at the venue stay there", KEY_MEND)
        # A daemon that is stopping sends no more anyway.
        with contextlib.suppress(Unavailable):
            await self._halt(what)

    async def look(self) -> None:
        """Look once."""
        await self._tick()
        await self._look_at_intents()
        self._look_at_socket()

    async def look_at_key(self) -> float:
        """Look at the expiry of the key once; return after how many seconds to look again."""
        try:
            until = await self._watched.expiry()
        except VenueError:
            return _EXPIRY_RETRY_S
        if until is None:
            self._days_told = None
            return _EXPIRY_PERIOD_S
        left = until - from_ms(self._watched.venue_ms())
        if left <= 0:
            await self.refused("its agent has expired")
            return _EXPIRY_PERIOD_S
        self._tell_of_expiry(left)
        return min(_EXPIRY_PERIOD_S, left / NANOS_PER_S)

    async def _watch_line(self) -> None:
        while True:
            self.rounds.came("line")
            # A daemon that is stopping takes no commands any more.
            with contextlib.suppress(Unavailable):
                await self.look()
            await self._sleep(PERIOD_S)

    async def _watch_key(self) -> None:
        while True:
            wait_s = _EXPIRY_RETRY_S
            with contextlib.suppress(Unavailable):
                wait_s = await self.look_at_key()
            await self._sleep(wait_s)

    async def _tick(self) -> None:
        if self._watched.is_due():
            await self._line.deliver([Tick(ts_event=from_ms(self._watched.venue_ms()))])

    async def _look_at_intents(self) -> None:
        now = self._watched.venue_ms()
        unsettled = tuple(self._watched.unsettled().values())
        old = {intent.nonce: (intent, now - since) for intent, since in unsettled if now - since > UNKNOWN_AFTER_MS}
        # What the last run froze thaws only when it is settled, though its time is counted anew.
        waiting = {self._watched.symbol_of(intent) for intent, _ in unsettled} & self._freezer.frozen
        await self._freezer.hold(waiting | {self._watched.symbol_of(intent) for intent, _ in old.values()})
        for nonce, (intent, age) in old.items():
            symbol = self._watched.symbol_of(intent)
            if nonce not in self._paged:
                self._tell_of_unknown(intent, symbol)
            if age > HALT_AFTER_MS and nonce not in self._halted:
                self._halted.add(nonce)
                await self._halt(f"nobody knows for 10 minutes what became of orders in {symbol} (nonce {nonce})")
        self._paged = set(old)
        self._halted &= self._paged

    def _tell_of_unknown(self, intent: Intent, symbol: str) -> None:
        count = len(intent.cloids)
        orders = "an order was" if count == 1 else f"{count} orders were"
        self._page(
            AlertName.UNKNOWN_ORDER,
            f"{orders} sent and the venue has not said for 60 s what became of it (nonce {intent.nonce})",
            "look at open orders and fills at the venue; entries of the symbol are off until it is known",
            symbol,
            str(intent.nonce),
        )

    def _look_at_socket(self) -> None:
        since = self._watched.down_since()
        if since is None:
            self._is_lost_told = False
            return
        away_s = self._clock.monotonic() - since
        if away_s <= LOST_AFTER_S or self._is_lost_told:
            return
        held = sorted(self._line.risk.positions)
        if held:
            self._is_lost_told = True
            self._page(
                AlertName.VENUE_LOST,
                f"the venue has not been heard for {away_s:.0f} s, with open positions in {', '.join(held)}",
                "look at the venue's status page and at the network; stops rest at the venue meanwhile",
            )

    def _tell_of_expiry(self, left: int) -> None:
        days = next((days for days in _EXPIRY_DAYS if left <= days * DAY), None)
        if days is not None and (self._days_told is None or days < self._days_told):
            hours = left // (DAY // 24)
            left_text = f"{left // DAY} days" if left > 2 * DAY else f"{hours} hours"
            what = f"the agent of this key expires in {left_text}"
            self._page(AlertName.KEY_EXPIRES, what, _EXPIRY_MEND, about=str(days))
        self._days_told = days

    async def _halt(self, reason: str) -> None:
        # Several submissions can be refused at once; one halt is enough.
        async with self._refusing:
            if self._line.risk.trading_state is not TradingState.HALTED:
                await self._line.command(Verb.HALT, {"reason": reason})
