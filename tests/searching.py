"""Long searches in slices: a file of results, a line each run, where the next slice goes on."""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What is lost by a kill or in a model of a disk is not what a disk would lose: it would only be slow.
_MEMORY = Path("/dev/shm")
OneRun = Callable[[str, Path, int, int], dict[str, Any]]


def search(name: str, about: str, each: int, one_run: OneRun) -> int:
    """Make runs until there are enough, or the time is over; return 1 when one of them was wrong.

    ``one_run`` gets kind, an empty folder, seed and how many events (``each``, or ``--each``), and returns the line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    parser.add_argument("kind", choices=("paper", "live"))
    parser.add_argument("results", type=Path, help="JSON lines, one a run; a search goes on where they end")
    parser.add_argument("--runs", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, help="the first seed; else the one after the last of RESULTS")
    parser.add_argument("--each", type=int, default=each, help="how many in each run")
    given = parser.parse_args()
    seed = given.seed or 1 + _last_seed(given.results, given.kind)
    until = time.monotonic() + given.seconds
    is_wrong = False
    top = Path(tempfile.mkdtemp(prefix="search-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        for number in range(seed, seed + given.runs):
            if time.monotonic() >= until:
                break
            folder = top / str(number)
            folder.mkdir()
            line = json.dumps(found := one_run(given.kind, folder, number, given.each))
            with given.results.open("a") as results:
                results.write(line + "\n")
            print(line, flush=True)
            if found["wrong"]:
                is_wrong = True
                kept = given.results.with_name(f"{name}-{given.kind}-{number}")
                shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
            shutil.rmtree(folder)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return int(is_wrong)


def search_words(kind: str, results: Path) -> list[str]:
    """Return the words of a slice of ``make soak``: how long, and where it goes on if the user named a file."""
    minutes = float(os.environ.get("TRADEBOT_SOAK_MINUTES", "10")) / 2
    folder = os.environ.get("TRADEBOT_SOAK_RESULTS")
    return [kind, str(Path(folder, results.name) if folder else results), "--seconds", str(60 * minutes)]


def _last_seed(results: Path, kind: str) -> int:
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return max((run["seed"] for run in known if run["kind"] == kind), default=0)
