"""What a running daemon has loaded: nothing that only tables, notebooks or research need."""

import subprocess
import sys
from pathlib import Path

from tests.daemon.harness import DEADLINE_S, clean_environ, generated_config

LARGE = {"numpy", "pandas", "numba", "pyarrow", "rich", "typer", "click", "ccxt"}


def test_a_daemon_that_trades_loads_no_large_package(tmp_path: Path) -> None:
    config = generated_config(tmp_path, ("AAA", "BBB", "CCC"), 300, seed=3)
    words = ["--home", str(tmp_path / "home"), "--config", str(config), "start", "--foreground"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tradebot", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=clean_environ(),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "aiosqlite" in loaded
    assert loaded.isdisjoint(LARGE)
