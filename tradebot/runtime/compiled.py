"""Kernels, scans and the loops that read files, compiled by numba: the very same functions, called by compiled ones.

Machine code is kept on disk below ``NUMBA_CACHE_DIR``, else the user's cache directory, by a digest of the
kernels' source: a change in any kernel compiles them all anew.
"""

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, cast

from tradebot.model.errors import ConfigError
from tradebot.pipeline.patterns import indicator, kernels
from tradebot.pipeline.scans import SCANS
from tradebot.pipeline.strategy.ahead import AHEAD
from tradebot.store.digits import LOOPS

KERNELS = (*kernels.KERNELS, *SCANS, *AHEAD, *LOOPS)
ENTRIES = frozenset((*kernels.ENTRIES, *SCANS, *AHEAD, *LOOPS))
Kernel = Callable[..., Any]

# Kernels are small and call each other at every bar. They make no arrays, so nothing need count references to
# any: without that they run ten times as fast.
_OPTIONS = {"forceinline": True, "_nrt": False}


@cache
def compiled() -> dict[Kernel, Kernel]:
    """Return for each kernel what numba makes of it, at its first call. Raises ``ConfigError`` without numba."""
    numba = _numba()
    made: dict[Kernel, Kernel] = {}
    with _cache_in(numba, _cache_directory()):
        for kernel in KERNELS:
            made[kernel] = _compile(numba, cast("FunctionType", kernel), made)
    return made


@cache
def compiled_run(step: Kernel) -> Kernel:
    """Return the loop over a history with the indicator ``step`` in it. Raises ``ConfigError`` without numba."""
    made = dict(compiled())
    made[indicator.step_indicator] = made[step]
    numba = _numba()
    run = cast("FunctionType", indicator.run)
    with _cache_in(numba, _cache_directory()):
        # Machine code on the disk goes by name, and each indicator has its own.
        return _compile(numba, run, made, f"run_{step.__name__}")


def is_on_disk() -> bool:
    """Return whether machine code is kept, so that the first call need not compile."""
    return any(_cache_directory().glob("**/*.nbi"))


def _numba() -> Any:
    try:
        return importlib.import_module("numba")
    except ImportError as error:
        raise ConfigError(
            f"the extra research is missing: {error}", mend="pip install 'tradebot[research]' (numba and numpy)"
        ) from error


def _compile(numba: Any, kernel: FunctionType, made: dict[Kernel, Kernel], name: str | None = None) -> Kernel:
    # The same code with other globals, so that the interpreted kernels stay as they are.
    names = dict(kernel.__globals__)
    names.update({name: made[value] for name, value in names.items() if _is_made(value, made)})
    twin = FunctionType(kernel.__code__, names, kernel.__name__, kernel.__defaults__)
    twin.__module__ = kernel.__module__
    twin.__qualname__ = name or kernel.__qualname__
    if kernel not in ENTRIES:
        return cast("Kernel", numba.njit(**_OPTIONS)(twin))
    try:
        return cast("Kernel", numba.njit(cache=True, **_OPTIONS)(twin))
    except RuntimeError:  # nowhere to keep the machine code: it is made anew in each process
        return cast("Kernel", numba.njit(**_OPTIONS)(twin))


def _is_made(value: object, made: dict[Kernel, Kernel]) -> bool:
    return isinstance(value, FunctionType) and value in made


def _cache_directory() -> Path:
    digest = hashlib.sha256(f"{sys.version} numba {version('numba')}".encode())
    # This file too, for numba does not look at its options when it finds machine code on the disk.
    for name in sorted({__file__, *(cast("FunctionType", kernel).__code__.co_filename for kernel in KERNELS)}):
        digest.update(Path(name).read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "tradebot" / f"kernels-{digest.hexdigest()[:16]}"


@contextmanager
def _cache_in(numba: Any, directory: Path) -> Iterator[None]:
    # numba asks for the directory when a function is decorated, not later.
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(directory)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
