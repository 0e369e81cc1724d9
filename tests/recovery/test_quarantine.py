"""What is kept of an input that made the line fail, and what of the venue's word is not believed again."""

from pathlib import Path

import pytest

from tests.builders import FIRST, bar, canceled, cash, fill_report, funding, order_request
from tradebot.model.failure import LineFailed
from tradebot.model.market import Message
from tradebot.model.order import OrderAccepted, OrderFound, OrderRejected
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.quarantine import is_set_aside, read_failures, set_aside
from tradebot.store.codec import encode_message
from tradebot.store.journal import SqliteJournal

NAME = "cross-BTC-1-entry"
TOLD: tuple[Message, ...] = (
    fill_report(),
    fill_report(client_order_id=None),
    funding("1"),
    Deposit(ts_event=FIRST, id="d1", amount=cash("5")),
    OrderAccepted(ts_event=FIRST, client_order_id=NAME, venue_order_id="7"),
    OrderRejected(ts_event=FIRST, client_order_id=NAME, reason="no"),
    canceled(NAME),
    OrderFound(ts_event=FIRST, order=order_request(NAME), venue_order_id="7"),
)


async def kept(folder: Path, message: Message) -> LineFailed:
    journal = await SqliteJournal.open(folder / "journal.db", SystemClock())
    try:
        seq = journal.append(message.kind, Nanos(3), encode_message(message))
        await set_aside(journal, seq, ZeroDivisionError("x" * 1000))
        (failure,) = await read_failures(journal)
        assert failure.leaves_out(seq)
        return failure.said
    finally:
        await journal.close()


@pytest.mark.parametrize("message", TOLD)
async def test_what_a_venue_tells_is_known_again(tmp_path: Path, message: Message) -> None:
    said = await kept(tmp_path, message)
    assert (said.input, said.ts_event) == (message.kind, 3)
    assert len(said.why) < 500
    assert message.kind in said.text()
    assert is_set_aside(message, [said])
    assert [other for other in TOLD if other != message and is_set_aside(other, [said])] == []


async def test_what_nobody_tells_again_is_no_word_to_disbelieve(tmp_path: Path) -> None:
    closed = bar()
    said = await kept(tmp_path, closed)
    assert said.symbol == closed.symbol
    assert not is_set_aside(closed, [said])


def test_several_rows_are_named() -> None:
    said = LineFailed(ts_event=Nanos(0), first=3, last=9, why="KeyError: 1")
    assert "rows 3 to 9" in said.text()
