"""The trades of backtesting.py: ``python -m benchmarks.peer_trades FILE STYLE`` prints them as JSON.

SMA 10/30 cross on closes, one unit at the next open, without costs; ``STYLE`` is ``long``, ``both`` or ``stops``. The
averages are of exact numbers, so that rounding cannot make two engines differ about a cross.
"""

import gzip
import json
import sys
from decimal import Decimal
from pathlib import Path

FAST, SLOW = 10, 30
STOP, TARGET = 0.998, 1.004


def trades(path: Path, style: str) -> list[dict[str, object]]:
    """Return its trades, with the keys of ``tradebot backtest --trades``."""
    import numpy
    import pandas
    from backtesting import Backtest, Strategy

    with gzip.open(path, "rt") as file:
        table = pandas.read_csv(file, dtype=str)
    exact = [Decimal(text) for text in table["close"]]
    table.index = pandas.to_datetime(table.pop("ts_ms").astype("int64"), unit="ms")
    table = table.astype(float)
    table.columns = ["Open", "High", "Low", "Close", "Volume"]

    def lead(_: "numpy.ndarray") -> "numpy.ndarray":
        signs = numpy.full(len(exact), numpy.nan)
        for end in range(SLOW, len(exact) + 1):
            fast, slow = sum(exact[end - FAST : end]) * SLOW, sum(exact[end - SLOW : end]) * FAST
            signs[end - 1] = (fast > slow) - (fast < slow)
        return signs

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.lead = self.I(lead, self.data.Close)

        def next(self) -> None:
            now, before = self.lead[-1], self.lead[-2]
            if now > 0 >= before:
                self.position.close()
                close = self.data.Close[-1]
                levels = {"sl": close * STOP, "tp": close * TARGET} if style == "stops" else {}
                self.buy(size=1, **levels)
            elif now < 0 <= before:
                self.position.close()
                if style == "both":
                    self.sell(size=1)

    engine = Backtest(table, Cross, cash=10_000_000, commission=0, finalize_trades=False)
    found = engine.run()["_trades"]
    return [
        {
            "side": "long" if row.Size > 0 else "short",
            "entry_ts": int(row.EntryTime.timestamp() * 1000),
            "exit_ts": int(row.ExitTime.timestamp() * 1000),
            "entry_price": float(row.EntryPrice),
            "exit_price": float(row.ExitPrice),
        }
        for row in found.itertuples()
    ]


if __name__ == "__main__":
    print(json.dumps(trades(Path(sys.argv[1]), sys.argv[2])))
