"""Columns of files that many backtests read: made once, kept by each process, and mapped into memory by all of them."""

import json
import shutil
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import mkdtemp

from tradebot.pipeline.columns import Kernels
from tradebot.store.scaled import Scaled, read_scaled

_PARTS = ("times", "numbers", "own")
_PLACES = "places.json"


class SharedColumns:
    """Reads files as ``read_scaled`` does, each once.

    With ``folder``, other processes find there what one of them has read. A file that was changed since is read again.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._known: dict[str, Scaled] = {}

    def read(self, path: Path, header: Sequence[str], kernels: Kernels, on_cut: Callable[[], None]) -> Scaled | None:
        """Return all rows of ``path``, or ``None`` where they are not plain. Raises ``DataError``."""
        name = _name(path, header)
        found = self._known.get(name) or self._load(name)
        if found is None:
            cuts: list[None] = []

            def note_cut() -> None:
                cuts.append(None)
                on_cut()

            found = read_scaled(path, header, kernels, note_cut)
            # Whoever reads one that ends within a row is to be told.
            if found is None or cuts:
                return found
            self._keep(name, found)
        self._known[name] = found
        return found

    def _load(self, name: str) -> Scaled | None:
        import numpy as np

        if self._folder is None:
            return None
        folder = self._folder / name
        try:
            places = json.loads((folder / _PLACES).read_bytes())
            # Copy on write: what is mapped for reading alone would be compiled for anew.
            times, numbers, own = (np.load(folder / f"{part}.npy", mmap_mode="c") for part in _PARTS)
        except OSError:
            return None
        return Scaled(np.asarray(times), tuple(map(np.asarray, numbers)), places, tuple(map(np.asarray, own)))

    def _keep(self, name: str, found: Scaled) -> None:
        import numpy as np

        if self._folder is None:
            return
        made = None
        try:
            made = Path(mkdtemp(dir=self._folder))
            for part, array in zip(_PARTS, (found.times, found.numbers, found.own), strict=True):
                np.save(made / f"{part}.npy", np.asarray(array))
            (made / _PLACES).write_text(json.dumps(found.places))
            made.rename(self._folder / name)
        except OSError:
            # Another process was faster, or the disk is full: then each reads for itself.
            if made is not None:
                shutil.rmtree(made, ignore_errors=True)


def _name(path: Path, header: Sequence[str]) -> str:
    status = path.stat()
    identity = [str(path.resolve()), status.st_size, status.st_mtime_ns, *header]
    return blake2b(json.dumps(identity).encode(), digest_size=16).hexdigest()
