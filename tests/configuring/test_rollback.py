"""What was in force, what differs, and the way back, over a real daemon, its socket and its journal."""

import asyncio
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.recovery.lab import Running, logged, rows_of, run, until, write_config
from tradebot.model.errors import ConfigError, RefusedByRule, TradebotError, UsageError
from tradebot.runtime.clock import SystemClock
from tradebot.secret.keystore import FOLDER_NAME, Keystore
from tradebot.secret.secret import Secret
from tradebot.settings.load import LoadOptions
from tradebot.store.lock import prepare_home

pytestmark = pytest.mark.usefixtures("_quick_looks")

LINE = 'max_order_notional = "{}" # mine'


@pytest.fixture
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.runtime.drift._PERIOD_S", 0.01)
    monkeypatch.setattr("tradebot.runtime.drift._TELL_AFTER_S", 0.05)


def limited(folder: Path, limit: int, more: str = "") -> Path:
    return write_config(folder, bars=None, risk=f"{LINE.format(limit)}\n{more}")


async def listed(daemon: Running, view: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await daemon.read(view))
    return found


def test_history_diff_drift_and_rollback_tell_one_story(tmp_path: Path) -> None:
    home, config = tmp_path / "home", limited(tmp_path, 5000)

    async def go(daemon: Running) -> None:
        await daemon.turns(20)
        first = (await daemon.status())["config_hash"]
        assert (await daemon.status())["drift"] == {"is_drifted": False, "since": None, "keys": [], "error": ""}
        limited(tmp_path, 900)
        drifted = await daemon.until(lambda status: bool(status) and status["drift"]["is_drifted"])
        assert drifted["drift"]["keys"] == ["risk.max_order_notional"]
        assert drifted["drift"]["since"] > 0
        (row,) = await listed(daemon, "config-diff")
        assert row == {
            "key": "risk.max_order_notional",
            "file": "900",
            "running": "5000",
            "where": f"{config}:{1 + config.read_text().splitlines().index(LINE.format(900))}",
        }
        health = json.loads(await daemon.read("health"))
        (check,) = [one for one in health["checks"] if one["check"] == "configuration"]
        assert "risk.max_order_notional" in check["detail"]
        assert check["ok"] is True
        await until(lambda: len(logged(home, "config.drifted")) == 1)
        (alert,) = logged(home, "alert.raised")
        assert (alert["alert"], alert["level"]) == ("config_drift", "warning")

        await daemon.act("reload")
        assert not (await daemon.status())["drift"]["is_drifted"]
        with pytest.raises(RefusedByRule, match="would loosen"):
            await daemon.act("rollback")
        assert '"900"' in config.read_text()
        await daemon.act("halt")
        answer = await daemon.act("rollback", hash="")
        assert answer["applied"] == ["risk.max_order_notional"]
        assert answer["hash"] == first == (await daemon.status())["config_hash"]
        assert 'max_order_notional = "5000" # mine' in config.read_text()
        assert not (await daemon.status())["drift"]["is_drifted"]

        history = await listed(daemon, "config-history")
        assert [row["how"] for row in history] == ["rollback", "reload", "start"]
        assert [row["hash"] == first for row in history] == [True, False, True]
        assert [row["changed"] for row in history] == [["risk.max_order_notional"]] * 2 + [[]]
        assert all(row["who"] and row["ts"] > 1_500_000_000_000 for row in history)
        with pytest.raises(UsageError, match="no configuration before"):
            await daemon.act("rollback")
        with pytest.raises(UsageError, match="was ever in force here"):
            await daemon.act("rollback", hash="feedfeed")
        assert (await daemon.act("rollback", hash=history[1]["hash"][:8]))["applied"] == ["risk.max_order_notional"]
        await daemon.act("stop")

    assert run(home, config, go) == 0
    copies = sorted((home / "backups" / "config").iterdir())
    assert len(copies) >= 2
    assert all((copy / "bot.toml").read_text().startswith("[bot]") for copy in copies)


def test_what_needs_a_restart_is_written_and_not_applied(tmp_path: Path) -> None:
    home, config = tmp_path / "home", limited(tmp_path, 5000)

    async def once(daemon: Running) -> None:
        await daemon.turns(20)
        await daemon.act("stop")

    async def again(daemon: Running) -> None:
        await daemon.turns(20)
        before = config.read_text()
        running = (await daemon.status())["config_hash"]
        answer = await daemon.act("rollback")
        assert answer["restart"] == ["risk.min_confidence"]
        assert answer["applied"] == []
        assert "tradebot restart" in answer["detail"]
        assert config.read_text() != before
        status = await daemon.status()
        assert status["config_hash"] == running
        assert status["drift"]["keys"] == ["risk.min_confidence"]
        await daemon.act("stop")

    assert run(home, config, once) == 0
    limited(tmp_path, 5000, "min_confidence = 1")
    assert run(home, config, again) == 0
    assert json.loads(rows_of(home, "config")[-1].payload)["changed"] == ["risk.min_confidence"]


@pytest.mark.parametrize("bad", ["[bot\n", "", "\x00", "[risk]\nmax_order_notional = -1\n"])
def test_a_bad_file_changes_nothing_is_drift_and_can_be_rolled_back(tmp_path: Path, bad: str) -> None:
    home, config = tmp_path / "home", limited(tmp_path, 5000)

    async def go(daemon: Running) -> None:
        await daemon.turns(20)
        limited(tmp_path, 900)
        await daemon.act("reload")
        running = (await daemon.status())["config_hash"]
        config.write_text(bad)
        with pytest.raises(ConfigError):
            await daemon.act("reload")
        with pytest.raises(ConfigError):
            await daemon.read("config-diff")
        drift = (await daemon.until(lambda status: bool(status) and status["drift"]["is_drifted"]))["drift"]
        assert drift["error"]
        assert drift["keys"] == []
        assert (await daemon.status())["config_hash"] == running
        assert (await daemon.act("rollback", hash=running))["applied"] == []
        assert not (await daemon.status())["drift"]["is_drifted"]
        await daemon.act("stop")

    assert run(home, config, go) == 0
    assert len(rows_of(home, "config")) == 2


def test_of_any_file_all_is_applied_or_nothing(tmp_path: Path) -> None:
    home, config = tmp_path / "home", limited(tmp_path, 5000)
    chance = Random(13)

    async def go(daemon: Running) -> None:
        await daemon.turns(20)
        good = config.read_text()
        applied = 0
        for limit in range(4999, 4974, -1):
            text = good.replace("5000", str(limit)) + "[log]\nkeep = " + chance.choice(["3", "4", "0", "x", "5"])
            at = chance.randrange(len(text))
            config.write_text(chance.choice([text, text, text[:at], text[:at] + "\x01" + text[at:]]))
            before = (await daemon.status())["config_hash"]
            try:
                said = LoadOptions((config,)).load(home, {}).config_hash
                answer = await daemon.act("reload")
            except ConfigError:
                assert (await daemon.status())["config_hash"] == before
            else:
                assert (await daemon.status())["config_hash"] == said == answer["config_hash"]
                applied += 1
        assert applied > 3
        await daemon.act("stop")

    assert run(home, config, go) == 0


def test_a_strategy_file_that_changed_is_drift_and_the_environment_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    from tradebot.pipeline.strategy.template import template

    file = tmp_path / "mine.py"
    file.write_text(template("mine.py", "Mine"))
    config = write_config(tmp_path, bars=None, strategies='[[strategy]]\nkind = "mine.py:Mine"\n')

    async def go(daemon: Running) -> None:
        await daemon.turns(20)
        assert not (await daemon.status())["drift"]["is_drifted"]
        file.write_text(file.read_text() + "\n# changed\n")
        drift = (await daemon.until(lambda status: bool(status) and status["drift"]["is_drifted"]))["drift"]
        assert drift["keys"] == ["strategy.0.kind"]
        (row,) = await listed(daemon, "config-diff")
        assert row["where"] == str(file)
        assert row["file"] != row["running"]
        await daemon.act("stop")

    assert run(home, config, go) == 0


def test_a_rollback_that_a_layer_above_forbids_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.recovery.lab import run_beside

    home, config = tmp_path / "home", limited(tmp_path, 5000)

    async def once(daemon: Running) -> None:
        await daemon.turns(20)
        await daemon.act("stop")

    async def again(daemon: Running) -> None:
        await daemon.turns(20)
        before = config.read_text()
        with pytest.raises(ConfigError, match="TRADEBOT__LOG__KEEP"):
            await daemon.act("rollback")
        assert config.read_text() == before
        assert not (await daemon.status())["drift"]["is_drifted"]
        await daemon.act("stop")

    assert run(home, config, once) == 0
    assert asyncio.run(run_beside(home, config, again, {"TRADEBOT__LOG__KEEP": "3"})) == 0
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_home_whose_file_is_gone_gets_it_back(tmp_path: Path) -> None:
    home, config = tmp_path / "home", limited(tmp_path, 5000)

    async def go(daemon: Running) -> None:
        await daemon.turns(20)
        text = config.read_text()
        config.unlink()
        drift = (await daemon.until(lambda status: bool(status) and status["drift"]["is_drifted"]))["drift"]
        assert "no such configuration file" in drift["error"]
        await daemon.act("rollback", hash=(await daemon.status())["config_hash"])
        assert config.read_text() != text
        assert not (await daemon.status())["drift"]["is_drifted"]
        await daemon.act("stop")

    assert run(home, config, go) == 0
    shutil.rmtree(home)


def test_a_webhook_named_by_a_secret_is_asked_for_anew_by_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    prepare_home(home)
    passphrase = Secret("open sesame")
    monkeypatch.setattr("tradebot.runtime.secret_store.given_passphrase", lambda: passphrase)
    keystore = Keystore(home / FOLDER_NAME, lambda: passphrase, SystemClock(), scrypt_n=2)
    keystore.put("hook", Secret("https://example.org/hush"), kind="url", expires=None)
    keystore.put("none", Secret("hush, no url"), kind="other", expires=None)
    named = '[alerts]\nurl_secret = "hook"\n'
    config = write_config(tmp_path, bars=None, store=named)

    async def go(daemon: Running) -> None:
        await daemon.turns(5)
        assert daemon.daemon.host is not None
        pager = daemon.daemon.host.pager
        assert pager.webhook.is_there
        write_config(tmp_path, bars=None)
        assert (await daemon.act("reload"))["applied"] == ["alerts.url_secret"]
        assert not pager.webhook.is_there
        before = (await daemon.status())["config_hash"]
        for wrong in ("none", "missing"):
            write_config(tmp_path, bars=None, store=named.replace("hook", wrong) + "[log]\nkeep = 3\n")
            with pytest.raises(TradebotError) as told:
                await daemon.act("reload")
            assert "hush" not in str(told.value)
            assert (await daemon.status())["config_hash"] == before
        await daemon.act("stop")

    assert run(home, config, go) == 0
    assert not [row for row in rows_of(home) if b"hush" in row.payload]
