"""A recorded socket as a market: the ``trades`` and ``l2Book`` frames of one coin, as bars of a second.

Each line holds a frame, after an optional time of receipt. A second without a print has the middle of its last
book, one with neither the close before it.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import orjson

from tradebot.model.errors import DataError
from tradebot.model.market import Bar
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.time import NANOS_PER_MS, NANOS_PER_S, Nanos, Timeframe

SECOND = Timeframe(NANOS_PER_S)


class RecordedSocket:
    """The bars of one coin in a file of frames, plain or gzipped. Raises ``DataError`` when it has none."""

    def __init__(self, path: Path, symbol: str) -> None:
        self.symbol = symbol
        self.timeframe = SECOND
        self._path = path
        self._bars = list(self._read())
        if not self._bars:
            raise DataError(f"there is no print or book of {symbol}", where=str(path), mend="name a coin it holds")

    def __len__(self) -> int:
        return len(self._bars)

    def skip(self, count: int) -> Iterator[Bar]:
        """Give the bars after the first ``count``."""
        return iter(self._bars[count:])

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hex."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _read(self) -> Iterator[Bar]:
        prices: dict[int, list[tuple[Decimal, Decimal]]] = {}
        middles: dict[int, Decimal] = {}
        for number, line in enumerate(self._lines(), 1):
            try:
                frame = orjson.loads(line[line.index(b"{") :])
                self._take(frame, prices, middles)
            except (ValueError, KeyError, TypeError, IndexError, InvalidOperation) as error:
                raise DataError(f"this is no frame: {line[:60]!r}", where=f"{self._path}:{number}") from error
        seconds = sorted({*prices, *middles})
        last = ZERO
        for second in range(seconds[0], seconds[-1] + 1) if seconds else ():
            prints = prices.get(second) or [(middles.get(second, last), ZERO)]
            values = [price for price, _ in prints]
            last = values[-1]
            volume = sum((size for _, size in prints), ZERO)
            high, low = Price(max(values)), Price(min(values))
            closes = Nanos((second + 1) * NANOS_PER_S)
            yield Bar(self.symbol, SECOND, closes, Price(values[0]), high, low, Price(last), Qty(volume))

    def _lines(self) -> Iterator[bytes]:
        try:
            with gzip.open(self._path) if self._path.suffix == ".gz" else self._path.open("rb") as file:
                yield from (line for line in file if line.strip())
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"cannot be read: {error}", where=str(self._path)) from error

    def _take(
        self, frame: dict[str, object], prices: dict[int, list[tuple[Decimal, Decimal]]], middles: dict[int, Decimal]
    ) -> None:
        data = frame.get("data")
        if frame.get("channel") == "trades" and isinstance(data, list):
            for row in data:
                if row["coin"] == self.symbol:
                    print_ = Decimal(row["px"]), Decimal(row["sz"])
                    prices.setdefault(_second(row["time"]), []).append(print_)
        elif frame.get("channel") == "l2Book" and isinstance(data, dict) and data["coin"] == self.symbol:
            bids, asks = data["levels"]
            if bids and asks:
                middles[_second(data["time"])] = (Decimal(bids[0]["px"]) + Decimal(asks[0]["px"])) / 2


def _second(ms: int) -> int:
    return ms * NANOS_PER_MS // NANOS_PER_S
