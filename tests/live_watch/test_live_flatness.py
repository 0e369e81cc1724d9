"""``halt --flatten`` goes on until the venue says flat, not only the book."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

import pytest

from tests.live_watch.bench import Bench, bench
from tradebot.model.command import AlertName, Tick, TradingState, Verb
from tradebot.model.time import Nanos
from tradebot.runtime.live.flatness import Flatness
from tradebot.venues.resilience import Purpose

D = Decimal
FLATTEN = {"flatten": "true", "reason": "enough"}


def flatness(made: Bench) -> Flatness:
    async def positions() -> Mapping[str, Decimal]:
        held = (await made.venue.survey.account(Purpose.PROTECT)).positions
        return {position.symbol: position.qty for position in held if position.qty}

    return Flatness(made.line, positions, made.reconciler.reconcile_now, made.page, made.sleep)


async def settle(made: Bench, ticks: int = 3) -> None:
    """Let what is on its way arrive, and ticks with it."""
    for second in range(ticks):
        await made.carry()
        await made.hear()
        await made.line.deliver([Tick(ts_event=Nanos(second * 10**9))])


async def test_it_ends_when_book_and_venue_are_flat() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await made.line.command(Verb.HALT, FLATTEN)
        await watch.look()
        await settle(made)
        await watch.look()
        assert (made.book(), (await made.venue.survey.account(Purpose.PROTECT)).positions) == ({}, ())
        assert [verb for verb, _ in made.line.commands] == [Verb.HALT]
        assert made.pages == []


async def test_a_position_that_the_book_did_not_know_is_closed_too() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await made.line.command(Verb.HALT, FLATTEN)
        await watch.look()
        await settle(made)
        made.hand.trade("", "ETH", D("0.05"))
        assert made.book() == {}
        await watch.look()
        assert [verb for verb, _ in made.line.commands] == [Verb.HALT, Verb.HALT]
        await settle(made)
        await watch.look()
        assert (made.book(), (await made.venue.survey.account(Purpose.PROTECT)).positions) == ({}, ())


async def test_what_the_bot_cannot_close_is_paged() -> None:
    async with bench(coins=("BTC", "ETH")) as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)

        async def nothing() -> None:
            pass

        blind = Flatness(made.line, watch._positions, nothing, made.page, made.sleep)
        await made.line.command(Verb.HALT, FLATTEN)
        await blind.look()
        await settle(made)
        made.hand.trade("", "ETH", D("0.05"))
        await blind.look()
        assert AlertName.MISMATCH in made.paged


async def test_what_the_bot_cannot_close_is_not_asked_for_each_second() -> None:
    async with bench() as made:
        await made.begin()
        slept: list[float] = []

        async def held() -> Mapping[str, Decimal]:
            return {"DOGE": D(5)}

        async def nothing() -> None:
            pass

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 2:
                await made.line.command(Verb.RESUME, {})
            if len(slept) == 3:
                raise asyncio.CancelledError

        watch = Flatness(made.line, held, nothing, made.page, sleep)
        await made.line.command(Verb.HALT, FLATTEN)
        watch.begin()
        with pytest.raises(asyncio.CancelledError):
            await watch.run(lambda: None)
        assert slept[0] == slept[1] >= 30
        assert slept[2] == 1


async def test_a_resume_ends_it() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await made.line.command(Verb.HALT, FLATTEN)
        await watch.look()
        await made.line.command(Verb.RESUME, {})
        made.hand.trade("", "ETH", D("0.05"))
        await watch.look()
        assert made.line.risk.trading_state is TradingState.RUNNING
        assert [verb for verb, _ in made.line.commands] == [Verb.HALT, Verb.RESUME]


async def test_a_flattening_that_ended_between_two_looks_is_seen_through_too() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        watch = flatness(made)
        await made.line.command(Verb.HALT, FLATTEN)
        watch.begin()
        await settle(made)
        assert not made.line.risk.is_flattening
        made.hand.trade("", "ETH", D("0.05"))
        await watch.look()
        assert [verb for verb, _ in made.line.commands] == [Verb.HALT, Verb.HALT]
