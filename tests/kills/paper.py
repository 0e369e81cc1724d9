"""A paper run that is killed again and again: it ends in the trades of the run that nobody touched."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

from tests.kills.lives import KILLED, Life, Told, a_death
from tests.kills.points import PAPER_POINTS
from tests.recovery.lab import facts_of, write_config
from tradebot.store import verification

_MEAN_S = 0.08
_PASSES = {"before the commit": 25, "at the commit": 25, "after the commit": 25}


def run(folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """Make the run of ``seed`` with some ``kills``; return its counts, and what is wrong."""
    chance = random.Random(seed)
    config = write_run_config(folder, chance, (300, 700))
    wrong: list[str] = []
    torn = 0
    clean = Life(folder / "clean", config, None)
    code = clean.ended()
    wrong += [] if code == 0 else [f"the run without a kill ended with {code}: {clean.errors}"]
    died: Counter[str] = Counter()
    home = folder / "home"
    durable, left = 0, kills
    while True:
        death = a_death(chance, PAPER_POINTS, _MEAN_S, lambda point: _PASSES.get(point, 2)) if left > 0 else None
        life = Life(home, config, death)
        code = life.ended() if death is None else life.die(death)
        durable = check_told(life.told(), durable, wrong)
        torn += life.told().torn
        if code != KILLED or death is None:
            break
        died[life.cause] += 1
        left -= 1
    wrong += [] if code == 0 else [f"after {sum(died.values())} kills it ended with {code}: {life.errors}"]
    wrong += verification.verify(home).problems if code == 0 else ()
    facts = facts_of(home) if code == 0 else []
    if code == 0 and facts != facts_of(folder / "clean"):
        wrong.append("the trades are not those of the run without a kill")
    trips = sum(kind == "round_trip" for kind, _, _ in facts)
    return {
        "kind": "paper",
        "seed": seed,
        "kills": sum(died.values()),
        "at": dict(died),
        "trips": trips,
        "torn": torn,
        "wrong": wrong,
    }


def check_told(told: Told, durable: int, wrong: list[str]) -> int:
    """Return how many rows are acknowledged by now; add what this life found missing."""
    if told.durable and told.opened < durable:
        wrong.append(f"{durable} rows were acknowledged, {told.opened} were there at the next start")
    if told.damage:
        wrong.append("the journal was damaged by a kill")
    return max(durable, told.durable)


def write_run_config(folder: Path, chance: random.Random, bars: tuple[int, int]) -> Path:
    """Draw a market of so many bars, and write a configuration with upkeep in every life of it."""
    store = f"keep_market_days = 1\nsnapshot_turns = {chance.randint(5, 60)}\nsnapshot_s = 0.05"
    path = write_config(folder, bars=chance.randint(*bars), store=store)
    text = path.read_text().replace("seed = 5", f'seed = {chance.randrange(10**6)}\ntimeframe = "1h"')
    path.write_text(text.replace('time = "45m"', 'time = "45h"') + '[log]\nlevel = "debug"\n')
    return path
