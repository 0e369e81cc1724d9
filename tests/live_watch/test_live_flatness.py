"""``halt --flatten`` goes on until the venue says flat, not only the book, and takes away what others left there."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from tests.builders import replace
from tests.live_watch.bench import Bench, bench
from tradebot.live.flatness import Flatness
from tradebot.model.command import AlertName, Tick, TradingState, Verb
from tradebot.model.time import Nanos, from_ms
from tradebot.model.venue import Purpose, Remains, RestingOrder
from tradebot.venues.hyperliquid.sweep import HyperliquidSweep

pytestmark = pytest.mark.virtual_time

D = Decimal
FLATTEN = {"flatten": "true", "reason": "enough"}


class Told(HyperliquidSweep):
    """A sweep at a venue whose word is given by hand."""

    def __init__(self, remains: Sequence[Remains], kept: str = "") -> None:
        self.remains, self.kept = list(remains), kept
        self.closed: list[Mapping[str, Decimal]] = []
        self.cancelled: list[int] = []
        self.before_answer = lambda: None

    async def look(self) -> Remains:
        self.before_answer()
        return self.remains.pop(0) if len(self.remains) > 1 else self.remains[0]

    def now_ms(self) -> int:
        return 1_000

    async def cancel(self, orders: Sequence[RestingOrder]) -> Mapping[int, str]:
        self.cancelled += [found.order.oid for found in orders]
        return {found.order.oid: self.kept for found in orders} if self.kept else {}

    async def close(self, positions: Mapping[str, Decimal]) -> Mapping[str, str]:
        self.closed.append(dict(positions))
        return dict.fromkeys(positions, self.kept) if self.kept else {}


def said(ms: int | None = 2_000, orders: Sequence[RestingOrder] = (), **positions: str) -> Remains:
    held = {symbol: D(qty) for symbol, qty in positions.items()}
    return Remains(held, orders, None if ms is None else from_ms(ms))


def sweep(made: Bench) -> HyperliquidSweep:
    return HyperliquidSweep(made.venue._rest, made.gateway, made.venue.survey, D("0.05"))


def flatness(made: Bench, at: HyperliquidSweep | None = None) -> Flatness:
    return Flatness(made.line, at or sweep(made), made.reconciler.reconcile_now, ("BTC", "ETH"), made.page, made.sleep)


async def halted(made: Bench, watch: Flatness, **arguments: str) -> None:
    await made.line.command(Verb.HALT, FLATTEN | arguments)
    watch.begin()


async def settle(made: Bench, ticks: int = 3) -> None:
    """Let what is on its way arrive, and ticks with it."""
    for second in range(ticks):
        await made.carry()
        await made.hear()
        await made.line.deliver([Tick(ts_event=Nanos(second * 10**9))])


async def until_flat(made: Bench, watch: Flatness, looks: int = 12) -> None:
    for _ in range(looks):
        await watch.look()
        if watch.facts().is_flat:
            return
        await settle(made, 1)
    raise AssertionError(watch.facts())


async def at_venue(made: Bench) -> tuple[Mapping[str, Decimal], list[int]]:
    return (await made.venue.survey.account(Purpose.PROTECT)).held, made.resting()


async def test_it_ends_when_book_and_venue_are_flat() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch, heard = flatness(made), []
        watch.on_flat = lambda: heard.append("flat")
        await halted(made, watch)
        assert not watch.facts().is_flat
        await watch.look()
        assert watch.facts().positions == {"BTC": D("0.01")}
        assert all(order.own for order in watch.facts().orders)
        await settle(made)
        await until_flat(made, watch)
        assert (made.book(), await at_venue(made)) == ({}, ({}, []))
        assert [verb for verb, _ in made.line.commands] == [Verb.HALT]
        assert (made.pages, heard) == ([], ["flat"])


async def test_orders_and_positions_of_another_hand_are_taken_away() -> None:
    async with bench(coins=("BTC", "ETH", "SOL")) as made:
        await made.begin()
        await made.enter()
        for number in range(20):
            made.hand.trade("", "BTC", D("0.01"), made.price() * (D("0.9") - D(number) / 1000))
        # One coin that is traded here, and one that is not.
        made.hand.trade("", "ETH", D("0.05"))
        made.hand.trade("", "SOL", D("-3"))
        watch = flatness(made)
        await halted(made, watch)
        await watch.look()
        left = watch.facts()
        assert (set(left.positions), sum(not order.own for order in left.orders)) == ({"BTC", "ETH", "SOL"}, 20)
        await until_flat(made, watch)
        assert await at_venue(made) == ({}, [])
        assert watch.facts().others == []


async def test_a_stop_stays_until_its_position_is_closed() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        stops = set(made.resting())
        watch = flatness(made)
        await halted(made, watch)
        # The line's order does not leave yet: what protects must not go before it.
        for _ in range(3):
            await watch.look()
            assert set(made.resting()) == stops


async def test_own_leaves_what_is_of_others_and_names_it() -> None:
    async with bench(coins=("BTC", "ETH", "SOL")) as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "BTC", D("0.01"), made.price() * D("0.9"))
        made.hand.trade("", "SOL", D("3"))
        watch = flatness(made)
        await halted(made, watch, own="true")
        await settle(made)
        await until_flat(made, watch)
        held, resting = await at_venue(made)
        assert (dict(held), len(resting)) == ({"SOL": D(3)}, 1)
        assert [other.split()[0] for other in watch.facts().others] == ["3", "order"]


async def test_a_position_that_the_book_did_not_know_is_closed_too() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await halted(made, watch)
        await watch.look()
        await settle(made)
        made.hand.trade("", "ETH", D("0.05"))
        assert made.book() == {}
        await until_flat(made, watch)
        assert (made.book(), await at_venue(made)) == ({}, ({}, []))


async def test_line_and_sweep_together_never_turn_a_position() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await halted(made, watch)
        # The order of the line hangs: in the end the sweep closes beside it, and only then the line's arrives.
        for _ in range(6):
            await watch.look()
        assert (await at_venue(made))[0] == {}
        await settle(made)
        assert (await at_venue(made))[0] == {}
        await until_flat(made, watch)
        assert (made.book(), await at_venue(made)) == ({}, ({}, []))


async def test_a_look_from_before_it_was_asked_for_proves_nothing() -> None:
    async with bench() as made:
        await made.begin()
        watch = flatness(made, Told([said(999), said(None), said(1_000)]))
        await halted(made, watch)
        for _ in range(2):
            await watch.look()
            assert not watch.facts().is_flat
            assert "may not show all" in watch.facts().stuck
        await watch.look()
        assert watch.facts().is_flat


async def test_a_look_that_was_overtaken_by_another_wish_is_none() -> None:
    async with bench() as made:
        await made.begin()
        venue = Told([said()])
        watch = flatness(made, venue)
        await halted(made, watch)
        venue.before_answer = watch.begin
        await watch.look()
        assert not watch.facts().is_flat


async def test_an_order_that_was_sent_and_not_answered_is_left() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made, Told([said()]))
        await made.line.command(Verb.HALT, FLATTEN)
        watch.begin()
        await watch.look()
        (doubt,) = watch.facts().orders
        assert (doubt.what, doubt.symbol, watch.facts().is_flat) == ("sent, not answered", "BTC", False)


async def test_a_book_that_is_behind_asks_for_what_it_missed() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch, asked = flatness(made), []

        async def reconcile() -> None:
            asked.append(made.book())
            await made.reconciler.reconcile_now()

        watch._reconcile = reconcile
        await halted(made, watch)
        # Closed and cancelled at the venue, but nobody tells the line.
        await made.venue.submit(made.line.sent.pop(0))
        for _ in range(3):
            await watch.look()
        assert asked
        await until_flat(made, watch)
        assert made.book() == {}


async def test_what_the_venue_refuses_is_named_and_paged_once_it_stays() -> None:
    async with bench() as made:
        await made.begin()
        made.hand.trade("", "BTC", D("0.01"), made.price() * D("0.9"))
        (order,) = await made.venue.survey.resting(Purpose.PROTECT)
        order = replace(order, order=replace(order.order, symbol="@107"))
        venue = Told([said(orders=[order], DOGE="5")], kept="no counterparty")
        watch = flatness(made, venue)
        await halted(made, watch)
        await watch.look()
        assert made.pages == []
        await watch.look()
        assert [name for name, *_ in made.pages] == [AlertName.MISMATCH]
        assert venue.closed == [{"DOGE": D(5)}] * 2
        assert venue.cancelled == [order.order.oid] * 2
        stuck = watch.facts().stuck
        assert "no counterparty" in stuck
        assert str(order.order.oid) in stuck
        assert not watch.facts().is_flat


async def test_looks_are_further_and_further_apart_while_nothing_changes() -> None:
    async with bench() as made:
        await made.begin()
        venue, passed = Told([said(DOGE="5")], kept="no"), [0.0]
        looked: list[float] = []
        venue.before_answer = lambda: looked.append(round(passed[0], 1))

        async def sleep(seconds: float) -> None:
            passed[0] += seconds
            if passed[0] > 30:
                raise asyncio.CancelledError
            if round(passed[0], 1) == 20.0:
                # Asked for again, it is looked at now.
                watch.begin()

        watch = Flatness(made.line, venue, made.reconciler.reconcile_now, ("BTC",), made.page, sleep)
        await halted(made, watch)
        with pytest.raises(asyncio.CancelledError):
            await watch.run(lambda: None)
        pauses = [round(late - early, 1) for early, late in itertools.pairwise(looked)]
        assert pauses[:4] == pytest.approx([0.3, 0.5, 1.0, 2.0], abs=0.15)
        assert max(pauses) == pytest.approx(5.0, abs=0.15)
        assert 20.0 in looked


async def test_it_is_finished_at_the_venue_alone_when_the_line_takes_nothing_more() -> None:
    async with bench(coins=("BTC", "ETH", "SOL")) as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "SOL", D("-1"))
        watch, told = flatness(made), []
        watch.on_change = told.append
        await halted(made, watch)
        # The line's own orders never leave, and nothing that happens reaches it.
        sent = list(made.line.commands)
        assert await watch.finish(5.0)
        assert (made.line.commands, await at_venue(made)) == (sent, ({}, []))
        assert told == [True, False]


async def test_what_is_not_ours_is_left_when_it_is_finished_without_the_line() -> None:
    async with bench(coins=("BTC", "ETH", "SOL")) as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "SOL", D("-1"))
        watch = flatness(made)
        await halted(made, watch, own="true")
        assert await watch.finish(5.0)
        assert (await at_venue(made))[0] == {"SOL": D(-1)}


async def test_it_is_given_up_in_time_when_the_venue_never_says_flat() -> None:
    async with bench() as made:
        await made.begin()
        watch = flatness(made, Told([said(DOGE="5")], kept="no"))
        await halted(made, watch)
        assert not await watch.finish(5.0)


async def test_a_resume_ends_it() -> None:
    async with bench() as made:
        await made.begin()
        watch, told = flatness(made), []
        watch.on_change = told.append
        await halted(made, watch)
        await made.line.command(Verb.RESUME, {})
        made.hand.trade("", "ETH", D("0.05"))
        await watch.look()
        assert made.line.risk.trading_state is TradingState.RUNNING
        assert (await at_venue(made))[0] == {"ETH": D("0.05")}
        assert told == [True, False]
        watch.give_up()
        assert told == [True, False]


async def test_a_flattening_of_the_last_run_is_seen_through_too() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        await made.line.command(Verb.HALT, FLATTEN)
        watch = flatness(made)
        await watch.look()
        await settle(made)
        await until_flat(made, watch)
        assert await at_venue(made) == ({}, [])


async def test_nothing_is_looked_at_when_nothing_was_asked_for() -> None:
    async with bench() as made:
        await made.begin()
        venue = Told([said(DOGE="5")])
        watch = flatness(made, venue)
        await made.line.command(Verb.HALT, {"reason": "only halted"})
        await watch.look()
        assert venue.closed == []


async def test_a_sweep_goes_on_past_what_the_venue_does_not_do() -> None:
    async with bench(coins=("BTC", "ETH", "SOL")) as made:
        made.hand.trade("", "SOL", D("3"))
        at = sweep(made)
        refused = await at.close({"GONE": D(1), "SOL": D(3), "ETH": D(-1)})
        assert set(refused) == {"GONE", "ETH"}
        assert "no price" in refused["GONE"]
        assert (await at_venue(made))[0] == {}
        made.hand.trade("", "BTC", D("0.01"), made.price() * D("0.9"))
        (order,) = await made.venue.survey.resting(Purpose.PROTECT)
        others = [
            replace(order, order=replace(order.order, oid=oid, symbol=symbol))
            for oid, symbol in (("1", "GONE"), ("2", "@107"), ("3", "PURR/USDC"))
        ]
        kept = await at.cancel([*others, order])
        assert set(kept) == {"1", "2", "3"}
        assert "not known" in kept["1"]
        assert made.resting() == []


async def test_a_sweep_at_a_venue_that_is_away_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as made:
        made.hand.trade("", "BTC", D("0.01"), made.price() * D("0.9"))
        made.hand.trade("", "ETH", D("0.5"))
        (order,) = await made.venue.survey.resting(Purpose.PROTECT)
        made.fault("error_500")
        at = sweep(made)
        assert "500" in (await at.cancel([order]))[order.order.oid]
        assert "500" in (await at.close({"ETH": D("0.5")}))["ETH"]
        made.net.server.faults.clear()
        assert await at.cancel([order]) == {}
        made.fault("lost")
        assert await at.close({"ETH": D("0.5")}) != {}
        made.net.server.faults.clear()
        assert await at.close({"ETH": D("0.5")}) == {}
        assert await at_venue(made) == ({}, [])


async def test_a_position_off_the_lot_is_closed_whole() -> None:
    async with bench() as made:
        made.hand.trade("", "ETH", D("0.5"))
        assert await sweep(made).close({"ETH": D("0.49999999")}) == {}
        assert (await at_venue(made))[0] == {}
