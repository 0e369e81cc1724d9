"""The rows of the submit protocol that a boot keeps: what is open, and what the book has not heard of."""

from pathlib import Path

import pytest

from tests.virtual import LoopClock
from tradebot.live.intents import SETTLED, IntentLog
from tradebot.model.time import from_ms
from tradebot.model.venue import Intent, Never, Phase, Rests, Settled, Sighting
from tradebot.store.journal import SqliteJournal
from tradebot.venues.hyperliquid.account import VenueFill, fill
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.naming import Names
from tradebot.venues.hyperliquid.reading import Node

pytestmark = pytest.mark.virtual_time


def intent(nonce: int) -> Intent:
    return Intent(nonce=nonce, cloids=(f"0x{nonce:032x}",), expires_ms=nonce + 12_000, body="{}")


async def test_what_is_settled_and_concerns_nobody_is_not_kept(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", LoopClock())
    log = IntentLog(journal)
    assert await log.read(lambda cloid: True) == (0, {})
    for nonce in (1, 2, 3, 5):
        await log.record(intent(nonce))
    for nonce in (1, 2, 5):
        await log.record(Settled(nonce, (Never(),)))
    wanted = intent(2).cloids[0]
    last, kept = await log.read(lambda cloid: cloid == wanted)
    await journal.close()
    # Nonces go on after the last one, though it is settled.
    assert last == 5
    assert kept == {2: (intent(2), Settled(2, (Never(),))), 3: (intent(3), None)}


async def test_outcomes_of_a_version_whose_ids_were_numbers_are_read(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", LoopClock())
    log = IntentLog(journal)
    await log.record(intent(2))
    legs = b'[{"kind":"resting","oid":7},{"kind":"sighting","oid":8,"phase":"filled"},{"kind":"never"}]'
    await journal.committed(journal.append(SETTLED, from_ms(2), b'{"nonce":2,"legs":' + legs + b',"refusal":""}'))
    _, kept = await log.read(lambda cloid: True)
    await journal.close()
    assert kept == {2: (intent(2), Settled(2, (Rests("7"), Sighting("8", Phase.FILLED), Never())))}


def test_names_of_orders_long_gone_are_forgotten() -> None:
    names = Names(Cloids(b"test", b"k" * 32, ("cross",)))
    for oid in range(30_000):
        names.know(str(oid), f"cross-BTC-{oid}-entry")
    assert len(names._of_oids) == 10_000


def fill_of(oid: int, cloid: str | None, coin: str = "BTC") -> VenueFill:
    row = {"tid": 1, "oid": oid, "cloid": cloid, "coin": coin, "side": "B", "sz": "1", "px": "1", "fee": "0"}
    rest = {"time": 1_737_918_843_000, "crossed": True, "startPosition": "0", "closedPnl": "0"}
    return fill(Node(row | rest))


def test_a_name_that_was_told_falsely_is_not_kept() -> None:
    names = Names(Cloids(b"test", b"k" * 32, ("cross",)))
    one, other = names.cloid("cross-BTC-1-entry"), names.cloid("cross-BTC-2-target")
    names.know("7", "cross-BTC-1-entry")
    # The cloid says otherwise: it is believed of this row, and what was heard of the oid counts no more.
    assert names.of(fill_of(7, other)) == "cross-BTC-2-target"
    assert names.of(fill_of(7, None)) is None
    assert names.of(fill_of(7, one)) == "cross-BTC-1-entry"
    assert names.of(fill_of(7, None)) == "cross-BTC-1-entry"
    # A cloid of nobody, or of another coin, proves nothing against it.
    assert names.of(fill_of(7, "0x" + "00" * 16)) == "cross-BTC-1-entry"
    assert names.of(fill_of(7, other, "ETH")) == "cross-BTC-1-entry"
