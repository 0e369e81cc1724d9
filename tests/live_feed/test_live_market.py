"""The feed of a live market gives each closed bar once, in order and whole, whatever the socket and REST do."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import replace
from tests.live_feed.market_desk import COINS, M1, PAST, RULES, Desk, desk, market_gaps, running
from tradebot.backoff import Backoff
from tradebot.live.market_gaps import Answer
from tradebot.model.command import Verb
from tradebot.model.errors import ConfigError, Unavailable
from tradebot.model.market import Bar
from tradebot.model.time import NANOS_PER_S, Nanos
from tradebot.model.venue import Silent
from tradebot.runtime.feeding import FeedState

pytestmark = pytest.mark.virtual_time


@pytest.fixture(autouse=True)
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_gaps, "_PAUSES", Backoff(0.01, 30.0))


async def test_a_first_start_shows_the_past_under_freeze_in_the_order_of_turns() -> None:
    async with desk(history=10) as made:
        feed = made.feed()
        await feed.open()
        made.check(history=10)
        assert [len(made.line.of(coin)) for coin in COINS] == [10, 10]
        assert all(is_frozen for _, is_frozen in made.line.bars)
        turns = [(bar.ts_event, bar.symbol) for bar, _ in made.line.bars]
        assert turns == sorted(turns)
        assert made.line.commands == [(Verb.FREEZE, "", "history"), (Verb.THAW, "", "history")]
        assert made.arrivals.last("BTC") == made.newest("BTC")


async def test_live_bars_come_when_a_later_one_begins_and_may_trade() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        assert feed.state is FeedState.WAITING
        async with running(made, feed):
            assert feed.state is FeedState.STREAMING
            for _ in range(5):
                made.bars()
                await made.caught_up()
            assert made.marks["BTC"] == made.net.exchange.markets["BTC"].mark
            assert feed.last_message_at is not None
        made.check(history=10)
        live = made.line.bars[20:]
        assert len(live) == 10
        assert not any(is_frozen for _, is_frozen in live)
        turns = [(bar.ts_event, bar.symbol) for bar, _ in live]
        assert turns == sorted(turns), "bars that close together go by symbol"


async def test_time_closes_a_bar_when_no_later_one_comes() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        ahead_ms = 0
        made.venue_time = feed._time._venue_time = lambda: made.stamp_ms() + ahead_ms
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            made.bars(2)
            await made.heard()
            closing = made.newest("BTC") + 60_000_000_000
            ahead_ms = 90_000
            await made.line.until(lambda: made.arrivals.last("BTC") == made.arrivals.last("ETH") == closing)
            # REST was asked, for the socket has not spoken since.
            assert made.line.of("BTC")[-1].ts_event == closing


async def test_bars_are_asked_for_once_and_not_at_all_after_a_short_absence() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        made.bars(8)
        await made.heard()
        async with running(made, feed):
            made.bars(6)
            await made.caught_up()
            feed._tried.clear()
            made.fault("drop")
            async with asyncio.timeout(600):
                await feed._tried.wait()
                while not feed._is_up:
                    feed._tried.clear()
                    await feed._tried.wait()
            for _ in range(6):
                made.bars(1)
                await made.heard()
            await made.caught_up()
        made.check(history=10)
        assert made.net.server.limits.row()["asked"]["candleSnapshot"] == len(COINS)


async def test_an_opening_that_runs_into_a_refusal_asks_for_the_rest_alone() -> None:
    async with desk() as made:
        feed = made.feed()
        made.fault("error_500", count=3)
        for _ in range(5):
            with contextlib.suppress(Unavailable):
                await feed.open()
        made.clear()
        await feed.open()
        async with running(made, feed):
            made.bars(6)
            await made.caught_up()
        made.check(history=10)
        assert made.net.server.limits.row()["asked"]["candleSnapshot"] == len(COINS)


@pytest.mark.parametrize("bars_missed", [0, 1, 5])
async def test_after_a_drop_the_missed_bars_come_over_rest_before_newer_ones(bars_missed: int) -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars(6)
            await made.caught_up()
            made.fault("drop")
            made.bars(4 * bars_missed + 2)
            await made.caught_up()
            made.bars(7)
            await made.caught_up()
        made.check(history=10)
        late = [is_frozen for bar, is_frozen in made.line.bars[20:]]
        assert any(late) is (bars_missed == 5), "only what closed over a minute ago is frozen"


async def test_frames_lost_on_a_socket_that_stays_open_are_missed_and_asked_for() -> None:
    async with desk() as made:
        feed = made.feed(replace(RULES, ping_s=60.0))
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            made.fault("half_open")
            made.bars(13)
            for connection in made.net.server.hub.connections:
                # What is silenced is lost only once it would have been sent, and nobody is told.
                while not connection._queue.empty():  # noqa: ASYNC110
                    await asyncio.sleep(0)
            made.clear()
            made.bars(5)
            await made.caught_up()
        made.check(history=10)


async def test_a_half_open_socket_is_given_up_and_nothing_is_lost() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            made.fault("half_open")
            made.bars(9)
            await made.line.until(lambda: made.arrivals.last("BTC") is not None)
            made.clear()
            made.bars(4)
            await made.caught_up()
        made.check(history=10)


async def test_while_rest_fails_bars_wait_and_then_come_in_order() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            known = len(made.line.bars)
            made.fault("error_500", count=12)
            made.fault("drop")
            made.bars(14)
            await made.caught_up()
            made.bars(8)
            await made.caught_up()
            assert len(made.line.bars) > known
        made.check(history=10)


async def test_garbage_and_strange_bars_change_nothing() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            candle = made.net.exchange.markets["BTC"].candles.newest("1m")
            assert candle is not None
            far = candle.row() | {"t": 32_503_680_000_000, "T": 32_503_680_059_999}
            for connection in made.net.server.hub.connections:
                connection.send({"channel": "candle", "data": {"t": "NaN"}})
                connection.send({"channel": "candle", "data": far})
                connection.send({"channel": "candle", "data": candle.row() | {"s": "DOGE"}})
                connection.send(
                    {
                        "channel": "candle",
                        "data": candle.row() | {"s": "ETH", "i": "3m", "T": candle.row()["t"] + 179_999},
                    }
                )
                connection.send({"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": {"markPx": "-1"}}})
            for _ in range(3):
                made.bars(5)
                await made.caught_up()
        made.check(history=10)


async def test_a_restart_goes_on_where_the_line_stands() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars(9)
            await made.caught_up()
        before = len(made.line.bars)
        made.bars(31)
        made.line.commands.clear()
        again = made.feed()
        await again.open()
        assert all(is_frozen for _, is_frozen in made.line.bars[before:])
        assert len(made.line.bars) > before
        async with running(made, again):
            made.bars(6)
            await made.caught_up()
        made.check(history=10)


async def test_a_market_that_is_older_than_what_we_have_is_refused() -> None:
    async with desk() as made:
        newest = made.newest("BTC")
        feed = made.feed()
        await feed.open()
        bar = made.line.of("BTC")[-1]
        made.arrivals.note(replace(bar, ts_event=Nanos(newest + 10 * bar.timeframe)))
        with pytest.raises(ConfigError, match="newer bars"):
            await made.feed().open()


async def test_a_busy_line_delays_bars_but_loses_none() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            made.line.has_room.clear()
            for _ in range(300):
                made.bars()
                await asyncio.sleep(0)
            made.line.has_room.set()
            await made.caught_up()
        made.check(history=10)


async def test_a_silent_market_freezes_entries_once_and_thaws_them() -> None:
    async with desk(stale_s=20) as made:
        feed = made.feed(replace(RULES, silence_s={"activeAssetCtx": 8.0}))
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.line.until(lambda: ("BTC", "stale") in made.line.frozen)
            await made.line.until(lambda: ("ETH", "stale") in made.line.frozen)
            made.bars()
            await made.line.until(lambda: not made.line.frozen)
        frozen = [command for command in made.line.commands if command[0] is Verb.FREEZE and command[2] == "stale"]
        assert sorted(frozen) == [(Verb.FREEZE, "BTC", "stale"), (Verb.FREEZE, "ETH", "stale")], (
            "a reconnect that tells the old again is no sign of life"
        )


async def test_one_silent_coin_takes_nothing_from_the_others() -> None:
    async with desk(stale_s=100) as made:
        feed = made.feed(replace(RULES, silence_s={"activeAssetCtx": 10.0, "candle": 10.0}))
        told: list[Silent] = []
        feed.on_silent = told.append
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            sockets = set(made.net.server.hub.connections)
            made.fault("silent_coin", coin="BTC")
            async with asyncio.timeout(600):
                while len(told) < 4:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            # The bars of the silent one come over REST; those of the other as ever, and it is never frozen.
            await made.line.until(lambda: ("BTC", "stale") in made.line.frozen)
            closed = made.newest("BTC")
            async with asyncio.timeout(600):
                while (made.arrivals.last("BTC") or 0) < closed:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            made.clear()
            async with asyncio.timeout(600):
                while made.line.frozen:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            assert set(made.net.server.hub.connections) == sockets, "the socket stayed"
        assert {silent.symbol for silent in told} == {"BTC"}
        assert max(silent.times for silent in told) > 1, "it was subscribed to anew, and again"
        stale = [command[1] for command in made.line.commands if command[0] is Verb.FREEZE and command[2] == "stale"]
        assert stale == ["BTC"]
        made.check(history=10)


async def test_bars_of_a_coin_whose_own_channel_is_silent_are_asked_for() -> None:
    async with desk(stale_s=600) as made:
        feed = made.feed(replace(RULES, silence_s={"candle": 4.0, "activeAssetCtx": 400.0}))
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            made.fault("silent_coin", coin="BTC")
            before = made.newest("BTC")
            async with asyncio.timeout(600):
                while made.arrivals.last("BTC") < before + 3 * M1:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            made.clear()
            async with asyncio.timeout(600):
                while feed._deaf:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            await made.caught_up()
        made.check(history=10)


async def test_a_coin_that_is_not_traded_any_more_is_let_go_without_a_reconnect_and_taken_up_again() -> None:
    async with desk(stale_s=20) as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            sockets = set(made.net.server.hub.connections)
            made.net.exchange.coins["BTC"].is_delisted = True
            await feed.keep({"ETH"})
            before = made.arrivals.last("BTC")
            for _ in range(3):
                made.bars()
                await made.line.until(lambda: (made.arrivals.last("ETH") or 0) >= made.newest("ETH"))
            assert made.arrivals.last("BTC") == before
            made.net.exchange.coins["BTC"].is_delisted = False
            await feed.keep({"BTC", "ETH"})
            await feed.keep({"BTC", "ETH"})
            async with asyncio.timeout(600):
                while made.arrivals.last("BTC") != made.newest("BTC") or made.line.frozen:
                    made.bars(1)
                    await asyncio.sleep(0.4)
            assert set(made.net.server.hub.connections) == sockets
        made.check(history=10)


async def test_with_no_coin_left_the_socket_stands() -> None:
    async with desk() as made:
        feed = made.feed()
        await feed.keep(())
        await feed.open()
        async with running(made, feed):
            assert feed.is_connected
        assert made.line.bars == []


async def test_a_lost_socket_freezes_all() -> None:
    async with desk(stale_s=20) as made:
        feed = made.feed()
        await feed.open()
        async with running(made, feed):
            made.bars()
            await made.caught_up()
            await made.net.stop()
            await made.line.until(lambda: ("", "stale") in made.line.frozen)
            assert feed.state is FeedState.WAITING
        assert [command for command in made.line.commands if command[0] is Verb.FREEZE][1:] == [
            (Verb.FREEZE, "", "stale")
        ]


async def test_an_end_in_the_middle_is_no_error_and_any_other_refusal_is() -> None:
    async with desk(stale_s=20) as made:
        feed = made.feed()
        await feed.open()
        made.line.has_ended = True
        with pytest.raises(Unavailable):
            await feed.run(lambda: None)
        feed = made.feed()
        feed.close()
        await feed.run(lambda: None)


async def test_without_a_venue_opening_says_so() -> None:
    async with desk() as made:
        made.fault("error_500")
        with pytest.raises(Unavailable):
            await made.feed().open()
        assert made.line.commands == []


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ticks"), st.integers(1, 9)),
        st.tuples(st.just("ticks"), st.integers(1, 9)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("garbage"), st.just(0)),
        st.tuples(st.just("fail"), st.integers(1, 5)),
        st.tuples(st.just("rest"), st.just(0)),
        st.tuples(st.just("restart"), st.just(0)),
    ),
    max_size=12,
)


async def act(made: Desk, event: str, number: int) -> None:
    match event:
        case "ticks":
            made.bars(number)
        case "drop":
            made.fault("drop")
        case "garbage":
            for connection in made.net.server.hub.connections:
                connection.send({"channel": "candle", "data": number})
        case "fail":
            made.fault("error_500", count=number)
        case _:
            await made.caught_up()


async def live(events: list[tuple[str, int]], seed: int) -> list[tuple[Bar, bool]]:
    async with desk(history=5, seed=seed) as made:
        while True:
            feed = made.feed()
            made.clear()
            made.line.commands.clear()
            await feed.open()
            async with running(made, feed):
                while events and (event := events.pop(0))[0] != "restart":
                    await act(made, *event)
                if not events:
                    made.clear()
                    made.bars(5)
                    await made.caught_up()
            if not events:
                break
        made.check(history=5)
        assert len(made.line.of("BTC")) == len(made.truth("BTC")) - PAST + 5
        return made.line.bars


@settings(max_examples=15, deadline=None)
@given(EVENTS, st.integers(1, 1000))
def test_whatever_happens_each_bar_of_the_devnet_comes_once(events: list[tuple[str, int]], seed: int) -> None:
    asyncio.run(live(list(events), seed))


@pytest.mark.parametrize(("age_s", "is_late"), [(60, False), (61, True)])
async def test_nothing_is_entered_on_a_bar_that_closed_over_a_minute_ago(age_s: int, is_late: bool) -> None:
    async with desk(history=10) as made:
        feed = made.feed()
        await feed.open()
        before = len(made.line.bars)
        newest = made.line.of("BTC")[-1]
        later = replace(newest, ts_event=Nanos(newest.ts_event + M1))
        feed._take([Answer("BTC", [newest, later], Nanos(later.ts_event + age_s * NANOS_PER_S))])
        due = feed._turns._waiting
        assert before > 0
        assert [(one.bar.ts_event, one.is_late) for one in due] == [(later.ts_event, is_late)]
