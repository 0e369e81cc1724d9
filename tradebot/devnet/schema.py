"""The actions that are signed on the L1: parsed by type and put into canonical form, as the exchange hashes them.

Not the received bytes count but what they mean: keys in another order, ``0.10`` for ``0.1``, a client order id
in capitals and omitted defaults still recover the right signer. Unknown keys of an action are refused, those of
an order ignored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tradebot.devnet.wire import (
    Json,
    Malformed,
    field,
    read_address,
    read_bool,
    read_cloid,
    read_decimal,
    read_int,
    read_list,
    read_object,
    read_signed,
    read_str,
)
from tradebot.model.money import plain

Reader = Callable[[object], object]
_TIFS = frozenset({"Gtc", "Ioc", "Alo", "FrontendMarket"})
_GROUPINGS = frozenset({"na", "normalTpsl", "positionTpsl"})
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of an action; without ``default`` it must be there. ``is_optional``: it may stay absent."""

    name: str
    read: Reader
    default: object = _ABSENT
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """An order as a client asks for it; ``trigger_px`` is ``None`` for plain ones, ``tif`` for triggers."""

    asset: int
    is_buy: bool
    px: Decimal
    sz: Decimal
    reduce_only: bool
    tif: str | None
    trigger_px: Decimal | None = None
    is_market: bool = False
    tpsl: str = ""
    cloid: str | None = None


def read_action(raw: object) -> Json:
    """Return the action in canonical form. Raises ``Malformed``."""
    action = read_object(raw)
    name = read_str(field(action, "type"))
    keys = ACTIONS.get(name)
    if keys is None:
        raise Malformed(f"unknown variant `{name}`")
    return {"type": name} | _read_keys(action, keys, is_strict=True)


def read_order_spec(wire: Json) -> OrderSpec:
    """Return the order behind its canonical form."""
    kind = read_object(wire["t"])
    limit, trigger = kind.get("limit"), kind.get("trigger")
    cloid = wire.get("c")
    spec = OrderSpec(
        asset=read_int(wire["a"]),
        is_buy=read_bool(wire["b"]),
        px=read_decimal(wire["p"]),
        sz=read_decimal(wire["s"]),
        reduce_only=read_bool(wire["r"]),
        tif=None,
        cloid=None if cloid is None else read_str(cloid),
    )
    fields = {name: getattr(spec, name) for name in OrderSpec.__slots__}
    if limit is not None:
        return OrderSpec(**fields | {"tif": read_str(read_object(limit)["tif"])})
    woken = read_object(trigger)
    return OrderSpec(
        **fields
        | {
            "trigger_px": read_decimal(woken["triggerPx"]),
            "is_market": read_bool(woken["isMarket"]),
            "tpsl": read_str(woken["tpsl"]),
        }
    )


def _read_keys(source: Json, keys: tuple[_Key, ...], *, is_strict: bool) -> Json:
    if is_strict and not source.keys() <= {key.name for key in keys} | {"type"}:
        unknown = sorted(source.keys() - {key.name for key in keys} - {"type"})
        raise Malformed(f"unknown field `{unknown[0]}`")
    read: Json = {}
    for key in keys:
        value = source.get(key.name, key.default)
        if key.is_optional and (value is _ABSENT or value is None or value is False):
            continue
        if value is _ABSENT:
            raise Malformed(f"missing field `{key.name}`")
        read[key.name] = key.read(value)
    return read


def _decimal(value: object) -> str:
    return plain(read_decimal(value))


def _one_of(allowed: frozenset[str]) -> Reader:
    def read(value: object) -> str:
        text = read_str(value)
        if text not in allowed:
            raise Malformed(f"unknown variant `{text}`")
        return text

    return read


def _object(*keys: _Key) -> Reader:
    return lambda value: _read_keys(read_object(value), keys, is_strict=False)


def _list_of(read: Reader) -> Reader:
    return lambda value: [read(item) for item in read_list(value)]


def _order_type(value: object) -> Json:
    kind = read_object(value)
    if "limit" in kind:
        return {"limit": _LIMIT(kind["limit"])}
    if "trigger" in kind:
        return {"trigger": _TRIGGER(kind["trigger"])}
    raise Malformed("an order is neither limit nor trigger")


def _grouping(value: object) -> object:
    return _PRIORITY(value) if isinstance(value, dict) else _one_of(_GROUPINGS)(value)


def _oid(value: object) -> object:
    return read_cloid(value) if isinstance(value, str) else read_int(value)


_LIMIT = _object(_Key("tif", _one_of(_TIFS)))
_TRIGGER = _object(
    _Key("isMarket", read_bool), _Key("triggerPx", _decimal), _Key("tpsl", _one_of(frozenset({"tp", "sl"})))
)
_PRIORITY = _object(_Key("p", read_int))
_ORDER = _object(
    _Key("a", read_int),
    _Key("b", read_bool),
    _Key("p", _decimal),
    _Key("s", _decimal),
    _Key("r", read_bool, default=False),
    _Key("t", _order_type),
    _Key("c", read_cloid, is_optional=True),
)
_BUILDER = _object(_Key("b", read_address), _Key("f", read_int))
_CANCEL = _object(_Key("a", read_int), _Key("o", read_int))
_CANCEL_BY_CLOID = _object(_Key("asset", read_int), _Key("cloid", read_cloid))
_MODIFY = _object(_Key("oid", _oid), _Key("order", _ORDER))
_FAST = _Key("f", read_bool, is_optional=True)
_ALWAYS_PLACE = _Key("a", read_bool, is_optional=True)

ACTIONS: Mapping[str, tuple[_Key, ...]] = {
    "order": (
        _Key("orders", _list_of(_ORDER)),
        _Key("grouping", _grouping, default="na"),
        _Key("builder", _BUILDER, is_optional=True),
    ),
    "cancel": (_Key("cancels", _list_of(_CANCEL)), _FAST),
    "cancelByCloid": (_Key("cancels", _list_of(_CANCEL_BY_CLOID)), _FAST),
    "modify": (_Key("oid", _oid), _Key("order", _ORDER), _ALWAYS_PLACE),
    "batchModify": (_Key("modifies", _list_of(_MODIFY)), _ALWAYS_PLACE),
    "scheduleCancel": (_Key("time", read_int, is_optional=True),),
    "updateLeverage": (_Key("asset", read_int), _Key("isCross", read_bool), _Key("leverage", read_int)),
    "updateIsolatedMargin": (_Key("asset", read_int), _Key("isBuy", read_bool), _Key("ntli", read_signed)),
    "setReferrer": (_Key("code", read_str),),
    "createSubAccount": (_Key("name", read_str),),
    "subAccountTransfer": (_Key("subAccountUser", read_address), _Key("isDeposit", read_bool), _Key("usd", read_int)),
    "vaultTransfer": (_Key("vaultAddress", read_address), _Key("isDeposit", read_bool), _Key("usd", read_int)),
    "createVault": (
        _Key("name", read_str),
        _Key("description", read_str),
        _Key("initialUsd", read_int),
        _Key("nonce", read_int),
    ),
    "reserveRequestWeight": (_Key("weight", read_int),),
    "agentSetAbstraction": (_Key("abstraction", read_str),),
    "agentEnableDexAbstraction": (),
    "noop": (),
}
"""The keys of each action, in the order in which they are hashed, after ``type``."""
