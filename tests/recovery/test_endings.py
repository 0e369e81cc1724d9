"""Every way to end a daemon leaves a whole state behind, and the next start goes on from there."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.lab import Running, facts_of, logged, recovered_state, rows_of, run, until, write_config
from tradebot.model.errors import ConfigError, RefusedByRule, TimedOut, TradebotError
from tradebot.runtime import engine

# Waits for a better price, so that an entry is nearly always at work.
PATIENT = """
from decimal import Decimal

from tradebot.model.order import OrderType
from tradebot.pipeline.strategy.base import Bar, Enter, Field, Params, Position, PositionSide


class Patient:
    class Params(Params):
        every: int = Field(2, ge=1, le=100, description="bars between entries")

    def __init__(self, params):
        self.params = params
        self.bars = 0

    def on_bar(self, bar: Bar, position: Position | None):
        self.bars += 1
        if position is None and self.bars % self.params.every == 0:
            yield Enter(PositionSide.LONG)
"""


def patient(folder: Path, stop: str = "") -> str:
    (folder / "patient.py").write_text(PATIENT)
    return f'[[strategy]]\nkind = "patient.py:Patient"\nsymbols = ["AAA"]\n{stop}\n'


def snapshot(home: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(json.loads((home / "state.json").read_bytes())["body"])
    return state


def without_snapshots(home: Path, config: Path) -> dict[str, Any]:
    for kept in home.glob("state.json*"):
        kept.unlink()
    return asyncio.run(recovered_state(home, config))


@pytest.mark.parametrize("turns", [1, 37, 160])
def test_a_stop_at_full_speed_leaves_a_state_that_the_journal_repeats(tmp_path: Path, turns: int) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None)

    async def stop(daemon: Running) -> None:
        await daemon.turns(turns)
        await daemon.act("stop")

    for _ in range(3):
        assert run(home, config, stop) == 0
        last = [row for row in rows_of(home) if row.kind in ("bar", "command")][-1]
        assert json.loads(last.payload)["verb"] == "stop"
        turns *= 2
    kept = snapshot(home)
    assert without_snapshots(home, config) == kept


def test_a_stop_cancels_waiting_entries_and_no_bar_brings_new_ones(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None, strategies=patient(tmp_path))

    async def stop(daemon: Running) -> None:
        await daemon.turns(50)
        await daemon.act("stop")

    for number in range(1, 6):
        assert run(home, config, stop) == 0
        assert snapshot(home)["risk"]["entries"] == {}, number


def test_one_run_and_many_stops_account_for_every_cent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tradebot.cli.main import run as cli

    home, config = tmp_path / "home", write_config(tmp_path, bars=None)

    async def stop(daemon: Running) -> None:
        await daemon.up()
        await daemon.turns(daemon.daemon.engine.session.turns + 90)
        await daemon.act("stop")

    for _ in range(6):
        assert run(home, config, stop) == 0
    assert cli(["--home", str(home), "report", "--json"], {}) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["residual"] == "0"
    assert report["trades"] > 5


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)])
def test_signals_end_it_in_order(tmp_path: Path, numbers: tuple[signal.Signals, ...]) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None)

    async def end(daemon: Running) -> None:
        await daemon.turns(60)
        for number in numbers:
            os.kill(os.getpid(), number)

    assert run(home, config, end) == 0
    kept = snapshot(home)
    assert without_snapshots(home, config) == kept


def test_a_signal_during_recovery_ends_it_at_once_and_changes_nothing(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=250)
    assert run(tmp_path / "whole", config) == 0

    async def leave_image(daemon: Running) -> None:
        await daemon.turns(480)
        await daemon.image(home)

    assert run(tmp_path / "other", config, leave_image) == 0
    for kept in home.glob("state.json*"):
        kept.unlink()
    before = len(rows_of(home))

    async def end(daemon: Running) -> None:
        await until(lambda: daemon.daemon.host is not None)
        os.kill(os.getpid(), signal.SIGTERM)

    assert run(home, config, end) == 0
    assert len(rows_of(home)) == before
    assert len(logged(home, "daemon.ready")) == 1, "that of the run before"
    assert run(home, config) == 0
    assert facts_of(home) == facts_of(tmp_path / "whole")


def test_a_stop_during_recovery_is_heard(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None)

    async def end(daemon: Running) -> None:
        await until(lambda: daemon.daemon.host is not None)
        assert (await daemon.act("stop"))["state"] == "stopping"

    assert run(home, config, end) == 0


def test_a_stop_with_flatten_closes_everything_and_nothing_opens_again(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None, strategies=patient(tmp_path))

    async def stop(daemon: Running) -> None:
        await daemon.turns(100)
        await daemon.act("stop", flatten="true")

    for _ in range(3):
        assert run(home, config, stop) == 0
        kept = snapshot(home)
        assert (kept["risk"]["positions"], kept["risk"]["entries"]) == ({}, {})
        assert without_snapshots(home, config) == kept


def test_a_stop_with_flatten_says_at_once_that_a_finished_feed_closes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than anyone here waits for an answer.
    monkeypatch.setattr(engine, "_FLATTEN_S", 3600.0)
    home = tmp_path / "home"
    config = write_config(tmp_path, bars=101, at_end="stay", strategies=patient(tmp_path))

    async def stop(daemon: Running) -> None:
        status = await daemon.feed_finished()
        assert status["positions"]
        with pytest.raises(RefusedByRule, match="feed is finished"):
            await daemon.act("stop", flatten="true")
        assert (await daemon.status())["state"] == "running"
        await daemon.act("stop")

    assert run(home, config, stop) == 0


def test_a_flatten_under_way_is_given_up_when_the_feed_ends(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = write_config(tmp_path, bars=101, at_end="stay", strategies=patient(tmp_path), speed="1500")

    async def stop(daemon: Running) -> None:
        # With the last bar to come, the closing order has no bar left to fill at.
        await daemon.turns(202)
        with pytest.raises(TradebotError):
            await daemon.act("stop", flatten="true")
        await daemon.act("stop")

    assert run(home, config, stop) == 0


def test_a_flatten_that_takes_too_long_is_told_and_trading_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_FLATTEN_S", 0.05)
    # So far away that the position is still there when it is asked for.
    home, strategies = tmp_path / "home", patient(tmp_path, 'stop = { kind = "atr", n = 14, mult = 40 }')

    async def stop(daemon: Running) -> None:
        await daemon.turns(60)
        await daemon.act("stop")

    async def flatten(daemon: Running) -> None:
        # The first bars come at once, the next a minute later.
        await daemon.turns(turns + 1)
        assert (await daemon.status())["positions"]
        with pytest.raises(TimedOut, match="not closed within"):
            await daemon.act("stop", flatten="true")
        assert (await daemon.status())["state"] == "running"
        await daemon.act("stop")

    assert run(home, write_config(tmp_path, bars=None, strategies=strategies), stop) == 0
    turns = snapshot(home)["driver"]["turns"]
    assert run(home, write_config(tmp_path, bars=None, strategies=strategies, speed="1"), flatten) == 0


def test_after_the_end_has_begun_no_command_is_taken(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None)

    async def stop(daemon: Running) -> None:
        await daemon.turns(30)
        answers = await asyncio.gather(
            daemon.act("stop"), daemon.act("pause"), daemon.act("stop"), daemon.act("halt"), return_exceptions=True
        )
        assert all(isinstance(answer, dict | TradebotError) for answer in answers)

    assert run(home, config, stop) == 0
    kept = snapshot(home)
    assert without_snapshots(home, config) == kept


def test_a_reload_applies_tighter_limits_and_refuses_looser_and_bad_ones(tmp_path: Path) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, bars=None, risk='max_order_notional = "5000"')

    async def reload(daemon: Running) -> None:
        await daemon.turns(60)
        write_config(tmp_path, bars=None, risk='max_order_notional = "900"')
        assert (await daemon.act("reload"))["applied"] == ["risk.max_order_notional"]
        write_config(tmp_path, bars=None, risk='max_order_notional = "9000"')
        with pytest.raises(ConfigError, match="loosened"):
            await daemon.act("reload")
        config.write_text("[bot\n")
        with pytest.raises(ConfigError):
            await daemon.act("reload")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(logged(home, "config.refused")) == 2)
        write_config(tmp_path, bars=None, risk='max_order_notional = "800"')
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(logged(home, "config.reloaded")) == 2)
        await daemon.turns(daemon.daemon.engine.session.turns + 200)
        await daemon.act("stop")

    assert run(home, config, reload) == 0
    assert len(rows_of(home, "config")) == 3
    kept = snapshot(home)
    assert without_snapshots(home, config) == kept
