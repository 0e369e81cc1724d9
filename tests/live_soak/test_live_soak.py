"""A live daemon on a devnet lives through faults and kills, and in the end believes what is true."""

import os
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live_soak.bot import Bot, Exchange, now_ms
from tests.live_soak.storm import Storm
from tests.live_soak.verdict import GRACE_MS, account_for, agreed, ledger, rows_around

pytestmark = pytest.mark.long

SEED = int(os.environ.get("TRADEBOT_SOAK_SEED", "1"))
# A stop cancelled by hand, then a kill, then a venue that is shut.
ONCE_NAKED = 12
MINUTES = float(os.environ.get("TRADEBOT_SOAK_MINUTES", "10"))
_HEAL_S = 60.0


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path, SEED)
    yield made
    made.stop()


@pytest.fixture
def bot(tmp_path: Path, exchange: Exchange) -> Iterator[Bot]:
    made = Bot(tmp_path, exchange.url)
    yield made
    if made.is_alive:
        made.kill()


def judge(bot: Bot, exchange: Exchange, storm: Storm) -> list[str]:
    """Let all heal, compare, end the daemon, compare again; return what is wrong."""
    is_up = storm.end(_HEAL_S)
    wrong = [] if is_up else [f"the daemon is not up after {_HEAL_S:.0f} s: {bot.errors[-2000:]}"]
    # In a market that stands still, what is true stays true.
    exchange.admin("freeze")
    wrong += agreed(bot, exchange, _HEAL_S) if is_up else []
    end_ms = now_ms()
    naked = account_for(exchange.unprotected(), bot, storm, end_ms)
    code = bot.kill(15) if bot.is_alive else -1
    wrong += [] if code == 0 else [f"the daemon ended with {code}: {bot.errors[-2000:]}"]
    truth, booked = exchange.truth(), ledger(bot)
    missing = set(truth["fills"]) - set(booked.booked)
    extra = set(booked.booked) - set(truth["fills"])
    twice = [trade_id for trade_id, times in Counter(booked.booked).items() if times > 1]
    wrong += [f"fills: not booked {missing}, invented {extra}, twice {twice}"] if missing or extra or twice else []
    for cloid, oids in truth["repeated"].items():
        told = [exchange.ask("/info", {"type": "orderStatus", "user": exchange.user, "oid": oid}) for oid in oids]
        wrong.append(f"{cloid} was placed {len(oids)} times: {told}")
    wrong += [f"died: {death}" for death in storm.deaths]
    wrong += [
        f"naked {one.row['ms']} ms, {one.unaccounted_ms} ms of it without a cause ({one.cause}): {one.row}"
        for one in naked
        if one.unaccounted_ms > GRACE_MS
    ]
    print(_summary(bot, storm, truth, naked))
    for one in naked:
        print(f"  naked {one.row['ms']} ms ({one.cause}), {one.unaccounted_ms} ms without a cause: {one.row}")
        if one.unaccounted_ms > GRACE_MS:
            print(*rows_around(bot, one.row["since"]), sep="\n")
    if wrong:
        print("wrong:", *wrong, "troubles:", *storm.troubles, "down:", *bot.down, sep="\n  ")
    return wrong


def _summary(bot: Bot, storm: Storm, truth: dict[str, object], naked: list[object]) -> str:
    boots = sorted((until - since) / 1000 for since, until in bot.down if until is not None)
    fills, cloids = truth["fills"], truth["cloids"]
    lengths = [one.row["ms"] for one in naked]  # type: ignore[attr-defined]
    left = [one.unaccounted_ms for one in naked]  # type: ignore[attr-defined]
    lines = [
        f"seed {storm.seed}: {len(storm.troubles)} troubles, {storm.kills} kills, {cloids} orders, {len(fills)} fills",  # type: ignore[arg-type]
        f"  kill to ready: p50 {statistics.median(boots):.2f} s, longest {boots[-1]:.2f} s" if boots else "  no kill",
        f"  without a full stop: {len(lengths)} times, {sum(lengths) / 1000:.1f} s in all, longest"
        f" {max(lengths, default=0) / 1000:.1f} s; not accounted for: longest {max(left, default=0) / 1000:.1f} s",
    ]
    return "\n".join(lines)


def test_a_live_daemon_survives_a_short_storm(bot: Bot, exchange: Exchange) -> None:
    bot.start()
    assert bot.wait_ready(), bot.errors
    storm = Storm(exchange, bot, ONCE_NAKED)
    storm.blow(12)
    assert judge(bot, exchange, storm) == [], storm.troubles


@pytest.mark.soak
@pytest.mark.parametrize("seed", sorted({SEED, ONCE_NAKED}))
def test_a_live_daemon_survives_a_long_storm(bot: Bot, exchange: Exchange, seed: int) -> None:
    bot.start()
    assert bot.wait_ready(), bot.errors
    storm = Storm(exchange, bot, seed)
    storm.blow(60 * MINUTES)
    assert judge(bot, exchange, storm) == [], storm.troubles


def test_a_live_daemon_in_fair_weather_is_never_naked_and_always_right(bot: Bot, exchange: Exchange) -> None:
    bot.start()
    assert bot.wait_ready(), bot.errors
    storm = Storm(exchange, bot, SEED)
    exchange.wait_fills(6)
    assert judge(bot, exchange, storm) == []
