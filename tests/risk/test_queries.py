"""What the risk stage answers to a question is what its saved state would say."""

from tests.builders import bar, bars_closed, command
from tests.risk.test_listing import hold, seen
from tests.risk.test_live_account import stage
from tradebot.model.command import Verb
from tradebot.model.instrument import Listing
from tradebot.pipeline.risk.stage import RiskStage


def check(risk: RiskStage) -> None:
    state = risk.save()
    assert risk.positions == {symbol: position.qty for symbol, position in state.positions.items()}
    assert risk.marks == state.marks
    assert (risk.cash, risk.equity, risk.pending_equity) == (state.cash, state.equity, state.pending_equity)
    assert (risk.state_reason, risk.untraded, risk.frozen) == (state.state_reason, state.untraded, state.frozen)


def test_queries_agree_with_the_saved_state() -> None:
    risk = stage()
    check(risk)
    hold(risk)
    risk.handle(bars_closed(bar(2, "107")))
    check(risk)
    assert risk.positions
    assert risk.equity != risk.cash
    risk.handle(command(Verb.HALT, {"reason": "enough"}))
    risk.handle(seen(Listing.HALTED))
    check(risk)
    assert "enough" in risk.state_reason
    assert risk.untraded == {"BTC": Listing.HALTED}


def test_looking_writes_nothing() -> None:
    risk, seen_only = stage(), stage()
    for one in (risk, seen_only):
        hold(one)
        one.handle(bars_closed(bar(2, "60")))
    before = risk.marks
    check(seen_only)
    risk.handle(bars_closed(bar(3, "61")))
    seen_only.handle(bars_closed(bar(3, "61")))
    assert before != risk.marks
    assert risk.save() == seen_only.save()
