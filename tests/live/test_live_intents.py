"""The rows of the submit protocol that a boot keeps: what is open, and what the book has not heard of."""

from pathlib import Path

from tradebot.runtime.clock import SystemClock
from tradebot.runtime.live.intents import IntentLog
from tradebot.store.journal import SqliteJournal
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.naming import Names
from tradebot.venues.hyperliquid.submit import Intent, Never, Settled


def intent(nonce: int) -> Intent:
    return Intent(nonce=nonce, cloids=(f"0x{nonce:032x}",), expires_ms=nonce + 12_000, body="{}")


async def test_what_is_settled_and_concerns_nobody_is_not_kept(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "journal.db", SystemClock())
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


def test_names_of_orders_long_gone_are_forgotten() -> None:
    names = Names(Cloids(b"test", b"k" * 32, ("cross",)))
    for oid in range(30_000):
        names.know(oid, f"cross-BTC-{oid}-entry")
    assert len(names._of_oids) == 10_000
