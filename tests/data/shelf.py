"""A store of bars in a folder of its own, and bars to put there."""

from array import array
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tradebot.data.bars import BarColumns
from tradebot.data.barstore import BarStore
from tradebot.data.importing import Imported, Wish, import_file
from tradebot.data.layout import Hints
from tradebot.settings.dataspec import StoredSeries, parse_stored

START_MS = 1_735_689_600_000  # 2025-01-01
NOW_MS = 1_767_225_600_000
SERIES = parse_stored("test:BTC:1m")


def bars(count: int = 40, *, step_ms: int = 60_000, start_ms: int = START_MS) -> list[tuple[int, ...]]:
    """Bars that climb by one a bar: time, open, high, low, close, volume."""
    return [(start_ms + n * step_ms, 100 + n, 102 + n, 99 + n, 101 + n, n % 7 + 1) for n in range(count)]


def rows_of(columns: BarColumns) -> list[tuple[Decimal | int, ...]]:
    """The bars as tuples."""
    return [(ts, *columns.row(place)) for place, ts in enumerate(columns.ts)]


def columns_of(rows: list[tuple[int, ...]]) -> BarColumns:
    """Tuples as bars."""
    ts, *numbers = zip(*rows, strict=True)
    return BarColumns(array("q", ts), [array("d", map(float, column)) for column in numbers])


def when(ts: int, form: str) -> str:
    """A time in ms as text."""
    return datetime.fromtimestamp(ts / 1000, UTC).strftime(form)


class Shelf:
    """A store, and files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = BarStore(folder / "data")

    def write(self, text: str | bytes, name: str = "file.csv") -> Path:
        """A file with that content."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def take(self, path: Path, series: StoredSeries = SERIES, hints: Hints | None = None, **wish: object) -> Imported:
        """Import a file."""
        wanted = Wish(hints=hints or Hints(symbol=series.symbol), **wish)  # type: ignore[arg-type]
        return import_file(self.store, path, series, wanted, NOW_MS)

    def take_text(self, text: str | bytes, name: str = "file.csv", **wish: object) -> Imported:
        """Import a file with that content."""
        return self.take(self.write(text, name), **wish)  # type: ignore[arg-type]

    def rows(self, series: StoredSeries = SERIES) -> list[tuple[Decimal | int, ...]]:
        """All bars of a series."""
        return rows_of(self.store.read(series))
