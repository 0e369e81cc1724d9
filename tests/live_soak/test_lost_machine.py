"""The machine is lost in the middle of its trades: another one goes on from a backup, by the real commands."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live_soak.bot import Bot, Exchange, clean_environ, command
from tests.live_soak.verdict import agreed
from tests.waiting import wait_until

pytestmark = pytest.mark.soak
_HEAL_S = 60.0


def test_a_machine_that_is_lost_while_it_trades_is_replaced_without_one_double_order(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, 3)
    lost = Bot(tmp_path, exchange.url)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy2(tmp_path / "devnet.key", elsewhere)
    coming = Bot(elsewhere, exchange.url)
    try:
        lost.start()
        exchange.wait_fills(5)
        assert lost.ask("state", "backup") is not None
        backup = max((lost.home / "backups").glob("journal-*.db"))
        # What comes now is in no backup.
        exchange.wait_fills(len(exchange.truth()["fills"]) + 6)
        wait_until(lambda: any(float(size) for size in exchange.truth()["positions"].values()), _HEAL_S, pause_s=0.05)
        lost.kill()
        words = command("--home", coming.home, "state", "restore", backup)
        subprocess.run(words, check=True, capture_output=True, env=clean_environ())

        coming.start()
        assert coming.ended() == 5, coming.errors
        assert "--take-over" in coming.errors
        coming.start("--take-over")
        assert coming.wait_ready(), coming.errors
        assert coming.ask("status")["state"] == "halted"
        assert agreed(coming, exchange, _HEAL_S) == []
        filled = len(exchange.truth()["fills"])
        assert coming.ask("resume") is not None
        exchange.wait_fills(filled + 4)
        exchange.admin("freeze")
        assert agreed(coming, exchange, _HEAL_S) == []
        assert exchange.truth()["repeated"] == {}
        # The lost machine comes back; the lock of the account only helps on one machine.
        assert coming.kill(signal.SIGTERM) == 0
        lost.start()
        assert lost.ended() == 5, lost.errors
        assert "another tradebot has traded this account" in json.dumps([lost.errors, lost.log])
        assert exchange.truth()["repeated"] == {}
    finally:
        for bot in (lost, coming):
            if bot.is_alive:
                bot.kill()
        exchange.stop()
