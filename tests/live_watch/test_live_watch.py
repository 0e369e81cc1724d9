"""What takes too long freezes its symbol, pages, and in the end halts; and each is said once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.builders import cash, fill_report
from tests.clock import VirtualClock
from tests.live_watch.bench import BareLine
from tradebot.live.watch import LiveWatch, Watched
from tradebot.model.command import AlertName, Tick, TradingState, Verb
from tradebot.model.errors import Unavailable
from tradebot.model.instrument import Instrument
from tradebot.model.position import Deposit
from tradebot.model.time import DAY, NANOS_PER_S, Nanos, from_ms
from tradebot.model.venue import Intent

pytestmark = pytest.mark.virtual_time

START_MS = 1_700_000_000_000


@dataclass
class World:
    """What the watch sees, as a test sets it."""

    unsettled: dict[int, tuple[Intent, int]] = field(default_factory=dict)
    now_ms: int = START_MS
    down_since: float | None = None
    expires_ms: int | None = None
    is_due: bool = False
    is_away: bool = False
    pages: list[tuple[AlertName, str, str]] = field(default_factory=list)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(0))
    line: BareLine = field(default_factory=lambda: BareLine({"BTC": Instrument(symbol="BTC")}))

    def __post_init__(self) -> None:
        self.watch = self.watcher()

    def watcher(self) -> LiveWatch:
        watched = Watched(
            unsettled=lambda: self.unsettled,
            venue_ms=lambda: self.now_ms,
            symbol_of=lambda intent: intent.cloids[0],
            down_since=lambda: self.down_since,
            expiry=self.expiry,
            is_due=lambda: self.is_due,
        )
        return LiveWatch(self.line, watched, self.page, self.clock, self.sleep)

    async def expiry(self) -> Nanos | None:
        if self.is_away:
            raise Unavailable("away")
        return None if self.expires_ms is None else from_ms(self.expires_ms)

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        assert mend
        self.pages.append((name, symbol, what))

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.clock.advance(int(seconds * NANOS_PER_S))
        self.now_ms += int(seconds * 1000)

    def send(self, nonce: int, symbol: str = "BTC") -> None:
        intent = Intent(nonce=nonce, cloids=(symbol,), expires_ms=0, body="")
        self.unsettled[nonce] = (intent, self.now_ms)

    async def look(self, seconds: float) -> None:
        self.advance(seconds)
        await self.watch.look()

    @property
    def verbs(self) -> list[tuple[Verb, str]]:
        return [(verb, told(arguments)) for verb, arguments in self.line.commands]


def told(arguments: Mapping[str, str]) -> str:
    return arguments.get("symbol", "")


async def test_an_order_unknown_for_a_minute_freezes_its_symbol_and_pages_once() -> None:
    world = World()
    world.send(1)
    world.send(2)
    await world.look(60)
    assert (world.pages, world.line.commands) == ([], [])
    await world.look(1)
    await world.look(1)
    assert world.verbs == [(Verb.FREEZE, "BTC")]
    assert world.line.commands[0][1]["reason"] == "unknown order"
    assert [(name, symbol) for name, symbol, _ in world.pages] == [(AlertName.UNKNOWN_ORDER, "BTC")] * 2
    del world.unsettled[1]
    await world.look(1)
    assert len(world.verbs) == 1, "the other is still unknown"
    del world.unsettled[2]
    await world.look(1)
    assert world.verbs[1:] == [(Verb.THAW, "BTC")]


async def test_an_order_unknown_for_ten_minutes_halts_once() -> None:
    world = World()
    world.send(1)
    await world.look(600)
    assert world.line.risk.trading_state is TradingState.RUNNING
    await world.look(1)
    assert world.line.risk.trading_state is TradingState.HALTED
    assert "10 minutes" in world.line.risk.save().state_reason
    await world.line.command(Verb.RESUME, {})
    await world.look(60)
    assert world.line.risk.trading_state is TradingState.RUNNING, "the operator has seen it"


async def test_a_freeze_of_the_last_run_outlives_a_boot_until_it_is_settled() -> None:
    world = World()
    for symbol, reason in (("BTC", "unknown order"), ("ETH", "unknown order"), ("ETH", "stale")):
        await world.line.command(Verb.FREEZE, {"symbol": symbol, "reason": reason})
    world.send(1)
    await world.look(1)
    assert world.line.frozen == {"BTC": ("unknown order",), "ETH": ("stale",)}
    world.unsettled.clear()
    await world.look(1)
    assert world.line.frozen == {"ETH": ("stale",)}


async def test_a_tick_of_venue_time_is_sent_only_while_something_is_due() -> None:
    world = World()
    await world.look(1)
    assert world.line.delivered == []
    world.is_due = True
    await world.look(1)
    assert world.line.delivered == [Tick(ts_event=from_ms(START_MS + 2000))]


async def test_a_venue_lost_with_a_position_open_is_paged_once_an_outage() -> None:
    world = World()
    await world.line.deliver([Deposit(ts_event=Nanos(0), id="o", amount=cash(1000))])
    world.down_since = 0.0
    await world.look(100)
    assert world.pages == [], "nothing is at stake"
    await world.line.deliver([fill_report(client_order_id="venue-1")])
    await world.look(1)
    await world.look(1)
    assert [name for name, *_ in world.pages] == [AlertName.VENUE_LOST]
    assert "BTC" in world.pages[0][2]
    world.down_since = None
    await world.look(1)
    world.down_since = world.clock.monotonic()
    await world.look(60)
    assert len(world.pages) == 1
    await world.look(1)
    assert len(world.pages) == 2


async def test_a_key_that_runs_out_is_paged_at_14_7_and_1_days_and_halts_when_it_has() -> None:
    world = World(expires_ms=START_MS + 20 * DAY // 1_000_000)
    said = []
    for _ in range(20 * 24 + 2):
        before = len(world.pages)
        wait_s = await world.watch.look_at_key()
        said += [world.now_ms] * (len(world.pages) - before)
        assert 0 < wait_s <= 3600
        world.advance(3600)
    hours = [(moment - START_MS) // 3_600_000 for moment in said]
    assert hours == [6 * 24, 13 * 24, 19 * 24, 20 * 24]
    assert [name for name, *_ in world.pages] == [AlertName.KEY_EXPIRES] * 3 + [AlertName.KEY_REFUSED]
    assert world.line.risk.trading_state is TradingState.HALTED
    assert "expired" in world.line.risk.save().state_reason
    assert [verb for verb, _ in world.verbs] == [Verb.HALT]


async def test_a_new_key_is_warned_of_anew() -> None:
    world = World(expires_ms=START_MS + DAY // 2_000_000)
    await world.watch.look_at_key()
    world.expires_ms = None
    await world.watch.look_at_key()
    world.expires_ms = START_MS + 13 * DAY // 1_000_000
    await world.watch.look_at_key()
    await world.watch.look_at_key()
    assert [what for _, _, what in world.pages] == [
        "the agent of this key expires in 12 hours",
        "the agent of this key expires in 13 days",
    ]


async def test_a_venue_that_cannot_be_asked_for_the_expiry_is_asked_again_soon() -> None:
    world = World(is_away=True)
    assert await world.watch.look_at_key() == 60
    assert world.pages == []


async def test_a_key_that_may_not_trade_halts_once_however_often_it_is_refused() -> None:
    world = World()
    await asyncio.gather(*(world.watch.refused("User or API Wallet 0x1 does not exist.") for _ in range(20)))
    assert [verb for verb, _ in world.verbs] == [Verb.HALT]
    assert "does not exist" in world.line.risk.save().state_reason
    assert [name for name, *_ in world.pages] == [AlertName.KEY_REFUSED]


async def test_a_key_that_is_refused_again_after_a_resume_is_paged_again() -> None:
    world = World()
    await world.watch.refused("User or API Wallet 0x1 does not exist.")
    await world.line.command(Verb.RESUME, {})
    await world.watch.refused("User or API Wallet 0x1 does not exist.")
    assert [name for name, *_ in world.pages] == [AlertName.KEY_REFUSED] * 2
    assert world.line.risk.trading_state is TradingState.HALTED


async def test_it_looks_until_it_is_cancelled() -> None:
    world = World(is_due=True)
    ready = asyncio.Event()
    task = asyncio.create_task(world.watch.run(ready.set))
    await ready.wait()
    async with asyncio.timeout(20):
        while len(world.line.delivered) < 5:  # noqa: ASYNC110 - the clock is virtual
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
