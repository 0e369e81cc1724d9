"""The file where a grid keeps its results: a JSON line a set, appended as they come, in order of the grid at the end.

A grid that was cut short goes on with what is in it. Each line has the ``run`` that it is of, a digest of all that a
set depends on beside its parameters, so that results of another configuration, or of other data, are never mixed in.
"""

import json
import os
from collections.abc import Iterable, Mapping
from errno import EINVAL, ENOSPC
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from tradebot.model.errors import UsageError
from tradebot.report.shapes import Json

_WHERE = "--results"
_RUN_DIGITS = 32
_SIGNED_BYTES = len('{"run":"",') + _RUN_DIGITS


def run_digest(parts: Iterable[str]) -> str:
    """Return 32 hex digits that name a run: of all that a set of it depends on beside its parameters."""
    return blake2b(json.dumps(list(parts)).encode(), digest_size=_RUN_DIGITS // 2).hexdigest()


def params_key(params: Mapping[str, Json]) -> str:
    """Return what names a set within its run."""
    return json.dumps(params, sort_keys=True)


class ResultsFile:
    """A file of results; open while a grid runs. Raises ``UsageError`` for one that holds something else.

    ``runs`` has the run of each set, by ``params_key``.
    """

    def __init__(self, path: Path, runs: Mapping[str, str]) -> None:
        self._path, self._runs = path, runs
        self._lines: dict[str, bytes] = {}
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        try:
            if self._path.exists() and not self._path.is_file():
                raise OSError(EINVAL, "it is no plain file")
            content = self._path.read_bytes() if self._path.exists() else b""
            # A line that was cut short is no result, and must not spoil the next.
            whole = content[: content.rfind(b"\n") + 1]
            self._read(whole)
            self._file = self._path.open("ab", buffering=0)
            self._file.truncate(len(whole))
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def line(self, params: Mapping[str, Json]) -> bytes | None:
        """Return what is known of a set."""
        line = self._lines.get(params_key(params))
        return None if line is None else b"{" + line[_SIGNED_BYTES:]

    def add(self, params: Mapping[str, Json], line: bytes) -> None:
        """Keep the result of a set, from here on whatever happens to this process."""
        key = params_key(params)
        self._lines[key] = b'{"run":"%s",' % self._runs[key].encode() + line.removeprefix(b"{")
        assert self._file is not None  # noqa: S101 - entered  # nosec B101
        try:
            if self._file.write(self._lines[key]) < len(self._lines[key]):
                raise OSError(ENOSPC, "there is no more room")
        except OSError as error:
            raise self._unwritable(error) from error

    def order(self, sets: Iterable[Mapping[str, Json]]) -> None:
        """Put the lines in the order of ``sets``, what is of none of them last."""
        left = dict(self._lines)
        lines = [left.pop(key) for params in sets if (key := params_key(params)) in left]
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                file.writelines([*lines, *left.values()])
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _read(self, content: bytes) -> None:
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            try:
                row = orjson.loads(line)
                run, key = row["run"], params_key(row["params"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise self._of_another(number, "no result of a grid") from None
            if run != self._runs.get(key, run):
                raise self._of_another(number, "a result of another configuration, other data or another version")
            self._lines[key] = line

    def _of_another(self, number: int, what: str) -> UsageError:
        where = f"{_WHERE} {self._path}:{number}"
        return UsageError(f"this line is {what}", where=where, mend="name another file, or remove this one")

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write: {error.strerror}", where=f"{_WHERE} {self._path}", mend="name another file")
