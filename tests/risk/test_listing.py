"""What the venue trades no more is not entered, and what that means is told once."""

from decimal import Decimal

import pytest

from tests.builders import FIRST, bar, bars_closed, cash, command, instrument, signal
from tests.risk.test_live_account import decide, stage
from tests.risk.test_wanted_exits import Bot, gate, leave
from tradebot.model.command import Alert, AlertName, CommandDone, Verb
from tradebot.model.instrument import Instrument, InstrumentSeen, Listing
from tradebot.model.order import Fill, Liquidity, OrderRole, OrderSide
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.pipeline.risk.book import RiskState
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.store.codec import decode, encode


def seen(listing: Listing = Listing.TRADED, words: str = "", **rules: str) -> InstrumentSeen:
    made = instrument(**rules)  # type: ignore[arg-type]
    return InstrumentSeen(ts_event=FIRST, instrument=made, listing=listing, words=words)


def told(risk: RiskStage, message: InstrumentSeen) -> list[tuple[AlertName, str]]:
    return [(alert.name, alert.what) for alert in risk.handle(message) if isinstance(alert, Alert)]


def again(risk: RiskStage) -> RiskStage:
    made = stage()
    made.load(decode(RiskState, encode(risk.save())))
    return made


def hold(risk: RiskStage) -> Approved:
    entry = decide(risk)
    assert isinstance(entry, Approved)
    risk.handle(bars_closed(bar(close="100")))
    risk.handle(
        Fill(
            ts_event=FIRST,
            trade_id="t1",
            client_order_id=f"{entry.signal.id}-entry",
            signal_id=entry.signal.id,
            strategy=entry.signal.strategy,
            symbol="BTC",
            role=OrderRole.ENTRY,
            side=OrderSide.BUY,
            qty=entry.qty,
            price=entry.signal.close,
            fee=cash(0),
            liquidity=Liquidity.TAKER,
            reason="entry",
        )
    )
    return entry


@pytest.mark.parametrize("listing", [Listing.HALTED, Listing.DELISTED, Listing.UNLISTED])
def test_what_is_not_traded_is_not_entered_and_comes_back(listing: Listing) -> None:
    risk = stage()
    assert risk.is_news(seen(listing))
    assert [name for name, _ in told(risk, seen(listing, "no"))] == [AlertName.SYMBOL_ENDED]
    risk = again(risk)
    assert not risk.is_news(seen(listing))
    assert told(risk, seen(listing)) == []
    refused = decide(risk)
    assert isinstance(refused, Refused)
    assert (refused.gate, refused.detail) == ("not_traded", f"BTC is {listing} at the venue")
    assert risk.save().untraded == {"BTC": listing}
    assert isinstance(decide(risk, signal("cross-ETH-1", symbol="ETH")), Approved)
    assert told(risk, seen()) == []
    assert isinstance(decide(risk), Approved)


@pytest.mark.parametrize("action", [Action.EXIT, Action.MOVE_STOP])
def test_what_has_ended_is_left_by_the_venue_alone(action: Action) -> None:
    risk = stage()
    hold(risk)
    ((name, what),) = told(risk, seen(Listing.DELISTED, "BTC is delisted."))
    assert name is AlertName.SYMBOL_ENDED
    assert what.endswith("long 4 is held; the venue says: BTC is delisted.")
    wish: Signal = signal("cross-BTC-2", action)
    refused = decide(risk, wish)
    assert isinstance(refused, Refused)
    assert refused.gate == "not_traded"
    (done,) = risk.handle(command(Verb.CLOSE, {"symbol": "BTC"}))
    assert isinstance(done, CommandDone)
    assert "wait for its settlement" in done.error


def test_other_rules_are_told_and_hold_from_then_on() -> None:
    risk = stage()
    ((name, what),) = told(risk, seen(lot="3", tick="0.5"))
    assert (name, what) == (
        AlertName.RULES_CHANGED,
        "the venue changed the rules of BTC: tick 0.1 -> 0.5, lot 0.001 -> 3",
    )
    entry = decide(again(risk))
    assert isinstance(entry, Approved)
    assert entry.qty == 3
    assert risk.instrument("BTC").lot == 3
    assumed = InstrumentSeen(ts_event=FIRST, instrument=Instrument(symbol="BTC", lot=Decimal(3)))
    assert "tick 0.5 -> assumed" in told(risk, assumed)[0][1]


def test_a_close_names_what_is_known_when_it_is_asked_for_what_is_not() -> None:
    risk = stage()
    risk.handle(InstrumentSeen(ts_event=FIRST, instrument=instrument("SOL")))
    (done,) = risk.handle(command(Verb.CLOSE, {"symbol": "GONE"}))
    assert isinstance(done, CommandDone)
    assert "BTC, ETH, SOL" in done.error


def test_an_exit_that_closes_more_takes_over_from_one_that_was_refused() -> None:
    bot = Bot()
    bot.give(leave(2, "0.5"))
    assert gate(bot.give(leave(3))) == "already_closing", "it is at work"
    bot.refuse()
    assert gate(bot.give(leave(4, "0.5"))) == "already_closing"
    assert gate(bot.give(leave(5))) == "passed"
    assert bot.newest.qty == 4
