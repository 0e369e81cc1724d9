"""The grid of vectorbt: ``python -m benchmarks.peer_grid FILE`` prints ``{"seconds", "trades", "rss_mb"}`` as JSON."""

import json
import resource
import sys
import time
from pathlib import Path

FAST, SLOW = range(5, 45), range(50, 300, 10)
STOP, FEES = 0.01, 0.00055


def grid(path: Path) -> tuple[float, int]:
    """Return the seconds of the second run and the trades of all sets."""
    import pandas
    import vectorbt

    closes = pandas.read_csv(path)["close"]
    seconds, trades = 0.0, 0
    for _ in range(2):
        begin = time.perf_counter()
        fast = vectorbt.MA.run(closes, window=[fast for fast in FAST for _ in SLOW], short_name="fast")
        slow = vectorbt.MA.run(closes, window=[slow for _ in FAST for slow in SLOW], short_name="slow")
        entries = fast.ma_crossed_above(slow.ma.values)
        exits = fast.ma_crossed_below(slow.ma.values)
        found = vectorbt.Portfolio.from_signals(closes, entries, exits, fees=FEES, sl_stop=STOP)
        trades = int(found.trades.count().sum())
        seconds = time.perf_counter() - begin
    return seconds, trades


if __name__ == "__main__":
    taken, count = grid(Path(sys.argv[1]))
    print(
        json.dumps(
            {"seconds": taken, "trades": count, "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
        )
    )
