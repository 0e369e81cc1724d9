"""What an operator changes between two boots: the old configuration runs its own rows, the new one goes on."""

import asyncio
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.recovery.lab import (
    STRATEGIES,
    Running,
    facts_of,
    logged,
    recovered_state,
    rows_of,
    run,
    write_config,
    write_journal,
)
from tests.recovery.test_endings import PATIENT
from tradebot.cli.main import run as cli
from tradebot.model.market import Message
from tradebot.settings.load import LoadOptions
from tradebot.store.codec import encode_message

FASTER = STRATEGIES.replace("fast = 3", "fast = 2").replace("entry = 8", "entry = 5")
THIRD = '[[strategy]]\nkind = "sma_cross"\nname = "third"\nsymbols = ["BBB"]\nfast = 2\nslow = 5\n'
ONE_LESS = STRATEGIES.partition('[[strategy]]\nkind = "donchian_breakout"')[0]
BARS, TURNS = 140, 180
short = partial(write_config, bars=BARS)
CHANGES: dict[str, Callable[[Path], Path]] = {
    "limits": lambda folder: short(folder, risk='max_order_notional = "700"'),
    "parameters": lambda folder: short(folder, strategies=FASTER),
    "a new strategy": lambda folder: short(folder, strategies=STRATEGIES + THIRD),
    "one strategy less": lambda folder: short(folder, strategies=ONE_LESS),
    "other names": lambda folder: short(folder, strategies=STRATEGIES.replace("fast", 'name = "mine"\nfast')),
    "more bars": lambda folder: write_config(folder, bars=200),
    "costs": lambda folder: short(folder, risk="[venue]\ntaker_bps = 9\nleverage = 2"),
    "an instrument": lambda folder: short(folder, risk='[[instrument]]\nsymbol = "AAA"\ntick = "0.01"\nlot = "0.1"'),
}


def killed_at(folder: Path, home: Path, turns: int) -> Path:
    """Run until ``turns`` turns and leave in ``home`` what a kill leaves, without any snapshot."""
    config = short(folder)

    async def leave(daemon: Running) -> None:
        await daemon.turns(turns)
        await daemon.image(home)

    assert run(folder / "killed", config, leave) == 0
    for kept in home.glob("state.json*"):
        kept.unlink()
    return config


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a kill left in the middle of the market; a test takes a copy."""
    folder = tmp_path_factory.mktemp("killed")
    killed_at(folder, folder / "home", TURNS)
    return folder / "home"


def test_what_a_version_wrote_that_knew_fewer_fields_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written_before(message: Message) -> bytes:
        body = encode_message(message)
        return body.replace(b',"trail":null', b"").replace(b',"moved_by":""', b"")

    with monkeypatch.context() as older:
        older.setattr("tradebot.runtime.recording.encode_message", written_before)
        config = killed_at(tmp_path, tmp_path / "home", TURNS)
    old = rows_of(tmp_path / "home")
    assert any(row.kind == "submit" for row in old)
    assert not any(b'"trail":' in row.payload or b'"moved_by":""' in row.payload for row in old)
    assert run(tmp_path / "home", config) == 0
    rows = rows_of(tmp_path / "home")
    assert rows[: len(old)] == old
    assert any(b'"moved_by":""' in row.payload for row in rows)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_configuration_takes_over_after_a_kill(
    tmp_path: Path, killed: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    before = rows_of(home)
    config = CHANGES[change](tmp_path)
    assert run(home, config) == 0
    after = rows_of(home)
    assert [row[:3] for row in after[: len(before)]] == [row[:3] for row in before]
    configs = [row.seq for row in after if row.kind == "config"]
    assert len(configs) == 2
    # Both have traded.
    assert all("round_trip" in {row.kind for row in rows} for rows in (before, after[len(before) :]))
    assert cli(["--home", str(home), "report", "--json"], {}) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["residual"] == "0"
    # Whatever is lost of this run too comes again: the rows before the change under the old one.
    for cut in (configs[1] - 1, configs[1], configs[1] + 40, len(after) - 1):
        again = tmp_path / f"cut-{cut}"
        asyncio.run(write_journal(again, after[:cut]))
        assert run(again, config) == 0
        assert facts_of(again) == facts_of(home), cut


def test_three_configurations_are_recovered_one_after_the_other(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def stop(daemon: Running) -> None:
        await daemon.up()
        engine = daemon.daemon.engine
        assert engine is not None
        await daemon.turns(engine.session.turns + 100)
        await daemon.act("stop")

    for strategies in (STRATEGIES, FASTER, STRATEGIES + THIRD):
        assert run(home, write_config(tmp_path, bars=None, strategies=strategies), stop) == 0
    config = write_config(tmp_path, bars=None, strategies=STRATEGIES + THIRD)
    kept = json.loads(json.loads((home / "state.json").read_bytes())["body"])
    for snapshot in home.glob("state.json*"):
        snapshot.unlink()
    assert asyncio.run(recovered_state(home, config)) == kept


@pytest.mark.parametrize("feed", ['kind = "generated"\nseed = 6', 'kind = "generated"\nseed = 5\ntimeframe = "5m"'])
def test_another_market_is_refused(tmp_path: Path, killed: Path, feed: str) -> None:
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    assert run(home, short(tmp_path, feed=feed)) == 78
    assert "state reset" in logged(home, "daemon.failed")[0]["error"]


def test_symbols_added_to_the_market_are_refused_with_the_mend(tmp_path: Path, killed: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(killed, home)
    assert run(home, short(tmp_path, symbols=("AAA", "BBB", "CCC"))) == 78
    assert "state reset" in logged(home, "daemon.failed")[0]["error"]


def replayed(folder: Path) -> Path:
    bars = "ts_ms,open,high,low,close,volume\n" + "".join(
        f"{60_000 * n},{100 + n % 17},{120 + n % 17},{98 + n % 17},{101 + (n * 7) % 13 + n % 17},5\n"
        for n in range(400)
    )
    for coin in ("AAA", "BBB"):
        (folder / f"{coin}.csv").write_text(bars)
    return write_config(folder, feed='kind = "replay"\ndata = ["AAA:1m=AAA.csv", "BBB:1m=BBB.csv"]')


@pytest.mark.parametrize("is_cleanly_stopped", [True, False])
def test_a_changed_data_file_is_refused_by_name(tmp_path: Path, is_cleanly_stopped: bool) -> None:
    config, home = replayed(tmp_path), tmp_path / "home"

    async def leave(daemon: Running) -> None:
        await daemon.turns(200)
        await daemon.image(home)

    assert run(tmp_path / "whole", config, leave) == 0
    home = tmp_path / "whole" if is_cleanly_stopped else home
    good = (tmp_path / "BBB.csv").read_text()
    (tmp_path / "BBB.csv").write_text(good.replace("120,98", "121,98", 1))
    assert run(home, config) == 78
    error = logged(home, "daemon.failed")[0]["error"]
    assert "BBB.csv" in error
    assert "AAA.csv" not in error
    (tmp_path / "BBB.csv").unlink()
    assert run(home, config) in (1, 78)
    assert "BBB.csv" in logged(home, "daemon.failed")[1]["error"]
    (tmp_path / "BBB.csv").write_text(good)
    assert run(home, config) == 0
    assert facts_of(home) == facts_of(tmp_path / "whole")


def test_what_a_changed_strategy_file_decided_before_stays_as_it_was(tmp_path: Path) -> None:
    home, path = tmp_path / "home", tmp_path / "patient.py"
    path.write_text(PATIENT)
    config = write_config(tmp_path, strategies='[[strategy]]\nkind = "patient.py:Patient"\nsymbols = ["AAA"]\n')

    async def leave(daemon: Running) -> None:
        await daemon.turns(300)
        await daemon.image(home)

    assert run(tmp_path / "whole", config, leave) == 0
    for kept in home.glob("state.json*"):
        kept.unlink()
    before = facts_of(home)
    path.unlink()
    assert run(home, config) == 78
    assert "patient.py" in logged(home, "daemon.failed")[0]["error"]
    # The other way round: nothing that it did is undone or done once more.
    path.write_text(PATIENT.replace("PositionSide.LONG", "PositionSide.SHORT"))
    assert run(home, config) == 0
    after = facts_of(home)
    assert after[: len(before)] == before
    assert len(after) > len(before)
    # What it decided itself is compared again.
    for kept in home.glob("state.json*"):
        kept.unlink()
    assert run(home, config) == 0
    assert facts_of(home) == after


def test_a_configuration_that_this_version_cannot_read_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = killed_at(tmp_path, home, 100)
    rows = rows_of(home)
    document = json.loads(rows[0].payload)
    document["settings"] = document["settings"].replace("[risk]", "[risk]\nunheard_of = 1", 1)
    other = tmp_path / "other"
    asyncio.run(write_journal(other, [rows[0]._replace(payload=json.dumps(document).encode()), *rows[1:]]))
    assert run(other, config) == 78
    assert "unheard_of" in logged(other, "daemon.failed")[0]["error"]
    assert LoadOptions((config,)).load(home, {})
