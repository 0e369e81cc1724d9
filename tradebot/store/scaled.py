"""Whole files as columns of whole numbers: for machines with numpy, and files of plain numbers.

What is found to be anything else is not explained here: read as bars, it is refused with its line, or read.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tradebot.pipeline.columns import MOST_DIGITS, Kernels
from tradebot.store import digits
from tradebot.store.columns import byte_blocks, is_gzip, is_parquet
from tradebot.store.parquet import float_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_BYTES = 1 << 20
_PRICES = 4


class Scaled(NamedTuple):
    """Times of opening in ms, and five numbers of each row: see ``SeriesColumns``."""

    times: "NDArray[np.int64]"
    numbers: "tuple[NDArray[np.int64], ...]"
    places: int
    own: "tuple[NDArray[np.int8], ...]"


ReadScaled = Callable[[Path, Sequence[str], Kernels, Callable[[], None]], Scaled | None]
"""Reads a file as ``read_scaled`` does."""


def read_scaled(path: Path, header: Sequence[str], kernels: Kernels, on_cut: Callable[[], None]) -> Scaled | None:
    """Return all rows of ``path``, checked each by itself, or ``None``. Raises ``DataError`` where it cannot be read.

    The first four numbers of ``header`` are prices.
    """
    table = _Table(kernels)
    found = table.read_parquet(path, header) if is_parquet(path) else table.read_text(path, header, on_cut)
    return table.scaled() if found else None


class _Table:
    """Rows as they are read; room that is not written to costs nothing."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._rows = 0
        self._make(0)

    def read_text(self, path: Path, header: Sequence[str], on_cut: Callable[[], None]) -> bool:
        import numpy as np

        read_rows, size = self._kernels[digits.read_rows], text_bytes(path)
        for block in byte_blocks(path, header, on_cut, _BLOCK_BYTES):
            if not self._rows:
                lines = block.count(b"\n")
                self._make(size * lines // len(block) * 5 // 4 + lines)
            elif self._rows + len(block) // 12 > self._times.size:
                self._grow(self._rows + block.count(b"\n"))
            text = np.frombuffer(block, np.uint8)
            row = read_rows(text, text.size, self._rows, self._times, self._numbers, self._own)
            if row == digits.NOT_PLAIN:
                return False
            self._rows = row
        return True

    def read_parquet(self, path: Path, header: Sequence[str]) -> bool:
        read_floats = self._kernels[digits.read_floats]
        for rows, times, columns in float_columns(path, header):
            if not self._rows:
                self._make(rows)
            end = self._rows + times.size
            self._times[self._rows : end] = times
            for values, numbers, own in zip(columns, self._numbers, self._own, strict=True):
                if not read_floats(values, numbers, own, self._rows):
                    return False
            self._rows = end
        return self._rows > 0

    def scaled(self) -> Scaled | None:
        rows = self._rows
        if not rows:
            return None
        finest = int(self._own[:_PRICES, :rows].max())
        if finest > MOST_DIGITS:
            return None
        for prices, written in zip(self._numbers[:_PRICES], self._own[:_PRICES], strict=True):
            if not self._kernels[digits.scale](prices, written, rows, finest):
                return None
        if not self._kernels[digits.are_bars](self._numbers, rows):
            return None
        numbers, own = tuple(one[:rows] for one in self._numbers), tuple(one[:rows] for one in self._own)
        return Scaled(self._times[:rows], numbers, finest, own)

    def _make(self, room: int) -> None:
        import numpy as np

        self._times = np.empty(room, np.int64)
        self._numbers = np.empty((digits.NUMBERS, room), np.int64)
        self._own = np.empty((digits.NUMBERS, room), np.int8)

    def _grow(self, least: int) -> None:
        if least <= self._times.size:
            return
        rows, times, numbers, own = self._rows, self._times, self._numbers, self._own
        self._make(least + least // 2)
        self._times[:rows], self._numbers[:, :rows], self._own[:, :rows] = (
            times[:rows],
            numbers[:, :rows],
            own[:, :rows],
        )


def text_bytes(path: Path) -> int:
    """Return about how long the text is; of a compressed file, what its last bytes say. Raises ``DataError``."""
    is_packed = is_gzip(path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not is_packed or size < 4:
            return size
        file.seek(-4, os.SEEK_END)
        return max(size, int.from_bytes(file.read(4), "little"))
