"""Stops by the devnet's word: whatever became of one there, the position is protected, closed, or a human is told."""

from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live_watch.bench import Bench, bench
from tradebot.devnet.account import CROSS
from tradebot.live.stops import LEAST_AGE_S, PASSED_S
from tradebot.model.money import Price
from tradebot.model.order import OrderState, StopFault, StopFaulted
from tradebot.model.venue import Purpose
from tradebot.pipeline.orders.witness import LEAST_MARGIN

pytestmark = pytest.mark.virtual_time

D = Decimal


class Stopped:
    """A long position on the bench, with its stop as the devnet has it."""

    def __init__(self, made: Bench, name: str) -> None:
        self.made, self.name = made, name
        self.account: Any = made.hand.desk("").account

    @property
    def stop(self) -> Any:
        """The stop, as the devnet keeps it."""
        (stop,) = [one for one in self.account.open.values() if one.spec.tpsl == "sl" and one.coin.name == "BTC"]
        return stop

    @property
    def trigger(self) -> Decimal:
        return Decimal(self.stop.spec.trigger_px)

    def held(self) -> Decimal:
        return Decimal(self.account.position("BTC"))

    def faults(self) -> list[StopFault]:
        return [one.fault for one in self.made.line.delivered if isinstance(one, StopFaulted)]

    def is_protected(self) -> bool:
        return all(one.is_full for one in self.made.line.orders.protection())

    async def settle(self) -> None:
        """Let what the line sent arrive, and what followed be heard."""
        for _ in range(3):
            await self.made.carry()
            await self.made.hear()

    async def pass_seconds(self, seconds: int) -> None:
        """Look each second, as the comparison does."""
        for _ in range(seconds):
            await self.made.sleep(1)
            await self.made.reconciler.stops.look()
            await self.settle()


async def entered(made: Bench) -> Stopped:
    await made.begin()
    held = Stopped(made, await made.enter())
    # A stop that woke has an id of the venue's from here on.
    await made.looks(1)
    assert held.is_protected()
    return held


def fall(made: Bench) -> None:
    """Let the mark be beyond the stop, and whoever trades at market know of it."""
    at = made.net.exchange.markets["BTC"].coin.on_grid(made.price() * D("0.89"))
    made.net.server.admin.move("BTC", at)
    made.venue.mark("BTC", Price(at))


def amend(stop: Any, **changes: Any) -> None:
    """Change the terms of an order at the devnet behind our back."""
    for name, value in changes.items():
        object.__setattr__(stop.spec, name, value)


async def test_stops_that_rest_as_they_should_are_left_alone() -> None:
    async with bench() as made:
        held = await entered(made)
        made.reconciler.stops.on_mark("BTC", Price(made.price()))
        await made.looks(4)
        await held.pass_seconds(5)
        assert held.faults() == []
        assert held.is_protected()


async def test_a_stop_that_rests_for_less_is_replaced_after_two_looks() -> None:
    async with bench() as made:
        held = await entered(made)
        old = held.stop
        old.sz = old.sz / 2
        await made.looks(1)
        assert held.faults() == []
        assert made.reconciler.orders.is_open
        await made.looks(1)
        assert held.faults() == [StopFault.SIZE]
        assert not held.is_protected()
        await held.settle()
        assert held.stop is not old
        assert held.stop.sz == held.held()
        assert held.is_protected()
        assert not old.status.is_live


async def test_one_look_at_a_replica_that_lags_proves_nothing() -> None:
    async with bench() as made:
        held = await entered(made)
        size, held.stop.sz = held.stop.sz, held.stop.sz / 2
        await made.looks(1)
        held.stop.sz = size
        await made.looks(2)
        assert held.faults() == []


@pytest.mark.parametrize(("shift", "is_replaced"), [(D("0.98"), True), (D("1.02"), False)])
async def test_a_stop_moved_away_is_put_back_and_one_moved_nearer_is_kept(shift: Decimal, is_replaced: bool) -> None:
    async with bench() as made:
        held = await entered(made)
        before, old = held.trigger, held.stop
        moved = held.stop.coin.on_grid(before * shift)
        amend(old, trigger_px=moved)
        await made.looks(2)
        assert held.faults() == [StopFault.PRICE]
        await held.settle()
        await made.looks(3)
        assert held.faults() == [StopFault.PRICE]
        assert held.is_protected()
        assert (held.stop is not old) is is_replaced
        assert held.trigger == (before if is_replaced else moved)
        (covered,) = made.line.orders.protection()
        assert covered.stop_price == held.trigger


async def test_a_stop_that_would_open_a_position_is_replaced() -> None:
    async with bench() as made:
        held = await entered(made)
        amend(held.stop, reduce_only=False)
        await made.looks(2)
        assert held.faults() == [StopFault.SIDE]
        await held.settle()
        assert held.stop.spec.reduce_only


async def test_a_stop_beyond_the_liquidation_is_moved_before_it() -> None:
    async with bench() as made:
        held = await entered(made)
        # What the account loses elsewhere brings the liquidation nearer.
        account = held.account
        account.transfer(CROSS, account.maintenance(CROSS) - account.equity(CROSS) + D("0.04") * 600)
        state = await made.venue.survey.account(Purpose.WATCH)
        liquidation = state.positions[0].liquidation_price
        assert liquidation is not None
        assert held.trigger < liquidation < made.price()
        await made.reconciler.money.look_at_account()
        assert held.faults() == [StopFault.LIQUIDATION]
        assert made.reconciler.stops.liquidations == {"BTC": liquidation}
        await held.settle()
        assert held.trigger >= liquidation * (1 + LEAST_MARGIN)
        assert held.is_protected()
        await made.reconciler.money.look_at_account()
        assert held.faults() == [StopFault.LIQUIDATION]


async def test_where_the_liquidation_is_at_hand_the_position_is_closed() -> None:
    async with bench() as made:
        held = await entered(made)
        account = held.account
        account.transfer(CROSS, account.maintenance(CROSS) - account.equity(CROSS) + D("0.005") * 600)
        await made.reconciler.money.look_at_account()
        await held.settle()
        assert held.held() == 0


@pytest.mark.parametrize("fault", ["sleeping_stop", "unfilled_stop"])
async def test_a_stop_that_was_passed_is_followed_by_one_order_and_goes_with_the_position(fault: str) -> None:
    async with bench() as made:
        held = await entered(made)
        made.fault(fault)
        fall(made)
        made.reconciler.stops.on_mark("BTC", Price(made.price()))
        await made.looks(1)
        assert held.held() == D("0.01")
        await held.pass_seconds(int(PASSED_S))
        assert held.faults() == []
        await held.pass_seconds(1)
        assert held.faults() == [StopFault.UNFILLED]
        assert held.held() == 0
        assert made.resting() == []
        await held.pass_seconds(10)
        exits = [name for name in made.line.orders.book() if "-exit" in name]
        assert len(exits) == 1
        assert made.line.orders.book()[exits[0]].state is OrderState.FILLED
        assert held.faults() == [StopFault.UNFILLED]


async def test_a_stop_that_filled_in_part_and_stuck_is_followed_for_the_rest() -> None:
    async with bench() as made:
        held = await entered(made)
        made.fault("unfilled_stop", value=D("0.004"), coin="BTC")
        fall(made)
        await held.settle()
        assert held.held() == D("0.006")
        # The mark is not known here; the venue lists the stop as triggered.
        await made.looks(1)
        await held.pass_seconds(5)
        assert held.held() == 0
        assert made.book() == {}
        assert made.resting() == []


async def test_a_stop_that_filled_while_nobody_told_is_asked_for_and_not_followed() -> None:
    async with bench() as made:
        held = await entered(made)
        fall(made)
        assert held.held() == 0
        made.reconciler.stops.on_mark("BTC", Price(made.price()))
        for _ in range(5):
            await made.sleep(1)
            await made.reconciler.stops.look()
        assert held.faults() == []
        assert made.book() == {}
        assert not [name for name in made.line.orders.book() if "-exit" in name]


async def test_a_mark_that_comes_back_in_time_changes_nothing() -> None:
    async with bench() as made:
        held = await entered(made)
        stops = made.reconciler.stops
        for _ in range(3):
            stops.on_mark("BTC", Price(held.trigger * D("0.99")))
            await held.pass_seconds(int(PASSED_S))
            stops.on_mark("BTC", Price(made.price()))
            await held.pass_seconds(1)
        assert held.faults() == []
        assert LEAST_AGE_S == 5
