"""A live bot on a devnet that is killed again and again: no order is there twice, every fill is booked once.

The devnet is another process and lives on, as an exchange does.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import tradebot.runtime.real_venue  # noqa: F401 - so that no child has to import it
from tests.kills.lives import KILLED, Life, a_death
from tests.kills.paper import check_told
from tests.kills.points import LIVE_POINTS
from tests.live_soak.bot import Bot, Exchange
from tests.live_soak.verdict import agreed, ledger, payloads
from tests.waiting import wait_until
from tradebot.control import client
from tradebot.control.protocol import find_socket
from tradebot.model.errors import TradebotError
from tradebot.store import verification

_SPEED = 240
_HEAL_S = 120.0
_LONGEST_MEAN_S = 4.0
_PASSES = {"before the commit": 25, "at the commit": 10, "after the commit": 25}


def run(folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """Make the run of ``seed`` with ``kills``; return its counts, and what is wrong."""
    chance = random.Random(seed)
    exchange = Exchange(folder, seed, _SPEED)
    try:
        return _kill_and_compare(Bot(folder, exchange.url), exchange, chance, seed, kills)
    finally:
        exchange.stop()


def _kill_and_compare(bot: Bot, exchange: Exchange, chance: random.Random, seed: int, kills: int) -> dict[str, Any]:
    config, wrong = bot.home.parent / "bot.toml", list[str]()
    died: Counter[str] = Counter()
    torn = 0
    mean_s, durable = _seconds_to_orders(Life(bot.home, config, None, is_live=True), exchange), 0
    while sum(died.values()) < kills:
        death = a_death(chance, LIVE_POINTS, mean_s, lambda point: _PASSES.get(point, 2))
        life = Life(bot.home, config, death, is_live=True)
        code = life.die(death)
        durable = check_told(life.told(), durable, wrong)
        torn += life.told().torn
        if code != KILLED:
            wrong.append(f"a life ended by itself with {code}: {life.errors}")
            break
        died[life.cause] += 1
    life = Life(bot.home, config, None, is_live=True)
    if not _is_up(life):
        wrong.append(f"it is not up after {_HEAL_S:.0f} s: {life.errors}")
    else:
        # In a market that stands still, what is true stays true.
        exchange.admin("freeze")
        wrong += agreed(bot, exchange, _HEAL_S)
    code = life.kill(signal.SIGTERM)
    durable = check_told(life.told(), durable, wrong)
    wrong += [] if code == 0 else [f"at the end it ended with {code}: {life.errors}"]
    wrong += verification.verify(bot.home).problems
    truth, booked = exchange.truth(), Counter(ledger(bot).booked)
    told = {"orders": truth["cloids"], "fills": len(truth["fills"]), "torn": torn}
    wrong += [f"{cloid} was placed {len(oids)} times" for cloid, oids in truth["repeated"].items()]
    wrong += [f"fill {trade} was booked {times} times" for trade, times in booked.items() if times > 1]
    if set(booked) != set(truth["fills"]):
        wrong.append(f"fills of the exchange alone or ours alone: {set(booked) ^ set(truth['fills'])}")
    meant = {cloid for intent in payloads(bot, ["intent"]) for cloid in intent["cloids"]}
    orders = exchange.ask("/info", {"type": "historicalOrders", "user": exchange.user})
    wrong += [
        f"{cloid} is at the exchange, and no row meant it" for cloid in {_cloid(order) for order in orders} - meant
    ]
    return {"kind": "live", "seed": seed, "kills": sum(died.values()), "at": dict(died), **told, "wrong": wrong}


def _seconds_to_orders(life: Life, exchange: Exchange) -> float:
    """Kill a first life at its first fill; return how long it took, for lives too short to trade show little."""
    begun = time.monotonic()
    wait_until(lambda: exchange.truth()["fills"], _HEAL_S, pause_s=0.05)
    life.kill()
    return min(time.monotonic() - begun, _LONGEST_MEAN_S)


def _cloid(order: dict[str, Any]) -> str:
    return str(order["order"]["cloid"])


def _is_up(life: Life) -> bool:
    for _ in range(int(_HEAL_S / 0.1)):
        if life.ended(0.1) is not None:
            return False
        try:
            status = json.loads(client.read(find_socket(life.home, os.environ), "status", timeout=1.0))
        except TradebotError:
            continue
        if status["state"] == "running":
            return True
    return False
