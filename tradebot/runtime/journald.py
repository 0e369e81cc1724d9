"""systemd's journal, told in its own protocol: an entry is one datagram of fields, by which it can be found."""

import json
import os
import re
import socket
from collections.abc import Mapping
from typing import IO

from tradebot.runtime.logline import json_line

_SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_IDENTIFIER = "tradebot"
# A field must begin with a letter and be no longer; ours have a name of their own before them.
_NOT_IN_A_NAME = re.compile(r"[^A-Z0-9_]")
_LONGEST_NAME = 64


def goes_to_journal(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` is the connection with the journal that systemd made for this process."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournaldSink:
    """Writes log lines to the journal; ``stream``, which leads there too, takes what the socket does not."""

    def __init__(self, stream: IO[str], address: str = "") -> None:
        self._stream, self._address = stream, address or _SOCKET

    def __call__(self, ts: int, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Write one line. Raises ``BlockingIOError`` where the journal does not keep up: nobody waits for it."""
        line = json_line(ts, level, event, fields)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
                channel.sendto(_entry(line, level), self._address)
        except BlockingIOError:
            raise
        except OSError:
            # No such socket here, or too long for a datagram.
            self._stream.write(f"<{_PRIORITIES[level]}>{line}\n")
            self._stream.flush()


def _entry(line: str, level: str) -> bytes:
    told = {"MESSAGE": line, "PRIORITY": _PRIORITIES[level], "SYSLOG_IDENTIFIER": _IDENTIFIER}
    # Out of the line: what is secret is not in it, and no control character, so that a value ends with its line.
    for name, value in json.loads(line).items():
        if name not in {"ts", "level"} and value is not None:
            text = value if isinstance(value, str | int | float) else json.dumps(value)
            told[f"TRADEBOT_{_NOT_IN_A_NAME.sub('_', name.upper())}"[:_LONGEST_NAME]] = text
    return "".join(f"{name}={value}\n" for name, value in told.items()).encode()
