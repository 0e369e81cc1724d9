"""Errors of our own: what made the line fail is set aside, and the daemon stays up, halted - once for each input."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.lab import (
    Running,
    facts_of,
    logged,
    recovered_state,
    rows_of,
    run,
    until,
    write_config,
    write_journal,
)
from tradebot.cli.main import run as cli
from tradebot.model.command import Command, Verb
from tradebot.model.errors import StorageFailed, TradebotError
from tradebot.model.failure import LineFailed
from tradebot.model.market import BarsClosed, Message
from tradebot.model.order import Fill
from tradebot.pipeline.risk.commands import Operator
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.runtime import keeper
from tradebot.runtime.pauses import Pauses
from tradebot.runtime.quarantine import failures

# The whole market in half a second: while it is halted, not all of it passes by.
PACE = "30000"


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> "Poison":
    return Poison(monkeypatch)


class Poison:
    """Makes the risk stage raise on the fills that are ``bad``, in every run alike."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.bad: set[str] = set()
        # A trade id comes again once the turn that failed is left out; its time and symbol do not.
        seen: dict[str, tuple[int, str]] = {}
        healthy = RiskStage._on_fill

        def on_fill(stage: RiskStage, fill: Fill) -> Sequence[Message]:
            answers = healthy(stage, fill)
            bar = (fill.ts_event, fill.symbol)
            if fill.trade_id in self.bad and seen.setdefault(fill.trade_id, bar) == bar:
                raise ZeroDivisionError(f"poison in {fill.trade_id}")
            return answers

        patch.setattr(RiskStage, "_on_fill", on_fill)


def failures_of(home: Path) -> list[LineFailed]:
    return [failure.said for failure in failures(rows_of(home, LineFailed.kind))]


def json_of(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> str:
    assert cli(["--home", str(home), *words, "--json"], {}) == 0
    return capsys.readouterr().out


async def failed(daemon: Running, count: int = 1) -> dict[str, Any]:
    """Return ``status`` once the line has failed ``count`` times, and is up again."""
    await until(lambda: len(logged(daemon.home, "line.failed")) >= count)
    return await daemon.until(lambda status: status.get("state") == "halted")


async def finish(daemon: Running) -> None:
    await daemon.feed_finished()
    await daemon.act("stop")


async def resume_and_finish(daemon: Running) -> None:
    status = await daemon.up()
    assert status["state"] == "halted", status
    await daemon.act("resume")
    await finish(daemon)


async def fail_resume_and_finish(daemon: Running) -> None:
    await failed(daemon)
    await resume_and_finish(daemon)


def test_an_input_that_makes_a_stage_raise_is_set_aside_and_the_daemon_stays_up_halted(
    tmp_path: Path, poison: Poison, capsys: pytest.CaptureFixture[str]
) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    live: dict[str, bytes] = {}

    async def see(daemon: Running) -> None:
        status = await failed(daemon)
        assert "poison in t8" in status["reason"]
        (told,) = status["set_aside"]
        assert (told["input"], told["reason"]) == ("bar", "ZeroDivisionError: poison in t8")
        await daemon.act("resume")
        await daemon.feed_finished()
        live["report"] = await daemon.read("report")
        live["why"] = await daemon.read("why", limit="500")
        await daemon.act("stop")

    assert run(home, config, see) == 0
    (said,) = failures_of(home)
    (bar,) = [row for row in rows_of(home) if row.seq == said.first == said.last]
    assert bar.kind == said.input == "bar"
    assert "poison" in logged(home, "line.failed")[0]["error"]
    assert [line["alert"] for line in logged(home, "alert.raised")][:2] == ["poisoned", "halted"]
    assert [row.payload for row in rows_of(home, "fill") if b'"t8"' in row.payload]

    report = json.loads(json_of(capsys, home, "report"))
    assert report["residual"] == "0"
    assert [row["reason"] for row in report["set_aside"]] == ["ZeroDivisionError: poison in t8"]
    assert json.loads(live["report"])["set_aside"] == report["set_aside"]
    trades = json_of(capsys, home, "trades").splitlines()
    assert len(trades) == report["trades"] > 5
    stored = json_of(capsys, home, "why", said.symbol, "--last", "500").splitlines()
    for lines in (stored, live["why"].splitlines()):
        told = [row for row in map(json.loads, lines) if row["outcome"] == "set_aside"]
        assert [(row["symbol"], row["detail"]) for row in told] == [(said.symbol, said.why)]
    assert not [row for row in map(json.loads, json_of(capsys, home, "signals").splitlines()) if not row["signal_id"]]
    for words in (["report"], ["why", said.symbol, "--last", "500"]):
        assert cli(["--home", str(home), *words], {}) == 0
        assert "poison in t8" in capsys.readouterr().out


def test_a_kill_right_at_the_failure_changes_nothing(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config, fail_resume_and_finish) == 0
    rows = rows_of(home)
    (failure,) = [row.seq for row in rows if row.kind == LineFailed.kind]
    killed, told = tmp_path / "killed", tmp_path / "told"
    asyncio.run(write_journal(killed, rows[: failure - 1]))
    asyncio.run(write_journal(told, rows[:failure]))
    assert asyncio.run(recovered_state(killed, config)) == asyncio.run(recovered_state(told, config))
    assert failures_of(killed) == failures_of(told)
    assert run(killed, config, resume_and_finish) == 0


def test_a_kill_before_the_halt_is_recorded_still_boots_halted_the_next_time(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config, fail_resume_and_finish) == 0
    rows = rows_of(home)
    (failure,) = [row.seq for row in rows if row.kind == LineFailed.kind]
    halt = next(row.seq for row in rows if row.kind == "state_changed" and b"halted" in row.payload)
    boots = [row.seq for row in rows if row.kind == "boot"]
    for cut in sorted({failure, failure + 1, halt - 1, halt, boots[1] - 1}):
        killed = tmp_path / f"killed-{cut}"
        asyncio.run(write_journal(killed, rows[:cut]))
        assert run(killed, config, resume_and_finish) == 0


def test_several_poisonous_inputs_end_in_no_loop(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t4", "t9"}

    async def resume_twice(daemon: Running) -> None:
        await failed(daemon)
        await daemon.act("resume")
        status = await failed(daemon, 2)
        assert len(status["set_aside"]) == 2
        await resume_and_finish(daemon)

    assert run(home, config, resume_twice) == 0
    assert len(failures_of(home)) == 2
    # What was set aside stays so, and is no reason to halt any more.
    poison.bad = set()
    assert run(home, config, finish) == 0


def test_an_input_that_went_well_before_is_set_aside_and_the_next_boot_repeats(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    killed = tmp_path / "killed"

    async def leave(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.image(killed)
        await daemon.act("stop")

    assert run(home, config, leave) == 0
    for snapshot in killed.glob("state.json*"):
        snapshot.unlink()
    poison.bad = {"t2"}
    first = asyncio.run(recovered_state(killed, config))
    (said,) = failures_of(killed)
    assert said.until > said.first == said.last
    assert asyncio.run(recovered_state(killed, config)) == first
    assert run(killed, config, resume_and_finish) == 0
    assert len(failures_of(killed)) == 1
    # A mended version does not run it either: the state would part from what was said since.
    poison.bad = set()
    assert run(killed, config, finish) == 0


def test_a_line_that_fails_at_every_input_of_the_past_comes_up_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay")
    assert run(tmp_path / "whole", config, finish) == 0
    asyncio.run(write_journal(home, rows_of(tmp_path / "whole")[:60]))

    def fail(*_: object) -> None:
        raise ZeroDivisionError("always")

    with monkeypatch.context() as patch:
        patch.setattr(RiskStage, "_on_bars", fail)
        asyncio.run(recovered_state(home, config))
    said = failures_of(home)
    assert [one.first == one.last for one in said] == [True] * 8 + [False]
    assert said[-1].last == 60 + 8
    assert run(home, config, resume_and_finish) == 0


def test_a_line_that_fails_at_every_input_leaves_the_daemon_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("always")

    monkeypatch.setattr(RiskStage, "_on_bars", fail)

    async def see(daemon: Running) -> None:
        await until(lambda: len(logged(home, "line.failed")) >= 3)
        status = await daemon.until(lambda status: status.get("state") == "starting" and bool(status["reason"]))
        assert "always" in status["reason"]
        health = json.loads(await daemon.read("health"))
        assert (health["well"], "always" in health["checks"][0]["detail"]) == (False, True)
        await daemon.act("stop")

    assert run(home, config, see) == 0


def test_a_line_is_built_anew_at_once_and_then_ever_more_seldom() -> None:
    pauses = Pauses()
    assert [pauses.next(at) for at in (0.0, 1.0, 2.0, 3.0)] == [0.0, 0.25, 0.5, 1.0]
    assert max(pauses.next(10.0 + number) for number in range(20)) == 60.0
    assert pauses.next(1000.0) == 0.0


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
        with pytest.raises(TradebotError, match="built anew"):
            await daemon.act("pause")
        await failed(daemon)
        await daemon.act("stop")

    assert run(home, config, pause) == 0
    (said,) = failures_of(home)
    assert said.input == "command"
    assert run(home, config, finish) == 0


def test_a_reload_is_in_force_after_a_failure_and_a_halt_is_not_asked_for_twice(tmp_path: Path, poison: Poison) -> None:
    home = tmp_path / "home"
    config = write_config(tmp_path, at_end="stay", speed=PACE, risk="max_leverage = 3")
    poison.bad = {"t8"}

    async def see(daemon: Running) -> None:
        await until(lambda: daemon.daemon.host is not None)
        assert daemon.daemon.host is not None
        operations = daemon.daemon.host.operations
        operations.halt_at_boot({"reason": "as asked", "flatten": "true"})
        await daemon.until(lambda status: status.get("state") == "halted")
        config.write_text(config.read_text().replace("max_leverage = 3", "max_leverage = 2"))
        applied = await daemon.act("reload")
        await daemon.act("resume")
        status = await failed(daemon)
        assert status["config_hash"] == applied["config_hash"]
        await finish(daemon)

    assert run(home, config, see) == 0
    asked = [json.loads(row.payload) for row in rows_of(home, "command")]
    assert [one["arguments"].get("flatten") for one in asked if one["verb"] == "halt"] == ["true", None]


@pytest.mark.parametrize(("error", "code"), [(StorageFailed("no room"), 74), (RuntimeError("a bug"), 0)])
def test_a_failure_beside_the_line_leaves_out_no_turn_and_keeps_no_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    assert run(tmp_path / "whole", write_config(tmp_path), None) == 0
    reference = facts_of(tmp_path / "whole")
    config = write_config(tmp_path, at_end="stay", speed=PACE, store="snapshot_turns = 60")
    home = tmp_path / "home"
    healthy = keeper.write_snapshot
    wrote: list[Exception] = []

    def fail(*arguments: Any) -> None:
        if not wrote:
            wrote.append(error)
            raise error
        healthy(*arguments)

    monkeypatch.setattr(keeper, "write_snapshot", fail)
    if code == 74:
        assert run(home, config) == 74
        assert not failures_of(home)
        assert not list(home.glob("state.json*"))
        assert run(home, config, finish) == 0
        assert facts_of(home) == reference
    else:
        assert run(home, config, fail_resume_and_finish) == 0
        assert [(said.first, said.text()) for said in failures_of(home)] == [
            (0, "a task beside the line failed: RuntimeError: a bug")
        ]


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

    async def see(daemon: Running) -> None:
        await failed(daemon)
        await finish(daemon)

    assert run(home, config, see) == 0
    by_snapshot = asyncio.run(recovered_state(home, config))
    for snapshot in home.glob("state.json*"):
        snapshot.unlink()
    assert asyncio.run(recovered_state(home, config)) == by_snapshot


def test_a_failure_of_an_older_journal_is_left_out_too(tmp_path: Path, poison: Poison) -> None:
    home, config = tmp_path / "home", write_config(tmp_path, at_end="stay", speed=PACE)
    poison.bad = {"t8"}
    assert run(home, config, fail_resume_and_finish) == 0
    rows = rows_of(home)
    (failure,) = [row for row in rows if row.kind == LineFailed.kind]
    old = tmp_path / "old"
    first = failures([failure])[0].said.first
    asyncio.run(write_journal(old, [*rows[: failure.seq - 1], failure._replace(payload=str(first).encode())]))
    assert run(old, config, resume_and_finish) == 0
    assert [said.first for said in failures_of(old)] == [first]
