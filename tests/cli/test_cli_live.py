"""Live trading by the real commands: a devnet, a daemon behind the terminal, and a second one that must not be."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.daemon.harness import kill
from tests.waiting import wait_until

pytest.importorskip("coincurve")

pytestmark = pytest.mark.long


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def test_live_trading_starts_once_for_an_account_and_restarts_as_it_was(desk: Desk) -> None:
    assert json.loads(desk.ask("doctor", "--json", *desk.options))["ok"] is True
    assert "is running" not in desk.run("start", *desk.options).stdout
    desk.ask("start", "--live", *desk.options)
    before = desk.status()
    assert (before["mode"], before["state"]) == ("live", "running")
    second = desk.run("start", "--live", *desk.options, home=desk.folder / "second")
    assert second.returncode == 75
    assert f"trades for {desk.account}" in second.stderr
    assert str(desk.home) in second.stderr
    desk.ask("restart")
    after = desk.status()
    assert after["mode"] == "live"
    assert after["pid"] != before["pid"]
    (desk.folder / "mine.toml").write_text(
        (desk.folder / "mine.toml").read_text() + '[risk]\nlive_cap_notional = "100"\n'
    )
    assert "risk.live_cap_notional" in desk.ask("reload")
    limits = {row["limit"]: row["max"] for row in json.loads(desk.ask("risk", "--json"))["risk"]}
    assert limits["live_cap_notional"] == "100"


def test_a_restored_home_trades_its_account_only_by_word(desk: Desk) -> None:
    desk.ask("start", "--live", *desk.options)
    made = json.loads(desk.ask("state", "backup", "--json"))
    assert json.loads(desk.ask("state", "verify", "--json"))["ok"] is True
    status = desk.status()
    assert status["backup"]["verified"] is True  # type: ignore[index]
    kill(int(str(status["pid"])))
    other = desk.folder / "other"
    assert desk.run("state", "restore", made["file"], home=other).returncode == 0
    refused = desk.run("start", "--live", *desk.options, home=other)
    assert refused.returncode == 5
    assert "--take-over" in refused.stderr
    assert desk.run("start", "--live", "--take-over", *desk.options, home=other).returncode == 0
    try:
        halted = json.loads(desk.run("status", "--json", home=other).stdout)
        assert (halted["state"], halted["backup"]["last_ts"]) == ("halted", None)
        assert desk.run("resume", home=other).returncode == 0
        assert desk.run("start", "--live", *desk.options).returncode == 75
        # Once is enough: it is its own home by now.
        assert desk.run("restart", home=other).returncode == 0
        assert json.loads(desk.run("status", "--json", home=other).stdout)["state"] == "running"
    finally:
        desk.run("stop", home=other)


def test_a_red_line_keeps_the_bot_from_arming_and_is_told_at_the_terminal(desk: Desk) -> None:
    key = desk.home / "devnet.key"
    key.chmod(0o644)
    refused = desk.run("start", "--live", *desk.options)
    assert refused.returncode == 77
    assert "0644" in refused.stderr
    assert "chmod 600" in refused.stderr
    assert json.loads(desk.run("doctor", "--json", *desk.options).stdout)["ok"] is False
    assert desk.run("status").returncode == 3


def test_a_flattening_returns_when_a_slow_venue_is_flat_whoever_opened_what(desk: Desk) -> None:
    desk.ask("start", "--live", *desk.options)
    desk.crowd(50, ETH="0.05", SOL="-1")
    desk.by_hand("fault", **{"name": "lost", "for": "600"})
    left = desk.run("halt", "--flatten", "--timeout", "1")
    assert left.returncode == 4
    assert "-1 SOL" in left.stderr
    assert left.stderr.count("not ours") >= 50
    # The orders of others are looked for every five seconds.
    wait_until(lambda: desk.ask("orders", "--json").count('"own":false') >= 50, pause_s=0.5)
    desk.by_hand("clear")
    assert "flat" in desk.ask("halt", "--flatten", "--timeout", "50")
    assert desk.truth() == ({}, [], {})
