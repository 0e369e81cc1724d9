"""A million bars of one minute: imported, loaded, validated, resampled; seconds of the processor.

Invented ones, as a CSV file of 50 MB and as a series of the store.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.figures import Figure
from tradebot.data.barstore import BarStore
from tradebot.data.importing import Wish, import_file
from tradebot.data.layout import Hints
from tradebot.data.resample import resample
from tradebot.data.validate import stored_subject, validate
from tradebot.model.time import parse_timeframe
from tradebot.runtime.compiled import compiled
from tradebot.settings.dataspec import parse_stored
from tradebot.store.candles import BarFile

_BARS = 1_000_000
_START_MS = 1_600_000_020_000
_SERIES = parse_stored("made:BTC:1m")


def run() -> Iterable[Figure]:
    """Yield each step, then the size of the file."""
    with TemporaryDirectory(prefix="tradebot-bars-") as folder:
        path, store = Path(folder) / "bars.csv", BarStore(Path(folder) / "store")
        with path.open("w") as out:
            out.writelines(_lines())
        wish = Wish(hints=Hints())
        yield _timed("import 10^6 bars of CSV", lambda: import_file(store, path, _SERIES, wish, 0), 10)
        yield _timed("import them again", lambda: import_file(store, path, _SERIES, wish, 0), 10)
        yield _timed("load them from the store as arrays", lambda: store.read(_SERIES), 0.5)
        stored, kernels = BarFile(store.path(_SERIES), "BTC", _SERIES.timeframe), compiled()
        stored.columns(kernels)
        yield _timed("load them as a backtest does", lambda: stored.columns(kernels), 1)
        stored.inspect()
        yield _timed("the same, inspected", lambda: stored.columns(kernels), 1.5)
        yield _timed("load them as bars, for a daemon", lambda: sum(1 for _ in stored), 10)
        yield _timed("validate", lambda: validate([stored_subject(store, _SERIES)]), 10)
        fine = store.read(_SERIES)
        hour = parse_timeframe("1h")
        yield _timed("make hours of them", lambda: resample(fine, _SERIES.timeframe, hour), 5)
        size = store.path(_SERIES).stat().st_size
        yield Figure(what="the file", value=size / _BARS, unit="bytes a bar", aim=50)


def _timed(name: str, call: Callable[[], object], most: float) -> Figure:
    began = time.process_time()
    call()
    return Figure(what=name, value=time.process_time() - began, unit="s", aim=most)


def _lines() -> Iterator[str]:
    yield "ts_ms,open,high,low,close,volume\n"
    price = 300_000
    for number in range(_BARS):
        close = price + (number * 7919) % 401 - 200
        high, low = max(price, close) + number % 37, min(price, close) - number % 41
        prices = ",".join(f"{each / 10:.1f}" for each in (price, high, low, close))
        yield f"{_START_MS + number * 60_000},{prices},{(number * 31) % 9973 / 1000:.3f}\n"
        price = close
