"""Finds the class of a strategy by its kind: one that is built in, or ``path/to/file.py:ClassName``."""

import hashlib
import inspect
import sys
from array import array
from collections import deque
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pydantic import BaseModel

from tradebot.model.errors import ConfigError
from tradebot.model.near import nearest
from tradebot.pipeline.strategy.base import Strategy
from tradebot.pipeline.strategy.registry import BUILT_IN

_MEND_CLASS = "give it a nested class Params and a method on_bar(self, bar, position); see: tradebot new-strategy FILE"


def load_strategy(kind: str, base_dir: Path) -> type[Strategy]:
    """Return the class that ``kind`` names; a path in it is relative to ``base_dir``.

    Raises ``ConfigError`` where there is none, or none that can be used.
    """
    built_in = BUILT_IN.get(kind)
    if built_in is not None:
        return built_in
    file, class_name = _parsed(kind)
    path = _path(file, base_dir)
    module = _load_module(path)
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type):
        raise ConfigError(
            f"there is no class {class_name}{_guess(class_name, _classes(module))}",
            where=str(path),
            mend=f"name a class of the file: {file}:{', '.join(_classes(module)) or 'ClassName'}",
        )
    _check_class(cls, path)
    return cls


def _parsed(kind: str) -> tuple[str, str]:
    file, colon, class_name = kind.rpartition(":")
    if not colon or not file.endswith(".py") or not class_name.isidentifier():
        raise ConfigError(
            f"there is no strategy {kind!r}{_guess(kind, list(BUILT_IN))}",
            mend=f"use one of {', '.join(BUILT_IN)}, or path/to/file.py:ClassName",
        )
    return file, class_name


def _path(file: str, base_dir: Path) -> Path:
    return (base_dir / Path(file).expanduser()).resolve()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the strategy file cannot be read: {error.strerror}",
            where=str(path),
            mend="correct the path; one in a configuration is relative to its file",
        ) from error


class _UncachedLoader(SourceFileLoader):
    """Compiles the source each time: a cached one may be older than the last change, and litters.

    ``digest`` is that of the source that was compiled.
    """

    digest = ""

    def get_code(self, fullname: str) -> CodeType:
        source = _read(Path(self.path))
        self.digest = hashlib.sha256(source).hexdigest()
        code: CodeType = self.source_to_code(source, self.path)
        return code


def source_digest(cls: type) -> str:
    """Return the digest of the file that ``cls`` was loaded from; empty for a strategy of ours."""
    loader = getattr(sys.modules.get(cls.__module__), "__loader__", None)
    return loader.digest if isinstance(loader, _UncachedLoader) else ""


def _load_module(path: Path) -> ModuleType:
    name = f"tradebot_strategy_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    loader = _UncachedLoader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    before = sys.modules.get(name)
    # Annotations are looked up by the name of the module while its classes are made.
    sys.modules[name] = module
    try:
        # What it prints is no output of the command that loads it.
        with redirect_stdout(sys.stderr):
            loader.exec_module(module)
    except ConfigError:
        _put_back(name, before)
        raise
    except SyntaxError as error:
        _put_back(name, before)
        where = f"{error.filename or path}:{error.lineno or 0}"
        raise ConfigError(f"this is not Python: {error.msg}", where=where, mend="correct the line") from error
    except (Exception, SystemExit) as error:
        _put_back(name, before)
        raise ConfigError(
            f"the file cannot be loaded: {type(error).__name__}: {error}",
            where=f"{path}:{_line(error, str(path))}",
            mend="correct the line, so that the file can be imported by itself",
        ) from error
    return module


def _put_back(name: str, before: ModuleType | None) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before


def _line(error: BaseException, file: str) -> int:
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _check_class(cls: type[Any], path: Path) -> None:
    where = f"{path}:{_class_line(cls)}"
    params = getattr(cls, "Params", None)
    if not (isinstance(params, type) and issubclass(params, BaseModel)):
        said = "has no class Params" if params is None else "has a Params that is no pydantic model"
        raise ConfigError(f"{cls.__name__} {said}", where=where, mend=_MEND_CLASS)
    for name, value in vars(cls).items():
        # In capitals it is a table of constants.
        if type(value) in (list, dict, set, deque, array) and not name.isupper() and not name.startswith("__"):
            raise ConfigError(
                f"{cls.__name__} keeps the {type(value).__name__} {name!r} in the class: all symbols would share it, "
                "and it would not be saved",
                where=where,
                mend=f"make it in __init__: self.{name} = ..., or name it in capitals when it never changes",
            )
    on_bar = getattr(cls, "on_bar", None)
    if not inspect.isfunction(on_bar):
        raise ConfigError(f"{cls.__name__} has no method on_bar", where=where, mend=_MEND_CLASS)
    if inspect.iscoroutinefunction(on_bar) or inspect.isasyncgenfunction(on_bar):
        raise ConfigError(f"{cls.__name__}.on_bar is async", where=where, mend="use def, not async def")
    for function, arguments in ((on_bar, ("bar", "position")), (cls.__init__, ("params",))):
        try:
            inspect.signature(function).bind("self", *arguments)
        except TypeError as error:
            said = f"{cls.__name__}.{function.__name__} does not take ({', '.join(arguments)})"
            raise ConfigError(said, where=where, mend=_MEND_CLASS) from error


def _class_line(cls: type[Any]) -> int:
    try:
        return inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return 1


def _classes(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "on_bar")]


def _guess(word: str, known: list[str]) -> str:
    near = nearest(word, known)
    return "" if near is None else f", did you mean {near!r}?"
