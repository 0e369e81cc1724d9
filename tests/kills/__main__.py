"""Kill daemons at random moments, run after run, and keep count.

python -m tests.kills paper|live RESULTS [--runs N] [--seconds S] [--seed N] [--each N]
"""

import sys
from pathlib import Path
from typing import Any

from tests.kills.lives import block_child_signal
from tests.searching import search


def one_run(kind: str, folder: Path, seed: int, kills: int) -> dict[str, Any]:
    """Make one run, killed so often."""
    if kind == "paper":
        from tests.kills import paper

        return paper.run(folder, seed, kills)
    # What speaks to an exchange is an extra.
    from tests.kills import live

    return live.run(folder, seed, kills)


if __name__ == "__main__":
    block_child_signal()
    sys.exit(search("tests.kills", "Kill daemons at random moments.", 60, one_run))
