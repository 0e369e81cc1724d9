"""Killed at any moment, a bot ends in the same trades, and at an exchange in no order twice.

The counts of longer searches are in ``docs/reference/kills.md``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.searching import search_words


def search(*words: str) -> str:
    """Return the runs of a search, a line each; a process of its own, for forks and threads do not go together."""
    command = [sys.executable, "-m", "tests.kills", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_paper_run_that_is_killed_ends_in_the_same_trades(tmp_path: Path) -> None:
    results = str(tmp_path / "kills.jsonl")
    (line,) = search("paper", results, "--runs", "1", "--each", "8").splitlines()
    assert '"wrong": []' in line
    # A search goes on where its file ends.
    assert '"seed": 2' in search("paper", results, "--runs", "1", "--each", "1")


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["paper", "live"])
def test_runs_that_are_killed_all_the_time_lose_nothing(tmp_path: Path, kind: str) -> None:
    search(*search_words(kind, tmp_path / "kills.jsonl"))
