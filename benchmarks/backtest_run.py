"""One backtest in a process of its own: ``python -m benchmarks.backtest_run CONFIG`` says what it took."""

import json
import resource
import sys
from pathlib import Path

from benchmarks.engine_run import load
from tradebot.runtime.backtest import run_backtest


def main(config: Path) -> None:
    """Run it once, and print time and memory as JSON."""
    result = run_backtest(load(config, config.parent))
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"wall_s": result.document["wall_s"], "rss_mb": peak_kb / 1024, "trades": len(result.trades)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
