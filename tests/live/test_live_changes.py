"""The venue changes while we trade: coins end, lots and ticks change, and the bot goes on by what holds then."""

from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live.rehearsal import HALF, LONG, OUT, TRAIL, D, Run, run, stage
from tradebot.live import instruments
from tradebot.model.command import Alert, AlertName, Verb
from tradebot.model.errors import ConfigError
from tradebot.model.instrument import Listing
from tradebot.model.order import OrderRejected, SubmitOrders
from tradebot.model.position import RoundTrip
from tradebot.model.signal import Refused
from tradebot.pipeline.orders.foreign import SETTLEMENT
from tradebot.store.codec import decode_message
from tradebot.store.rows import Query

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("_quick")]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "_LEAST_S", 0.0)


async def enter(bot: Run, coin: str = "BTC") -> None:
    await bot.bar(LONG, coin)
    await bot.until(lambda: bot.position(coin) > 0 and is_protected(bot, coin))
    await bot.agreed()


def is_protected(bot: Run, coin: str) -> bool:
    return all(one.is_full for one in bot.engine.orders.protection() if one.symbol == coin)


async def said(bot: Run, kind: type) -> list:
    await bot.engine.durable()
    return [decode_message(row.kind, row.payload) async for row in bot.journal.scan(Query(kinds=[kind.kind]))]


async def alerts(bot: Run, name: AlertName) -> list[str]:
    return [alert.what for alert in await said(bot, Alert) if alert.name is name]


def listing(bot: Run, coin: str = "BTC") -> Listing:
    return bot.engine.risk.listing(coin)


def fed(bot: Run) -> set[str]:
    """Return the coins whose bars are asked for."""
    assert bot.live.feed is not None
    return set(bot.live.feed._bars)


async def last_refusal(bot: Run) -> str:
    return (await said(bot, Refused))[-1].gate


async def look(bot: Run) -> None:
    """Let the hour be over."""
    await bot.instruments.look()


async def test_a_delisted_coin_ends_alone_and_its_position_is_booked_as_the_venue_settles_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            await enter(bot, "ETH")
            sent = len(await bot.submitted())
            venue.hand.delist("BTC")
            await bot.until(lambda: listing(bot) is Listing.DELISTED)
            assert await alerts(bot, AlertName.SYMBOL_ENDED) == [
                f"BTC is delisted at the venue: no orders of it are taken; long {bot.position()} is held"
            ]
            await bot.bar(OUT)
            assert await last_refusal(bot) == "not_traded"
            assert "settlement" in (await bot.command(Verb.CLOSE, symbol="BTC")).error
            await bot.bar(OUT, "ETH")
            await bot.until(lambda: bot.position("ETH") == 0)
            # Of the ended one nothing more was sent: one repair at most before it was known, then silence.
            later = [name for name in (await bot.submitted())[sent:] if "BTC" in name]
            assert len(later) <= 2, later
            held = bot.position()
            document = bot.engine.books()
            assert document.risk.untraded == {"BTC": Listing.DELISTED}
        async with run(venue) as bot:
            assert bot.position() == held
            assert any("still delisted" in what for name, what in venue.pages if name is AlertName.SYMBOL_ENDED)
            await enter(bot, "ETH")
            venue.move("1.01", "BTC")
            venue.hand.settle("BTC")
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            (trip,) = [trip for trip in await said(bot, RoundTrip) if trip.symbol == "BTC"]
            assert trip.exit_reason == SETTLEMENT
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.position("ETH") > 0
        assert venue.repeated == {}


async def test_a_position_that_was_settled_without_a_fill_to_show_is_taken_over_as_the_venue_has_it(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            await bot.bar()
        venue.hand.delist("BTC")
        venue.hand.settle("BTC")
        venue.desk.fills.clear()
        async with run(venue) as bot:
            await bot.until(lambda: bot.position() == 0)
            (trip,) = await said(bot, RoundTrip)
            assert trip.exit_reason == SETTLEMENT


async def test_a_coin_that_ends_while_nothing_is_held_is_seen_within_the_hour_and_may_come_back(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            venue.hand.delist("ETH")
            await look(bot)
            assert listing(bot, "ETH") is Listing.DELISTED
            await bot.bar(LONG, "ETH")
            assert await last_refusal(bot) == "not_traded"
            assert fed(bot) == {"BTC"}
        async with run(venue) as bot:
            await enter(bot)
            assert fed(bot) == {"BTC"}
            venue.hand.list_again("ETH")
            await look(bot)
            assert fed(bot) == {"BTC", "ETH"}
            await enter(bot, "ETH")


async def test_a_halted_coin_waits_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(tmp_path) as venue, run(venue) as bot:
        await enter(bot)
        venue.hand.halt("BTC")
        await bot.bar(OUT)
        await bot.until(lambda: listing(bot) is Listing.HALTED)
        sent = len(await bot.submitted())
        (what,) = await alerts(bot, AlertName.SYMBOL_ENDED)
        assert what.endswith("the venue says: Trading of BTC is halted.")
        await bot.bar()
        assert len(await bot.submitted()) == sent
        assert bot.is_protected()
        venue.hand.list_again("BTC")
        monkeypatch.setattr(bot.instruments, "_halted", {})
        await look(bot)
        await bot.until(lambda: bot.position() == 0)
        await bot.agreed()


@pytest.mark.parametrize("decimals", [2, 3])
@pytest.mark.parametrize("is_told", [True, False])
async def test_an_exit_is_formed_anew_when_the_lot_has_changed(tmp_path: Path, decimals: int, is_told: bool) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            held = bot.position()
            assert held % D(1).scaleb(-decimals), "the position is no whole number of the new lots"
            venue.hand.change_rules("BTC", decimals, None)
            if is_told:
                await look(bot)
            await bot.bar(OUT)
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            sizes = [
                order.qty
                for message in await said(bot, SubmitOrders)
                for order in message.orders
                if order.role == "exit"
            ]
            assert len(sizes) == len(set(sizes)), "never sent again unchanged"
            assert len(sizes) == (1 if is_told else 2)
            assert (await alerts(bot, AlertName.RULES_CHANGED))[0].startswith(
                "the venue changed the rules of BTC: tick"
            )
        assert venue.position() == 0
        assert venue.resting() == []


async def test_a_stop_that_is_lost_comes_back_in_the_lots_that_hold_also_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            held = bot.position()
            stop = venue.resting()[0]
            venue.hand.change_rules("BTC", 3, None)
            # What rests keeps the size that it was taken with, and so does not need anything.
            await look(bot)
            await bot.bar()
            assert venue.resting()[0] == stop
        async with run(venue) as bot:
            await bot.agreed()
            assert bot.is_protected()
            venue.hand.cancel("", "BTC")
            await bot.until(bot.is_protected)
            await bot.agreed()
            assert held <= venue.resting()[0][1] < held + D("0.001") or venue.resting()[0][1] == held
            await bot.bar(TRAIL)
            await bot.quiet()
            await bot.agreed()
            assert bot.is_protected()
            await bot.bar(HALF)
            await bot.until(lambda: bot.position() < held)
            await bot.agreed()
            await bot.bar(OUT)
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
        assert venue.repeated == {}


async def test_what_was_refused_by_the_old_lot_goes_after_a_restart_that_knows_the_new_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
            venue.hand.change_rules("BTC", 2, None)
            # The bot dies before it has looked.
            bot.live.trading.broker.doubted = lambda symbol, words: None
            await bot.bar(OUT)
            for _ in range(500):
                if await said(bot, OrderRejected):
                    break
                await bot.quiet()
        async with run(venue) as bot:
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
        assert venue.position() == 0


async def test_leverage_and_fees_are_those_of_now(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.leverage = 20
        async with run(venue) as bot:
            await enter(bot)
            await bot.bar(OUT)
            await bot.until(lambda: bot.position() == 0)
            await bot.agreed()
            venue.hand.change_rules("BTC", None, 7)
            venue.desk.taker_bps = D(9)
            await look(bot)
            fees = bot.engine.risk.save().fees
            await enter(bot)
            assert venue.desk.leverage_of("BTC").value == 7
            paid = bot.engine.risk.save().fees - fees
            notional = bot.position() * bot.engine.risk.save().positions["BTC"].entry_price
            assert round(paid / notional * 10_000, 3) == 9


async def test_a_bot_boots_without_a_symbol_that_the_venue_does_not_know_any_more(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        venue.symbols = '"BTC", "ETH", "GONE"'
        async with run(venue) as bot:
            await bot.agreed()
            assert listing(bot, "GONE") is Listing.UNLISTED
            assert (await alerts(bot, AlertName.SYMBOL_ENDED))[0].startswith("GONE is unlisted at the venue")
            assert fed(bot) == {"BTC", "ETH"}
            await bot.bar(OUT)
            await bot.until(lambda: bot.position() == 0)


async def test_a_home_that_was_never_up_says_that_a_symbol_is_not_traded(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        venue.symbols = '"BTC", "GONE"'
        with pytest.raises(ConfigError, match="GONE is not traded"):
            async with run(venue):
                pass


async def test_a_lost_journal_is_no_reason_to_leave_a_position_alone(tmp_path: Path) -> None:
    async with stage(tmp_path) as venue:
        async with run(venue) as bot:
            await enter(bot)
        (tmp_path / "home").rename(tmp_path / "lost")
        venue.symbols = '"BTC", "GONE"'
        async with run(venue) as bot:
            await bot.until(lambda: bot.position() > 0)
            assert bot.is_protected()
