"""A strategy's state: its fields, as JSON text that reads back exactly.

Kept are int, float, str, bool, None, Decimal, list, tuple, dict (keys str or int), deque, array and pattern
scanners, nested as deep as they are; its parameters stay out, for they come from the configuration. Anything else is
refused by name, as are NaN, infinities, and a container kept twice: it would come back as two.
"""

import hashlib
import json
import math
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, NoReturn

from pydantic import BaseModel

from tradebot.model.errors import StrategyError
from tradebot.pipeline.patterns.arrays import SavedArrays
from tradebot.pipeline.patterns.params import PatternParams
from tradebot.pipeline.patterns.scanner import Scanner, ScannerState

_MEND = "keep only int, float, str, bool, None, Decimal, list, tuple, dict, deque or array in fields"
_NO_NUMBER = "keep None where there is no number"
_ONE_FIELD = "keep it in one field"
_DEPTH = 50
# Python reads and writes no longer integers in decimal.
_BITS = 10_000
_PLAIN = frozenset({int, float, str, bool, type(None), Decimal})
_SIZED = frozenset({list, dict, set, deque, array})
Shared = int | str


def freeze(strategy: object) -> str:
    """Return the fields of ``strategy`` as JSON. Raises ``StrategyError`` naming a field that cannot be kept."""
    writer = _Writer(type(strategy).__name__)
    fields = {name: writer.write(value, name) for name, value in _fields(strategy) if not isinstance(value, BaseModel)}
    return json.dumps(fields, allow_nan=False, separators=(",", ":"))


def thaw(strategy: object, text: str) -> None:
    """Give a fresh ``strategy`` the fields that ``freeze`` wrote, and no others."""
    try:
        fields = {name: _read(value) for name, value in json.loads(text).items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise StrategyError(f"the saved state of {type(strategy).__name__} cannot be read: {error}") from error
    for name, value in list(_fields(strategy)):
        if name not in fields and not isinstance(value, BaseModel):
            delattr(strategy, name)
    for name, value in fields.items():
        setattr(strategy, name, value)


def origin(strategy: object) -> str:
    """Return a digest of a fresh ``strategy``: its parameters, and the fields that it begins with."""
    params = [f"{name}={value.model_dump_json()}" for name, value in _fields(strategy) if isinstance(value, BaseModel)]
    return hashlib.sha256("\n".join((*params, freeze(strategy))).encode()).hexdigest()


def shared(strategy: object) -> Mapping[str, Shared]:
    """Return what of the class and its file can change and is not saved: numbers, texts, and sizes of containers."""
    found: dict[str, Shared] = {}
    for cls in type(strategy).__mro__[:-1]:
        found.update(_changeable(vars(cls), f"{cls.__name__}."))
    on_bar = getattr(type(strategy), "on_bar", None)
    found.update(_changeable(getattr(on_bar, "__globals__", {}), "global "))
    return found


def _changeable(names: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Shared]]:
    for name, value in names.items():
        if name.startswith("__"):
            continue
        if type(value) in _PLAIN:
            # As text, since NaN differs from itself.
            yield prefix + name, repr(value)
        elif type(value) in _SIZED:
            yield prefix + name, len(value)


def _fields(strategy: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(strategy, "__dict__", {}).items()
    for cls in type(strategy).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(strategy, name):
                yield name, getattr(strategy, name)


class _Writer:
    """Turns values into JSON values; what JSON has no word for is an object with one key: its tag."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._seen: dict[int, str] = {}

    def write(self, value: Any, path: str, depth: int = 0) -> Any:
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        write = _NUMBERS.get(kind)
        if write is not None:
            return write(self, value, path)
        write_all = _CONTAINERS.get(kind)
        if write_all is None:
            self._refuse(path, f"of type {kind.__name__}", _MEND)
        # Empty tuples are one object to Python wherever they come up; they cannot change, so it is no matter.
        if kind is not tuple and self._seen.setdefault(id(value), path) != path:
            self._refuse(path, f"that is the same {kind.__name__} as field {self._seen[id(value)]!r}", _ONE_FIELD)
        if depth > _DEPTH:
            self._refuse(path, f"nested more than {_DEPTH} deep", "keep it flat")
        return write_all(self, value, path, depth + 1)

    def _int(self, value: int, path: str) -> Any:
        if value.bit_length() > _BITS:
            self._refuse(path, "with a number of thousands of digits", "keep smaller numbers")
        return value

    def _float(self, value: float, path: str) -> Any:
        if not math.isfinite(value):
            self._refuse(path, f"with the value {value!r}", _NO_NUMBER)
        return value

    def _decimal(self, value: Decimal, path: str) -> Any:
        if not value.is_finite():
            self._refuse(path, f"with the value {value}", _NO_NUMBER)
        return {"decimal": str(value)}

    def _list(self, value: list[Any], path: str, depth: int) -> Any:
        return [self.write(item, f"{path}[{i}]", depth) for i, item in enumerate(value)]

    def _tuple(self, value: tuple[Any, ...], path: str, depth: int) -> Any:
        return {"tuple": [self.write(item, f"{path}[{i}]", depth) for i, item in enumerate(value)]}

    def _deque(self, value: deque[Any], path: str, depth: int) -> Any:
        items = [self.write(item, f"{path}[{i}]", depth) for i, item in enumerate(value)]
        return {"deque": items, "maxlen": value.maxlen}

    def _array(self, value: "array[Any]", path: str, depth: int) -> Any:
        if value.typecode not in "dq":
            self._refuse(path, f"that is an array of type {value.typecode!r}", "use array('d') or array('q')")
        return {
            "array": [self.write(item, f"{path}[{i}]", depth) for i, item in enumerate(value)],
            "of": value.typecode,
        }

    def _scanner(self, value: Scanner, path: str, depth: int) -> Any:
        del path, depth
        state = value.save()
        return {"scanner": asdict(state.params), "ints": state.arrays.ints, "floats": state.arrays.floats}

    def _dict(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        pairs = []
        for key, item in value.items():
            if type(key) not in (str, int):
                self._refuse(path, f"with a dict key of type {type(key).__name__}", "use str or int as keys")
            pairs.append([key, self.write(item, f"{path}[{key!r}]", depth)])
        return {"dict": pairs}

    def _refuse(self, path: str, what: str, mend: str) -> NoReturn:
        raise StrategyError(f"strategy {self._owner} keeps field '{path}' {what}, which cannot be saved", mend=mend)


_NUMBERS: dict[type, Callable[[_Writer, Any, str], Any]] = {
    int: _Writer._int,
    float: _Writer._float,
    Decimal: _Writer._decimal,
}
_CONTAINERS: dict[type, Callable[[_Writer, Any, str, int], Any]] = {
    list: _Writer._list,
    tuple: _Writer._tuple,
    deque: _Writer._deque,
    array: _Writer._array,
    dict: _Writer._dict,
    Scanner: _Writer._scanner,
}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    if not isinstance(value, dict):
        return value
    match next(iter(value), None):
        case "decimal":
            return Decimal(value["decimal"])
        case "tuple":
            return tuple(_read(item) for item in value["tuple"])
        case "deque":
            return deque((_read(item) for item in value["deque"]), maxlen=value["maxlen"])
        case "array":
            return array(value["of"], value["array"])
        case "scanner":
            return _read_scanner(value)
        case "dict":
            return {key: _read(item) for key, item in value["dict"]}
        case tag:
            raise ValueError(f"{tag!r} is no tag of a saved value")


def _read_scanner(value: dict[str, Any]) -> Scanner:
    params = PatternParams(**value["scanner"])
    arrays = SavedArrays(tuple(map(tuple, value["ints"])), tuple(map(tuple, value["floats"])))
    scanner = Scanner(params)
    scanner.load(ScannerState(params, arrays))
    return scanner
