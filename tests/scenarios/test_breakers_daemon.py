"""A crash with the breaker that is on by default: the same in a backtest and in a daemon, over a kill, until a word."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import backtest_trades, tradebot
from tests.recovery.lab import Running, rows_of, run, write_config
from tradebot.model.errors import RefusedByRule

EAGER = '''
from tradebot.pipeline.strategy.base import Enter, Params, PositionSide

class Eager:
    """Always wants to be long."""

    class Params(Params):
        pass

    def __init__(self, params):
        pass

    def on_bar(self, bar, position):
        if position is None:
            yield Enter(PositionSide.LONG)
'''
WILD = '''
from tradebot.pipeline.strategy.base import Enter, Exit, Params, PositionSide

class Wild:
    """In at every other bar, out at the next."""

    class Params(Params):
        pass

    def __init__(self, params):
        pass

    def on_bar(self, bar, position):
        yield Enter(PositionSide.LONG) if position is None else Exit()
'''
BARS, CRASH = 400, 200
RISK = "max_trades_per_day = 3\n"


def crash(folder: Path) -> Path:
    """A market that stands at 100, falls a percent a bar to 70, and stays there."""
    rows = ["ts_ms,open,high,low,close,volume"]
    before = 100.0
    for number in range(BARS):
        close = round(min(100.0, max(70.0, 100 - (number - CRASH))), 1)
        rows.append(f"{number * 60_000},{before},{max(before, close)},{min(before, close)},{close},1")
        before = close
    (folder / "crash.csv").write_text("\n".join([*rows, ""]))
    (folder / "eager.py").write_text(EAGER)
    strategy = f'[[strategy]]\nkind = "{folder}/eager.py:Eager"\nname = "eager"\nstop = "none"'
    feed = f'kind = "replay"\ndata = ["AAA:1m={folder}/crash.csv"]'
    config = write_config(folder, symbols=["AAA"], strategies=strategy, feed=feed, at_end="stay", risk=RISK)
    config.write_text(
        config.read_text().replace('kind = "risk_fraction", fraction = 0.002', 'kind = "equity_fraction", fraction = 1')
    )
    return config


def test_a_crash_trips_in_backtest_and_daemon_alike_and_holds_over_a_kill(tmp_path: Path) -> None:
    config, home, killed = crash(tmp_path), tmp_path / "home", tmp_path / "killed"
    report = json.loads(tradebot("--config", config, "backtest", "--json"))
    said = tradebot("--config", config, "backtest")
    (acted,) = report["breakers"]
    assert (acted["name"], acted["state"], acted["tier"], acted["act"]) == ("drawdown_pct", "tripped", 1, "halt")
    assert acted["ts"] == (CRASH + 21) * 60_000
    assert 20 <= acted["value"] < 21
    assert report["open_positions"] == []
    assert report["trades"] == 1
    assert "breakers that acted" in said
    assert "drawdown_pct is tripped" in said
    seen: list[dict[str, Any]] = []

    async def fall(daemon: Running) -> None:
        await daemon.until(lambda status: status.get("feed", {}).get("state") == "finished")
        seen.append(await daemon.status())
        for arguments in ({}, {"reason": " "}):
            with pytest.raises(RefusedByRule, match="drawdown_pct is tripped"):
                await daemon.act("resume", **arguments)
        await daemon.image(killed)
        await daemon.act("stop")

    async def rise(daemon: Running) -> None:
        seen.append(await daemon.up())
        why = json.loads((await daemon.read("why", of="AAA", limit="1")).splitlines()[0])
        assert (why["outcome"], why["gate"], why["limit"]) == ("refused", "drawdown_pct", 20)
        told = json.loads(await daemon.read("report"))
        assert told["breakers"] == report["breakers"]
        await daemon.act("resume", reason="the crash is over")
        seen.append(await daemon.status())
        await daemon.act("stop")

    assert run(home, config, fall) == 0
    assert run(killed, config, rise) == 0
    for status in seen[:2]:
        assert (status["state"], status["positions"]) == ("halted", [])
        assert status["reason"].startswith("drawdown_pct is 20.")
        tripped = {one["name"]: one for one in status["breakers"]}
        assert (tripped["drawdown_pct"]["state"], tripped["drawdown_pct"]["threshold"]) == ("tripped", 20)
        assert tripped["drawdown_pct"]["since"] == acted["ts"]
        assert (tripped["max_trades_per_day"]["state"], tripped["max_trades_per_day"]["value"]) == ("ok", 1)
    assert seen[2]["state"] == "running"
    assert {one["state"] for one in seen[2]["breakers"]} == {"ok"}
    alerts = [json.loads(row.payload) for row in rows_of(killed, "alert")]
    assert [one["name"] for one in alerts] == ["breaker"]
    trades = [json.loads(line) for line in backtest_trades(config, tmp_path).splitlines()]
    assert [one["exit_reason"] for one in trades] == ["manual"]


def test_fault_53_a_strategy_gone_wild_is_halted_alone_over_a_kill_until_a_word(tmp_path: Path) -> None:
    home, killed = tmp_path / "home", tmp_path / "killed"
    (tmp_path / "wild.py").write_text(WILD)
    wild = f'[[strategy]]\nkind = "{tmp_path}/wild.py:Wild"\nname = "wild"\nsymbols = ["BBB"]'
    cross = '[[strategy]]\nkind = "sma_cross"\nsymbols = ["AAA"]\nfast = 3\nslow = 8'
    config = write_config(
        tmp_path, bars=200, strategies=f"{cross}\n{wild}", at_end="stay", risk="max_entries_per_hour = 14\n"
    )

    async def run_wild(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.image(killed)
        await daemon.act("stop")

    async def brought_back(daemon: Running) -> None:
        status = await daemon.up()
        (disabled,) = status["disabled"]
        assert disabled["strategy"] == "wild"
        assert disabled["reason"].startswith("max_entries_per_hour: wild entered 14 times within an hour")
        assert status["state"] == "running"
        (newest,) = [json.loads(line) for line in (await daemon.read("why", of="BBB", limit="1")).splitlines()]
        assert (newest["outcome"], newest["gate"]) == ("refused", "entry_rate")
        await daemon.act("resume")
        assert (await daemon.status())["disabled"] == []
        await daemon.act("stop")

    assert run(home, config, run_wild) == 0
    entered = [json.loads(row.payload)["signal"] for row in rows_of(killed, "approved")]
    assert sum(one["strategy"] == "wild" and one["action"] == "enter" for one in entered) == 14
    assert sum(one["strategy"] == "sma_cross" for one in entered) > 8
    assert run(killed, config, brought_back) == 0
    assert [json.loads(row.payload)["about"] for row in rows_of(killed, "alert")] == ["max_entries_per_hour wild"]
