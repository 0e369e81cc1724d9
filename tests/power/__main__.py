"""Cut the power of recorded runs at random points, run after run, and keep count.

python -m tests.power paper|live RESULTS [--runs N] [--seconds S] [--seed N] [--each N]
"""

import sys
from pathlib import Path
from typing import Any

from tests.power.cuts import build, live_run, paper_run
from tests.searching import search


def one_run(kind: str, folder: Path, seed: int, count: int) -> dict[str, Any]:
    """Record one run and cut its power ``count`` times."""
    run = paper_run if kind == "paper" else live_run
    return run(folder, seed, count, build(folder))


if __name__ == "__main__":
    sys.exit(search("tests.power", "Cut the power of recorded runs at random points.", 1000, one_run))
