"""What a command knows of its surroundings: the home, the socket, and where to write."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tradebot.cli.parse import Given
from tradebot.control.protocol import find_socket
from tradebot.model.errors import UsageError


class Context:
    """The surroundings of one command."""

    def __init__(self, given: Given, environ: Mapping[str, str]) -> None:
        self.given = given
        self.environ = environ
        self.home = find_home(given.text("home"), environ)

    @property
    def is_json(self) -> bool:
        """Whether a script reads."""
        return self.given.flag("json")

    @property
    def is_colour(self) -> bool:
        """Whether colour is wanted: on a terminal, unless ``NO_COLOR`` is set."""
        return sys.stdout.isatty() and not self.environ.get("NO_COLOR") and self.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int | None:
        """The columns of the terminal; ``None`` where the output goes elsewhere, and lines stay whole."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    @property
    def socket(self) -> Path:
        """Where the daemon of this home listens when it runs."""
        return find_socket(self.home, self.environ)

    def write(self, text: str) -> None:
        """Write ``text`` as a line."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def write_json(self, value: object) -> None:
        """Write ``value`` as one line of JSON."""
        self.write(json.dumps(value, separators=(",", ":")))

    def write_bytes(self, body: bytes) -> None:
        """Write ``body`` as it is, ended by a line feed when it holds anything."""
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        if body and not body.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Say ``text`` to a person, out of the way of a script that reads the output."""
        sys.stderr.write(text + "\n")


def find_home(given: str | None, environ: Mapping[str, str]) -> Path:
    """Return the state directory, absolute: the option, else the environment, else below the user's home."""
    if given is not None:
        if not given:
            raise UsageError("--home is empty", mend="name a directory")
        return Path(os.path.abspath(given))  # keeps symlinks, unlike resolve()
    for name in ("TRADEBOT_HOME", "STATE_DIRECTORY"):
        path = environ.get(name, "")
        if path:
            return Path(os.path.abspath(path if name == "TRADEBOT_HOME" else path.partition(":")[0]))
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "tradebot"
    return Path(os.path.expanduser("~")) / ".local/state/tradebot"
