"""The comparison at the devnet: whatever somebody does to the account behind our back, it is mended, or paged."""

import asyncio
import contextlib
from decimal import Decimal

import pytest

from tests.builders import approved, canceled, signal
from tests.live_watch.bench import Bench, at, bench
from tests.virtual import LoopClock
from tradebot.live.reconcile import Reconciler
from tradebot.model.command import AlertName, TradingState, Verb
from tradebot.model.errors import VenueError
from tradebot.model.order import FillReport, OrderAccepted, OrderCanceled, OrderFound, OrderState, SubmitOrders
from tradebot.model.position import Deposit
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.resilience import Policy

pytestmark = pytest.mark.virtual_time

D = Decimal
PLENTY = 10**7
HASTY = Policy(
    base_s=0.001, cap_s=0.001, limited_base_s=0.001, limited_cap_s=0.001, attempts=2, weight_per_minute=PLENTY
)


def state(made: Bench, name: str) -> OrderState:
    orders = made.line.orders.save()
    return (orders.done | orders.orders)[name].state


async def test_a_book_that_agrees_is_found_so_at_the_first_look() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        before = list(made.line.delivered)
        await made.reconciler.reconcile_now()
        await made.looks(4)
        assert made.pages == []
        assert not [m for m in made.line.delivered[len(before) :] if not isinstance(m, FillReport | OrderAccepted)]
        assert made.reconciler.residual is not None
        assert abs(made.reconciler.residual) <= D("0.01")
        assert made.reconciler.account is not None
        assert made.line.commands == []


async def test_a_trade_by_hand_is_booked_and_nobody_paged_for_a_mismatch() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "BTC", D("-0.004"))
        await made.reconciler.reconcile_now()
        assert made.book() == {"BTC": D("0.006")}
        assert AlertName.MISMATCH not in made.paged
        assert made.line.commands == []


async def test_a_fill_that_the_socket_never_told_is_booked_though_it_was_read_before() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "BTC", D("-0.004"))
        # Read, and lost on the way to the line.
        await made.venue.catch_up(made.gateway.time.ms(), ())
        await made.reconciler.reconcile_now()
        assert made.book() == {"BTC": D("0.006")}


async def test_a_stop_cancelled_by_hand_is_heard_of() -> None:
    async with bench() as made:
        await made.begin()
        name = await made.enter()
        made.hand.cancel("", "BTC")
        await made.looks(1)
        assert state(made, f"{name}-stop") is OrderState.CANCELED
        # The line answers with a new stop.
        await made.carry()
        await made.looks(2)
        assert len(made.resting()) >= 1
        assert AlertName.UNKNOWN_ORDER not in made.paged


async def test_an_order_that_nobody_knows_stays_as_it_is_and_is_paged_once() -> None:
    async with bench() as made:
        await made.begin()
        name = await made.enter()
        # The venue forgets all of it, as no venue should.
        account = made.hand.desk("").account
        account.open.clear()
        account.by_cloid.clear()
        account.orders.clear()
        await made.looks(5)
        assert state(made, f"{name}-stop") is OrderState.OPEN
        assert made.paged.count(AlertName.UNKNOWN_ORDER) == 2, "the stop and the target"
        assert not [m for m in made.line.delivered if isinstance(m, OrderCanceled)]


async def test_an_order_of_ours_that_the_book_holds_for_done_is_cancelled_and_paged() -> None:
    async with bench() as made:
        await made.begin()
        name = await made.enter()
        await made.line.deliver([canceled(f"{name}-target")])
        made.line.sent.clear()
        before = made.resting()
        await made.looks(1)
        assert made.resting() == before, "one look proves nothing"
        await made.looks(2)
        assert len(made.resting()) == len(before) - 1
        assert made.paged == [AlertName.MISMATCH]


async def test_foreign_orders_are_told_once_and_never_touched() -> None:
    async with bench() as made:
        await made.begin()
        made.hand.trade("", "BTC", D("0.01"), made.price() * D("0.8"))
        made.hand.trade("", "ETH", D("0.1"), made.price("ETH") * D("0.8"))
        await made.looks(4)
        assert made.paged == [AlertName.FOREIGN_ORDER] * 2
        assert len(made.resting()) == 2
        assert sorted(int(order.oid) for order in made.reconciler.orders.foreign) == made.resting()


async def test_further_foreign_orders_are_told_too_those_of_one_look_together() -> None:
    async with bench() as made:
        await made.begin()
        for count in (1, 12):
            for number in range(count):
                made.hand.trade("", "BTC", D("0.01"), made.price() * (D("0.8") - D(number) / 1000))
            await made.looks(1)
        assert made.paged == [AlertName.FOREIGN_ORDER] * 2
        assert "1: buy 0.01" in made.pages[0][2]
        assert "and 2 more" in made.pages[1][2]


async def test_a_position_that_stays_different_freezes_its_symbol_and_thaws_when_equal() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        # The venue forgets what explains it.
        made.hand.trade("", "BTC", D("-0.004"))
        made.hand.desk("").account.fills.clear()
        await made.looks(2)
        assert made.line.commands == []
        await made.looks(3)
        assert made.line.commands == [(Verb.FREEZE, {"symbol": "BTC", "reason": "mismatch"})]
        assert made.pages == [(AlertName.MISMATCH, "BTC", "BTC: the venue holds 0.006, the book 0.01")]
        (differs,) = made.reconciler.money.mismatches
        assert (differs.symbol, differs.book, differs.venue) == ("BTC", D("0.01"), D("0.006"))
        made.hand.trade("", "BTC", D("0.004"))
        made.hand.desk("").account.fills.clear()
        await made.looks(1)
        assert made.line.commands[1:] == [(Verb.THAW, {"symbol": "BTC", "reason": "mismatch"})]
        assert made.reconciler.money.mismatches == ()


async def test_what_is_traded_away_by_hand_stays_different_and_a_halt_ends_it() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.hand.trade("", "BTC", D("-0.004"))
        made.hand.desk("").account.fills.clear()
        await made.looks(5)
        made.hand.trade("", "BTC", D("0.004"))
        await made.looks(5)
        (differs,) = made.reconciler.money.mismatches
        assert differs.venue - differs.book == D("-0.004")
        assert "tradebot halt" in differs.mend
        await made.line.command(Verb.HALT, {})
        await made.looks(3)
        assert made.line.frozen == {}
        assert made.book() == {"BTC": D("0.01")}
        # What nobody told of is the fee of the trade that was lost.
        assert [one.symbol for one in made.reconciler.money.mismatches] == [""]


async def test_the_residual_is_not_that_of_before_while_a_position_differs() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        await made.looks(1)
        before = made.reconciler.residual
        made.hand.trade("", "BTC", D("-0.004"))
        made.hand.desk("").account.fills.clear()
        await made.looks(5)
        assert made.reconciler.residual != before


async def test_what_the_last_run_froze_thaws_only_when_it_agrees() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.freeze("BTC", "mismatch")
        made.freeze("BTC", "stale")
        made.freeze("ETH", "mismatch")
        made.hand.trade("", "BTC", D("-0.004"))
        made.hand.desk("").account.fills.clear()
        await made.looks(1)
        assert made.line.frozen == {"BTC": ("mismatch", "stale")}


async def test_deposits_and_withdrawals_become_inputs_once() -> None:
    async with bench() as made:
        await made.begin()
        made.net.exchange.fund(made.net.user, D(500))
        made.hand.withdraw("", D("120.5"))
        await made.reconciler.reconcile_now()
        await made.looks(3)
        told = [message.amount for message in made.line.delivered if isinstance(message, Deposit)]
        assert told == [D(10_000), D(500), D("-120.5")]
        assert made.line.risk.save().cash == D("10379.5")
        assert (made.pages, made.reconciler.residual) == ([], D(0))


async def test_money_that_nothing_explains_is_paged_once_an_amount() -> None:
    async with bench() as made:
        await made.begin()
        account = made.hand.desk("").account
        account.transfer(next(iter(account.pools)), D(7))
        await made.looks(5)
        assert made.paged == [AlertName.MISMATCH]
        assert made.reconciler.residual == D(7)
        (differs,) = made.reconciler.money.mismatches
        assert (differs.symbol, differs.venue - differs.book) == ("", D(7))
        # Breakers are told, and once.
        assert made.line.risk.save().residual == D(7)
        account.transfer(next(iter(account.pools)), D(1))
        await made.looks(5)
        assert made.paged == [AlertName.MISMATCH] * 2


@pytest.mark.parametrize("fault", ["error_500", "error_502", "rate_limit", "maintenance"])
async def test_a_look_in_which_a_read_failed_is_none(fault: str) -> None:
    async with bench(policy=HASTY) as made:
        await made.begin()
        await made.enter()
        made.fault(fault)
        for _ in range(4):
            with contextlib.suppress(VenueError):
                await made.looks(1)
        assert made.pages == []
        assert made.line.commands == []
        made.net.server.faults.clear()


async def test_a_lagging_replica_makes_no_mismatch_of_what_just_happened() -> None:
    async with bench() as made:
        await made.begin()
        made.fault("replica_lag", value=D("0.3"))
        await made.enter()
        await made.reconciler.orders.look_at_orders()
        await made.reconciler.money.look_at_account()
        await asyncio.sleep(0.4)
        await made.looks(3)
        assert made.pages == []
        assert made.book() == {"BTC": D("0.01")}


async def test_orders_of_a_lost_state_directory_are_adopted_by_a_blank_book() -> None:
    async with bench() as made:
        await made.begin()
        name = await made.enter()
        async with RestClient(made.net.url, made.resilience, timeout_s=0.5) as rest:
            anew = await at(made.net, rest, made.resilience, LoopClock(), b"anew")
            await anew.reconciler.reconcile_now()
            found = {m.order.client_order_id: m for m in anew.line.delivered if isinstance(m, OrderFound)}
            assert set(found) == {f"{name}-stop", f"{name}-target"}
            stop = found[f"{name}-stop"].order
            assert (stop.strategy, stop.symbol, stop.signal_id) == ("cross", "BTC", name)
            assert stop.reduce_only
            assert len(made.resting()) == 2, "adopted, not cancelled"
            # By the cloid it was placed with.
            assert [type(m) for m in await anew.venue.status(f"{name}-stop")] == [OrderAccepted]


async def test_another_bot_on_the_account_halts_this_one() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        async with RestClient(made.net.url, made.resilience, timeout_s=0.5) as rest:
            rival = await at(made.net, rest, made.resilience, LoopClock(), b"othr")
            rival.signals = 7
            await rival.enter()
            await made.looks(2)
            assert made.line.risk.trading_state is TradingState.HALTED
            assert [verb for verb, _ in made.line.commands] == [Verb.HALT]
            assert len(made.resting()) == 4, "nothing of the other is touched"


async def test_leverage_changed_by_hand_is_paged_while_held_and_set_back_before_the_next_entry() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        account = made.hand.desk("").account
        account.leverage["BTC"] = type(account.leverage_of("BTC"))(True, 20)
        await made.looks(3)
        assert made.pages == [(AlertName.MISMATCH, "BTC", "BTC is held with leverage 20, cross, not as configured")]
        await made.enter()
        assert account.leverage_of("BTC").value == 5


async def test_leverage_changed_while_flat_is_set_back_before_the_next_entry() -> None:
    async with bench() as made:
        await made.begin()
        made.venue.leverage.set_anew("BTC")
        await made.enter()
        made.hand.trade("", "BTC", D("-0.01"))
        await made.looks(1)
        account = made.hand.desk("").account
        account.leverage["BTC"] = type(account.leverage_of("BTC"))(True, 20)
        await made.looks(8)
        await made.enter()
        assert account.leverage_of("BTC").value == 5


async def test_an_order_sent_and_unanswered_is_asked_for_until_it_is_known() -> None:
    async with bench() as made:
        await made.begin()
        price = made.price()
        made.line.run(approved(signal("cross-BTC-1", close=price, stop=str(price * D("0.9"))), "0.01"))
        submit = made.line.sent.pop()
        # It reached the venue, and its answer nobody.
        assert isinstance(submit, SubmitOrders)
        await made.venue.submit(submit)
        assert state(made, "cross-BTC-1-entry") is OrderState.SUBMITTED
        for _ in range(30):
            await made.sleep(1)
            await made.reconciler.orders.look_in_flight()
        assert state(made, "cross-BTC-1-entry") in {OrderState.OPEN, OrderState.FILLED}
        await made.looks(3)
        assert made.book() == {"BTC": D("0.01")}


async def test_an_order_that_was_sent_and_never_seen_is_paged_after_a_minute() -> None:
    async with bench() as made:
        await made.begin()
        await made.enter()
        made.line.run(approved(signal("cross-BTC-9", close=made.price(), stop="1"), "0.01"))
        held = Reconciler(made.sides(in_hands=lambda _name: True), made.sleep)
        for second in range(130):
            assert (made.pages != []) == (second > 61)
            await made.sleep(1)
            await made.reconciler.orders.look_in_flight()
            await held.orders.look_in_flight()
        assert set(made.paged) == {AlertName.UNKNOWN_ORDER}
        assert len(made.paged) == 2, "entry and stop, each once"
        assert state(made, "cross-BTC-9-entry") is OrderState.SUBMITTED


async def test_the_comparison_keeps_to_its_budget() -> None:
    async with bench(policy=Policy()) as made:
        await made.begin()
        await made.enter()
        used = made.resilience.requests
        before = used.left(made.resilience.now())
        await made.looks(3)
        # Per look: open orders, account, and once in four the leverage of a symbol.
        assert before - used.left(made.resilience.now()) <= 3 * (20 + 2) + 20


async def test_it_runs_until_it_is_cancelled_and_survives_a_venue_that_is_down() -> None:
    async with bench(policy=Policy(base_s=0.001, cap_s=0.001, attempts=1)) as made:
        await made.begin()
        ready = asyncio.Event()
        made.fault("error_500")
        looked = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await asyncio.sleep(0.005)
            made.clock.advance(int(seconds * 1e9))
            if made.reconciler.account is not None:
                looked.set()

        made.reconciler = Reconciler(made.sides(), sleep)
        task = asyncio.create_task(made.reconciler.run(ready.set))
        await ready.wait()
        await asyncio.sleep(0.05)
        made.net.server.faults.clear()
        async with asyncio.timeout(20):
            await looked.wait()
        task.cancel()
        await asyncio.wait({task})
        assert made.pages == []
