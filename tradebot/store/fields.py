"""The stored form of each type of field, compiled to closures once for each class."""

import dataclasses
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct, structs

from tradebot.model.errors import ConfigError
from tradebot.store.scalars import SCALARS, Codec, Decode, Encode, WrongType, enum


def _items(value: object) -> list[object]:
    if type(value) is not list:
        raise WrongType(f"{value!r} is not an array")
    return value


def _located(decode_item: Decode, item: object, place: str) -> object:
    try:
        return decode_item(item)
    except WrongType as error:
        raise WrongType(error.what, place + error.path) from None


def _sequence(item: Codec, build: Callable[[Iterable[object]], object]) -> Codec:
    encode_item, decode_item = item.encode, item.decode
    write = None if encode_item is None else (lambda values: [encode_item(value) for value in values])

    def read(value: object) -> object:
        return build([_located(decode_item, part, f"[{i}]") for i, part in enumerate(_items(value))])

    return Codec(write, read)


def _fixed_tuple(items: tuple[Codec, ...]) -> Codec:
    encoders = [item.encode or (lambda value: value) for item in items]

    def write(values: tuple[object, ...]) -> list[object]:
        return [encode_item(value) for encode_item, value in zip(encoders, values, strict=True)]

    def read(value: object) -> tuple[object, ...]:
        parts = _items(value)
        if len(parts) != len(items):
            raise WrongType(f"{value!r} has {len(parts)} items, not {len(items)}")
        return tuple(
            _located(item.decode, part, f"[{i}]") for i, (item, part) in enumerate(zip(items, parts, strict=True))
        )

    return Codec(write, read)


def _int_key(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise WrongType(f"{text!r} is not a whole number") from None


def _key(hint: Any) -> Decode | None:
    hint = _supertype(hint)
    if hint is int:
        return _int_key
    if hint is str:
        return str
    return enum(hint).decode if isinstance(hint, type) and issubclass(hint, Enum) and issubclass(hint, str) else None


def _mapping(key_in: Decode, item: Codec) -> Codec:
    encode_item = item.encode or (lambda value: value)
    decode_item = item.decode

    def write(values: Mapping[Any, object]) -> dict[str, object]:
        return {str(name): encode_item(value) for name, value in values.items()}

    def read(value: object) -> dict[object, object]:
        if type(value) is not dict:
            raise WrongType(f"{value!r} is not an object")
        return {key_in(name): _located(decode_item, part, f"[{name}]") for name, part in value.items()}

    return Codec(write, read)


class Record:
    """The codec of one dataclass; it exists before its fields are known, so that types may recur."""

    def __init__(self, cls: type[object]) -> None:
        self.cls = cls
        self.names: tuple[str, ...] = ()
        self._decoders: tuple[tuple[str, Decode], ...] = ()
        self._encoders: tuple[tuple[str, Encode], ...] = ()
        self._optional: frozenset[str] = frozenset()

    def compile(self) -> None:
        """Read the types of the fields. Raises ``ConfigError`` on one that cannot be stored."""
        hints = get_type_hints(self.cls)
        fields = _fields(self.cls)
        self.names = tuple(field.name for field in fields)
        self._optional = frozenset(field.name for field in fields if _has_default(field))
        codecs = {name: _codec_of(hints[name], f"{self.cls.__name__}.{name}") for name in self.names}
        self._decoders = tuple((name, codec.decode) for name, codec in codecs.items())
        self._encoders = tuple((name, codec.encode) for name, codec in codecs.items() if codec.encode is not None)

    def encode(self, value: object) -> dict[str, object]:
        """Return the fields of ``value``. Raises ``TypeError`` when it is of another class."""
        if type(value) is not self.cls:
            raise TypeError(f"{value!r} is not a {self.cls.__name__}")
        tree = {name: getattr(value, name) for name in self.names}
        for name, encode_field in self._encoders:
            tree[name] = encode_field(tree[name])
        return tree

    def decode(self, tree: object) -> object:
        """Return the value of the fields in ``tree``, which is used up. Raises ``WrongType``."""
        if type(tree) is not dict:
            raise WrongType(f"{tree!r} is not an object")
        decoders = self._decoders
        if len(tree) != len(self.names) or any(name not in tree for name in self.names):
            decoders = self._those_given(tree)
        name = ""
        try:
            for name, decode_field in decoders:
                tree[name] = decode_field(tree[name])
            return self.cls(**tree)
        except WrongType as error:
            raise WrongType(error.what, f".{name}{error.path}") from None
        except (ValueError, TypeError) as error:
            # The class itself refused the values.
            raise WrongType(str(error)) from error

    def _those_given(self, tree: dict[str, object]) -> tuple[tuple[str, Decode], ...]:
        """Return the decoders of what an older version knew: what came later has a default."""
        missing = [name for name in self.names if name not in tree and name not in self._optional]
        unknown = [name for name in tree if name not in self.names]
        if missing or unknown:
            raise WrongType(f"missing fields {missing}, unknown fields {unknown}")
        return tuple((name, decode) for name, decode in self._decoders if name in tree)


def _is_record(cls: object) -> bool:
    return dataclasses.is_dataclass(cls) or (isinstance(cls, type) and issubclass(cls, Struct))


def _fields(cls: type[Any]) -> tuple[Any, ...]:
    return structs.fields(cls) if issubclass(cls, Struct) else dataclasses.fields(cls)


def _has_default(field: Any) -> bool:
    # A dataclass and a struct say by different marks that there is none.
    nothing = (dataclasses.MISSING, NODEFAULT)
    return field.default not in nothing or field.default_factory not in nothing


_RECORDS: dict[type[object], Record] = {}


def record_of(cls: type[object]) -> Record:
    """Return the codec of the dataclass ``cls``. Raises ``ConfigError`` when it cannot be stored."""
    record = _RECORDS.get(cls)
    if record is None:
        if not _is_record(cls):
            raise ConfigError(f"{cls.__name__} is not a dataclass, so it cannot be stored")
        record = _RECORDS[cls] = Record(cls)
        try:
            record.compile()
        except BaseException:
            del _RECORDS[cls]
            raise
    return record


def _optional(inner: Codec) -> Codec:
    encode_inner, decode_inner = inner.encode, inner.decode
    write = None if encode_inner is None else (lambda value: None if value is None else encode_inner(value))
    return Codec(write, lambda value: None if value is None else decode_inner(value))


def _union(members: list[type[Any]]) -> Codec:
    by_kind = {member.kind: record_of(member) for member in members}

    def write(value: Any) -> dict[str, object]:
        record = by_kind.get(getattr(value, "kind", None))
        if record is None:
            raise TypeError(f"{value!r} is not one of {', '.join(by_kind)}")
        return {"kind": value.kind, **record.encode(value)}

    def read(value: object) -> object:
        if type(value) is not dict or value.get("kind") not in by_kind:
            raise WrongType(f"{value!r} is not an object of kind {', '.join(by_kind)}")
        return by_kind[value.pop("kind")].decode(value)

    return Codec(write, read)


def _codec_of(hint: Any, where: str) -> Codec:
    hint = _supertype(hint)
    scalar = SCALARS.get(hint)
    if scalar is not None:
        return scalar
    if isinstance(hint, type) and not get_args(hint):
        if issubclass(hint, Enum):
            return enum(hint)
        if _is_record(hint):
            record = record_of(hint)
            return Codec(record.encode, record.decode)
    codec = _generic(get_origin(hint), get_args(hint), where)
    if codec is None:
        raise ConfigError(
            f"a field of type {getattr(hint, '__name__', hint)} cannot be stored",
            where=where,
            mend="use int, float, str, bool, Decimal, an enum, a dataclass, or tuple, list, dict and | None of these",
        )
    return codec


def _generic(origin: Any, arguments: tuple[Any, ...], where: str) -> Codec | None:
    if origin is Union or origin is types.UnionType:
        return _union_of(arguments, where)
    if origin is list:
        return _sequence(_codec_of(arguments[0], where), list)
    if origin is tuple and arguments[-1:] == (...,):
        return _sequence(_codec_of(arguments[0], where), tuple)
    if origin is tuple:
        return _fixed_tuple(tuple(_codec_of(argument, where) for argument in arguments))
    key_in = _key(arguments[0]) if isinstance(origin, type) and issubclass(origin, Mapping) else None
    return None if key_in is None else _mapping(key_in, _codec_of(arguments[1], where))


def _supertype(hint: Any) -> Any:
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    return hint


def _union_of(arguments: tuple[Any, ...], where: str) -> Codec | None:
    members = [argument for argument in arguments if argument is not type(None)]
    if len(members) == 1:
        inner = _codec_of(members[0], where)
    elif all(_is_record(member) and getattr(member, "kind", None) for member in members):
        inner = _union(members)
    else:
        return None
    return _optional(inner) if len(members) < len(arguments) else inner
