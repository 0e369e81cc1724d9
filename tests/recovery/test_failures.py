"""Errors of our own: the daemon ends with 70, leaves out what made it fail, and comes up halted - once."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.recovery.lab import Running, facts_of, logged, recovered_state, rows_of, run, write_config, write_journal
from tradebot.cli.main import run as cli
from tradebot.model.command import Command, Verb
from tradebot.model.errors import StorageFailed, TradebotError
from tradebot.model.market import BarsClosed, Message
from tradebot.model.order import Fill
from tradebot.pipeline.risk.commands import Operator
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.runtime import keeper
from tradebot.runtime.reading import FAILED_TURN

# The whole market in half a second: while it is halted, not all of it passes by.
PACE = "30000"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> "Poison":
    return Poison(monkeypatch)


class Poison:
    """Makes the risk stage raise on the fills that are ``bad``, in every run alike."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bad: set[str] = set()
        # A trade id comes again once the turn that failed is left out; the time does not.
        seen: dict[str, int] = {}
        healthy = RiskStage._on_fill

        def on_fill(stage: RiskStage, fill: Fill) -> Sequence[Message]:
            answers = healthy(stage, fill)
            if fill.trade_id in self.bad and seen.setdefault(fill.trade_id, fill.ts_event) == fill.ts_event:
                raise ZeroDivisionError(f"poison in {fill.trade_id}")
            return answers

        patch.setattr(RiskStage, "_on_fill", on_fill)


def json_of(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> str:
    assert cli(["--home", str(home), *words, "--json"], {}) == 0
    return capsys.readouterr().out


async def resume_and_finish(daemon: Running) -> None:
    status = await daemon.up()
    assert status["state"] == "halted", status
    await daemon.act("resume")
    await daemon.feed_finished()
    await daemon.act("stop")


def test_an_input_that_makes_a_stage_raise_is_left_out_and_the_daemon_boots_halted(
    tmp_path: Path, poison: Poison, capsys: pytest.CaptureFixture[str]
) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config) == 70
    (failed,) = rows_of(home, FAILED_TURN)
    (bar,) = [row for row in rows_of(home) if row.seq == int(failed.payload)]
    assert bar.kind == "bar"
    assert "poison" in logged(home, "daemon.failed")[0]["error"]

    assert run(home, config, resume_and_finish) == 0
    assert len(rows_of(home, FAILED_TURN)) == 1
    assert [row.payload for row in rows_of(home, "fill") if b'"t8"' in row.payload]
    report = json.loads(json_of(capsys, home, "report"))
    assert report["residual"] == "0"
    trades = json_of(capsys, home, "trades").splitlines()
    assert len(trades) == report["trades"] > 5


def test_a_kill_right_at_the_failure_changes_nothing(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config) == 70
    killed = tmp_path / "killed"
    asyncio.run(write_journal(killed, rows_of(home)[:-1]))
    assert asyncio.run(recovered_state(killed, config)) == asyncio.run(recovered_state(home, config))
    assert [row.payload for row in rows_of(killed, FAILED_TURN)] == [row.payload for row in rows_of(home, FAILED_TURN)]
    assert run(killed, config, resume_and_finish) == 0


def test_a_kill_before_the_halt_is_recorded_still_boots_halted_the_next_time(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config) == 70
    before = len(rows_of(home))
    assert run(home, config, resume_and_finish) == 0
    rows = rows_of(home)
    halt = next(row.seq for row in rows if row.kind == "state_changed" and b"halted" in row.payload)
    boots = [row.seq for row in rows if row.kind == "boot"]
    for cut in sorted({before, before + 1, halt - 1, halt, boots[1] - 1}):
        killed = tmp_path / f"killed-{cut}"
        asyncio.run(write_journal(killed, rows[:cut]))
        assert run(killed, config, resume_and_finish) == 0


def test_several_poisonous_inputs_end_in_no_loop(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t4"}
    assert run(home, config) == 70
    poison.bad = {"t4", "t9"}

    async def resume_and_fail(daemon: Running) -> None:
        assert (await daemon.up())["state"] == "halted"
        await daemon.act("resume")

    assert run(home, config, resume_and_fail) == 70
    assert len(rows_of(home, FAILED_TURN)) == 2
    assert run(home, config, resume_and_finish) == 0


def test_an_input_that_went_well_before_is_never_left_out(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)

    async def finish(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.image(tmp_path / "killed")
        await daemon.act("stop")

    assert run(home, config, finish) == 0
    for snapshot in (tmp_path / "killed").glob("state.json*"):
        snapshot.unlink()
    poison.bad = {"t2"}
    for _ in range(2):
        assert run(tmp_path / "killed", config) == 70
    assert "start afresh" in logged(tmp_path / "killed", "daemon.failed")[1]["error"]
    assert not rows_of(tmp_path / "killed", FAILED_TURN)
    # The version that wrote the journal, or a mended one, takes it up as it was.
    poison.bad = set()
    assert run(tmp_path / "killed", config, finish_again) == 0
    assert facts_of(tmp_path / "killed") == facts_of(home)


async def finish_again(daemon: Running) -> None:
    await daemon.feed_finished()
    await daemon.act("stop")


def test_a_command_that_makes_a_stage_raise_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    healthy = Operator.on_command

    def on_command(operator: Operator, command: Command) -> Sequence[Message]:
        if command.verb is Verb.PAUSE:
            raise KeyError("poison")
        return healthy(operator, command)

    monkeypatch.setattr(Operator, "on_command", on_command)

    async def pause(daemon: Running) -> None:
        await daemon.feed_finished()
        with pytest.raises(TradebotError):
            await daemon.act("pause")

    assert run(home, config, pause) == 70
    (failed,) = rows_of(home, FAILED_TURN)
    (command,) = [row for row in rows_of(home) if row.seq == int(failed.payload)]
    assert command.kind == "command"
    assert run(home, config, resume_and_finish) == 0


@pytest.mark.parametrize(("error", "code"), [(StorageFailed("no room"), 74), (RuntimeError("a bug"), 70)])
def test_a_failure_beside_the_line_leaves_out_no_turn_and_keeps_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    config = write_config(tmp_path, at_end="stay", store="snapshot_turns = 60")
    assert run(tmp_path / "whole", write_config(tmp_path), None) == 0
    reference = facts_of(tmp_path / "whole")
    config = write_config(tmp_path, store="snapshot_turns = 60")
    home = tmp_path / "home"

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "write_snapshot", fail)
        assert run(home, config) == code
    failures = [row.payload for row in rows_of(home, FAILED_TURN)]
    assert failures == ([] if code == 74 else [b"0"])
    assert not list(home.glob("state.json*"))
    if code == 74:
        assert run(home, config) == 0
        assert facts_of(home) == reference
    else:
        assert run(home, write_config(tmp_path, at_end="stay", speed=PACE), resume_and_finish) == 0


def test_after_a_failed_turn_no_snapshot_of_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", store="snapshot_turns = 1")
    healthy = RiskStage._on_bars
    seen = 0

    def fail_once(stage: RiskStage, closed: BarsClosed) -> Sequence[Message]:
        nonlocal seen
        seen += 1
        if seen == 120:
            raise ZeroDivisionError("poison")
        return healthy(stage, closed)

    monkeypatch.setattr(RiskStage, "_on_bars", fail_once)
    assert run(home, config) == 70
    by_snapshot = asyncio.run(recovered_state(home, config))
    for snapshot in home.glob("state.json*"):
        snapshot.unlink()
    assert asyncio.run(recovered_state(home, config)) == by_snapshot
