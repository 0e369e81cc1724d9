"""Which daemons run, for ``tradebot ps``: one small file a daemon in a runtime directory.

A file proves nothing. A daemon counts as running only when a process listens on its socket, so one that was
killed is never shown.
"""

import json
import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tradebot.control.client import find_peer
from tradebot.control.protocol import runtime_directory
from tradebot.model.errors import NotPermitted

_SUFFIX = ".daemon"


class RunningDaemon(NamedTuple):
    """A daemon that listens now."""

    home: Path
    socket: Path
    pid: int


def register(home: Path, socket: Path, environ: Mapping[str, str]) -> Path | None:
    """Note the daemon of ``home``; return the file, or ``None`` where no runtime directory may be had."""
    try:
        file = _file(home, environ)
        text = json.dumps({"home": str(home.absolute()), "socket": str(socket)})
        temporary = file.with_suffix(f".{os.getpid()}")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(text)
        temporary.replace(file)
    except (OSError, NotPermitted):
        # Only the list of all homes misses it; the daemon itself needs none of this.
        return None
    return file


def find_running(environ: Mapping[str, str]) -> list[RunningDaemon]:
    """Return the daemons that run now, by home; files of homes that are gone are removed."""
    running = []
    for file in sorted(runtime_directory(environ).glob(f"*{_SUFFIX}")):
        entry = _read(file)
        peer = find_peer(entry[1]) if entry is not None else None
        if entry is not None and peer is not None:
            running.append(RunningDaemon(entry[0], entry[1], peer.pid))
        elif entry is None or not entry[0].exists():
            file.unlink(missing_ok=True)
    return sorted(running)


def _file(home: Path, environ: Mapping[str, str]) -> Path:
    name = blake2b(os.fsencode(home.absolute()), digest_size=8).hexdigest()
    return runtime_directory(environ) / f"{name}{_SUFFIX}"


def _read(file: Path) -> tuple[Path, Path] | None:
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return None
        fields = json.loads(file.read_text())
        return Path(fields["home"]), Path(fields["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
