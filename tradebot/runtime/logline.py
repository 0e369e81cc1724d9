"""How an event reads: as one JSON object without control characters, or as a line for people. No secret is in it."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal

from tradebot.model.money import plain

_HEX_KEY = re.compile(r"0x[0-9a-fA-F]{64}(?![0-9a-fA-F])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_TEXT = 4000
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PLAIN = "\x1b[0m"
_SECRETS: list[str] = []
SHORTEST_SECRET = 8
"""Characters: to blank a shorter one would blank ordinary text."""


def register_secret(secret: str) -> None:
    """Replace ``secret`` by *** in every line from now on. Raises ``ValueError`` below 8 characters."""
    if len(secret) < SHORTEST_SECRET:
        raise ValueError("a secret of fewer than 8 characters would blank ordinary text")
    _SECRETS.append(secret)


def redact(text: str) -> str:
    """Return ``text`` without known secrets and without anything that looks like a private key."""
    for secret in _SECRETS:
        text = text.replace(secret, "***")
    return _HEX_KEY.sub("***", text)


def json_line(ts: int, level: str, event: str, fields: Mapping[str, object]) -> str:
    """Return an event as one JSON object, for programs."""
    document: dict[str, object] = {"ts": ts, "level": level, "event": event}
    document.update((name, _json_value(value)) for name, value in fields.items() if name not in document)
    return json.dumps(document, ensure_ascii=True)


def human_line(ts: int, level: str, event: str, fields: Mapping[str, object], *, is_coloured: bool) -> str:
    """Return an event as people read it."""
    seconds, ms = divmod(ts, 1000)
    minutes, second = divmod(seconds, 60)
    clock = f"{minutes // 60 % 24:02}:{minutes % 60:02}:{second:02}.{ms:03}"
    name = f"{_COLOURS[level]}{level:7}{_PLAIN}" if is_coloured else f"{level:7}"
    shown = [f"{key}={_human_value(value)}" for key, value in fields.items() if value is not None]
    return " ".join([clock, name, event, *shown])


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value)
    if isinstance(value, list | tuple):
        return [_json_value(one) for one in value]
    if isinstance(value, dict):
        return {_text(key): _json_value(one) for key, one in value.items()}
    return _text(value)


def _text(value: object) -> str:
    text = redact(str(value))
    text = text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "..."
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _human_value(value: object) -> object:
    if isinstance(value, list | tuple):
        return ",".join(str(_human_value(one)) for one in value)
    return _json_value(value)
