"""What a request asks for: its route and its arguments, checked against the protocol's tables."""

from collections.abc import Mapping

import orjson

from tradebot.control.protocol import FLAGS, MAX_ARGUMENT, PREFIX
from tradebot.model.errors import UsageError


def route(method: str, path: str, wanted: Mapping[str, object], other: Mapping[str, object]) -> str:
    """Return which of ``wanted`` is asked for; ``other`` are the routes of the other method."""
    name = path.removeprefix(PREFIX)
    if path.startswith(PREFIX) and name in wanted:
        return name
    if path.startswith(PREFIX) and name in other:
        right = "POST" if method == "GET" else "GET"
        raise UsageError(f"{method} is the wrong method here", where=path[:80], mend=f"use {right}")
    raise UsageError(f"no such route: {path[:80]!r}", mend=f"{method} knows: {', '.join(wanted)}")


def parse_body(body: bytes) -> dict[str, str]:
    """Return the arguments in a body: a flat JSON object, or nothing."""
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UsageError("the body is not a JSON object", mend='send {"name": "value"}')
    return {name: _text(name, value) for name, value in document.items() if value is not None and value is not False}


def check_arguments(given: dict[str, str], known: tuple[str, ...], where: str) -> dict[str, str]:
    """Return ``given``. Raises ``UsageError`` on a name that is not ``known`` and on a value that is not plain."""
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise UsageError(f"no such argument: {name[:80]!r}", where=where, mend=f"it takes: {allowed}")
        if len(value) > MAX_ARGUMENT or not value.isprintable():
            raise UsageError(f"the value of {name!r} is too long or not plain text", where=where)
        if name in FLAGS and value not in {"true", "false"}:
            raise UsageError(f"{name} is true or false, not {value!r}", where=where)
    return given


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if value is True:
        return "true"
    if isinstance(value, int | float):
        return repr(value)
    raise UsageError("an argument is neither a text, a number nor a truth value", where=name[:80])
