"""What an operator says holds: at once, after a stop, and after a kill."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.lab import Running, rows_of, run, write_config
from tradebot.control import client
from tradebot.model.errors import RefusedByRule, TradebotError

STATES = {"pause": "paused", "reduce-only": "reduce_only", "halt": "halted"}
LIMITS = """
max_leverage = 0.0001
[[instrument]]
symbol = "AAA"
min_notional = "10"
"""
WAITS = '''
from tradebot.pipeline.strategy.base import Enter, Exit, OrderType, Params, PositionSide

class Waits:
    """Enters by a limit that is never reached."""

    class Params(Params):
        pass

    def __init__(self, params):
        self.n = 0

    def on_bar(self, bar, position):
        self.n += 1
        if self.n == 30:
            yield Enter(PositionSide.LONG, entry_type=OrderType.LIMIT, entry_price=bar.close / 2, stop=bar.close / 4)
'''


async def lines(daemon: Running, view: str, **query: str) -> list[dict[str, Any]]:
    import asyncio

    body = await asyncio.to_thread(client.read, daemon.socket, view, query)
    return [json.loads(line) for line in body.splitlines()]


def endless(folder: Path, **changes: Any) -> Path:
    return write_config(folder, **({"bars": None, "speed": "30000", "at_end": "stay"} | changes))


@pytest.mark.parametrize(("verb", "state"), STATES.items())
def test_a_state_holds_over_a_stop_and_a_kill_until_resume(tmp_path: Path, verb: str, state: str) -> None:
    config, killed = endless(tmp_path), tmp_path / "killed"

    async def say(daemon: Running) -> None:
        await daemon.up()
        await daemon.act(verb)
        await daemon.image(killed)
        await daemon.act("stop")

    windows: list[tuple[int, int]] = []

    async def look(daemon: Running) -> None:
        status = await daemon.up()
        assert status["state"] == state
        await daemon.turns(daemon.daemon.engine.session.turns + 200)  # type: ignore[union-attr]  # it is up
        windows.append((status["feed"]["last_ts"], (await daemon.status())["feed"]["last_ts"]))
        await daemon.act("resume", reason="all is well")
        assert (await daemon.status())["state"] == "running"
        assert json.loads(await daemon.read("risk"))["reason"] == "all is well"
        await daemon.act("stop")

    assert run(tmp_path / "home", config, say) == 0
    for home in (tmp_path / "home", killed):
        assert run(home, config, look) == 0
        (since, until), signals = windows.pop(), [json.loads(row.payload) for row in rows_of(home, "approved")]
        assert until > since
        during = [one for one in signals if since < one["ts_event"] // 10**6 <= until]
        assert [one for one in during if one["signal"]["action"] == "enter"] == []


def test_a_halt_is_not_loosened_by_a_pause(tmp_path: Path) -> None:
    async def during(daemon: Running) -> None:
        await daemon.up()
        await daemon.act("halt")
        for verb in ("pause", "reduce-only"):
            with pytest.raises(RefusedByRule, match="stricter") as error:
                await daemon.act(verb)
            assert error.value.exit_code == 5
            assert error.value.mend == "resume first"
        with pytest.raises(RefusedByRule, match="halted"):
            await daemon.act("close", symbol="AAA")
        await daemon.act("stop")

    assert run(tmp_path / "home", endless(tmp_path), during) == 0


def test_half_a_position_is_closed_and_then_all_is_flattened(tmp_path: Path) -> None:
    async def during(daemon: Running) -> None:
        status = await daemon.until(lambda found: bool(found.get("positions")))
        held = status["positions"][0]
        try:
            answer = await daemon.act("close", symbol=held["symbol"], fraction="0.5")
        except TradebotError:
            # It was closed by its own stop meanwhile.
            pass
        else:
            assert held["symbol"] in answer["detail"]
        await daemon.act("halt", flatten="true")
        left: dict[str, Any] = {}
        while not left.get("flat"):
            (left,) = await lines(daemon, "flatness")
        status = await daemon.status()
        assert status["positions"] == []
        assert status["state"] == "halted"
        assert status["orders"]["open"] == 0
        await daemon.act("stop")

    assert run(tmp_path / "home", endless(tmp_path), during) == 0


def test_what_a_finished_feed_cannot_close_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, bars=101, at_end="stay")

    async def during(daemon: Running) -> None:
        status = await daemon.feed_finished()
        held = {row["symbol"] for row in status["positions"]}
        await daemon.act("halt", flatten="true")
        (left,) = await lines(daemon, "flatness")
        assert {row["symbol"] for row in left["positions"]} == held
        assert (left["flat"], left["over"]) == (not held and not left["orders"], bool(held))
        assert held
        assert "feed is finished" in left["stuck"]
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0


def test_why_tells_the_limit_that_refused_and_its_value(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        bars=60,
        at_end="stay",
        risk='max_leverage = 0.0001\n[[instrument]]\nsymbol = "AAA"\nmin_notional = "10"',
    )

    async def during(daemon: Running) -> None:
        await daemon.feed_finished()
        found = await lines(daemon, "why", of="AAA")
        refused = [row for row in found if row["outcome"] == "refused"]
        assert refused
        assert refused[0]["gate"] == "max_leverage"
        assert refused[0]["limit"] is not None
        assert refused[0]["value"] is not None
        assert not refused[0]["orders"]
        assert [row["ts"] for row in found] == sorted((row["ts"] for row in found), reverse=True)
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0


def test_why_tells_what_waits_and_what_expired(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(WAITS)
    strategies = '[[strategy]]\nkind = "own.py:Waits"\nsymbols = ["AAA"]\n'
    config = write_config(tmp_path, bars=60, at_end="stay", strategies=strategies)

    async def during(daemon: Running) -> None:
        await daemon.feed_finished()
        (row,) = await lines(daemon, "why", of="AAA")
        assert row["outcome"] == "waiting"
        (entry,) = [order for order in await lines(daemon, "orders") if order["role"] == "entry"]
        answer = await daemon.act("cancel", all="true")
        assert answer["detail"] == "cancelling 1 order"
        (row,) = await lines(daemon, "why", of=row["signal_id"])
        assert row["outcome"] == "expired"
        assert entry["id"] in {order["id"] for order in row["orders"]}
        await daemon.act("stop")

    assert run(tmp_path / "home", config, during) == 0


def test_a_stop_leaves_nothing_waiting(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(WAITS)
    strategies = '[[strategy]]\nkind = "own.py:Waits"\nsymbols = ["AAA"]\n'
    config = write_config(tmp_path, bars=60, at_end="stay", strategies=strategies)

    async def stop(daemon: Running) -> None:
        await daemon.feed_finished()
        await daemon.act("stop")

    async def look(daemon: Running) -> None:
        status = await daemon.up()
        assert status["state"] == "running"
        assert status["orders"] == {"open": 0, "unknown": 0}
        await daemon.act("stop")

    assert run(tmp_path / "home", config, stop) == 0
    assert run(tmp_path / "home", config, look) == 0
    assert rows_of(tmp_path / "home", "cancel")
    shutil.rmtree(tmp_path / "home")
