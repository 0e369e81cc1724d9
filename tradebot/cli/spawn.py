"""Bringing a daemon up in the background, and learning how one that runs was started."""

import json
import os
import subprocess  # each call is looked at by itself  # nosec B404
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tradebot.cli.parse import Given, parse
from tradebot.control import client
from tradebot.control.protocol import find_socket
from tradebot.model.errors import NotRunning, StorageFailed, TimedOut, TradebotError, Unreadable, UsageError
from tradebot.report.shapes import Document
from tradebot.secret.secret import Secret

START_TIMEOUT_S = 60.0
ERROR_FILE = "daemon.err"
_POLL_S = 0.05
_LAST_LINES = 20
_ERROR_PREFIX = "error: "
# A boot that failed ends in order: it is stopping before it is gone.
_NOT_UP = ("starting", "stopping")


class ChildFailed(TradebotError):
    """The daemon ended while it came up; its own words and exit code are passed on."""

    def __init__(self, exit_code: int, words: str) -> None:
        super().__init__(words or f"the daemon ended at once with exit code {exit_code}")
        self.exit_code = exit_code  # type: ignore[misc]  # that of the child, not of a class


def spawn(home: Path, words: Sequence[str], passphrase: Secret | None = None) -> "subprocess.Popen[bytes]":
    """Start ``python -m tradebot`` with ``words``, detached from this terminal; it reads ``passphrase`` from a pipe."""
    pipe = () if passphrase is None else (_filled_pipe(passphrase),)
    words = [*words, *(word for reader in pipe for word in ("--passphrase-fd", str(reader)))]
    command = [sys.executable, "-m", "tradebot", "--home", os.fspath(home), "start", "--foreground", *words]
    folder = home / "logs"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        errors = os.open(folder / ERROR_FILE, flags, 0o600)
    except OSError as error:
        raise StorageFailed(f"cannot write the log: {error.strerror}", where=str(folder)) from error
    try:
        return subprocess.Popen(  # noqa: S603  # our own interpreter and words  # nosec B603
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            umask=0o077,
            pass_fds=pipe,
        )
    finally:
        for descriptor in (errors, *pipe):
            os.close(descriptor)


def _filled_pipe(secret: Secret) -> int:
    """Return the end to read from of a pipe that holds ``secret``: it is short enough to need no reader yet."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(secret.reveal().encode())
    return reader


def await_running(
    child: "subprocess.Popen[bytes]", home: Path, environ: Mapping[str, str], timeout: float = START_TIMEOUT_S
) -> Document:
    """Return the ``status`` of the daemon once it has come up.

    Raises ``ChildFailed`` when it ended, ``TimedOut`` after ``timeout`` seconds; it is left to go on then.
    """
    deadline = time.monotonic() + timeout
    while True:
        status = read_status(home, environ)
        if status is not None and status.get("state") not in _NOT_UP:
            return status
        code = child.poll()
        if code == 0:
            raise ChildFailed(
                1, "the daemon ended in order before it was seen running: somebody stopped it, or its data are over"
            )
        if code is not None:
            raise ChildFailed(code if code > 0 else 1, last_words(home))
        if time.monotonic() >= deadline:
            mend = "it is left to go on; look at: tradebot status, tradebot logs"
            raise TimedOut(f"the daemon did not come up within {timeout:g} s", where=str(home), mend=mend)
        time.sleep(_POLL_S)


def read_status(home: Path, environ: Mapping[str, str], timeout: float = 5.0) -> Document | None:
    """Return the ``status`` of the daemon of ``home``, or ``None`` when none answers."""
    try:
        document = json.loads(client.read(find_socket(home, environ), "status", timeout=timeout))
    except (NotRunning, TimedOut, Unreadable):
        return None
    return document if isinstance(document, dict) else None


def last_words(home: Path) -> str:
    """Return the error with which the daemon of ``home`` ended, else the last lines it wrote."""
    try:
        text = (home / "logs" / ERROR_FILE).read_text(errors="replace")
    except OSError:
        return ""
    error = text.strip().rpartition(_ERROR_PREFIX)[2]
    return "\n".join(error.splitlines()[-_LAST_LINES:])


def words_of(pid: int) -> list[str]:
    """Return the global options and ``--live`` with which daemon ``pid`` was started, its paths absolute.

    Raises ``UsageError`` when a service manager runs it: that one must restart it.
    """
    process = Path("/proc") / str(pid)
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        folder, is_service = _surroundings(process)
    except OSError:
        return []
    if is_service:
        raise UsageError("systemd runs this daemon", where=f"pid {pid}", mend="restart it with systemctl restart")
    given = parse_arguments([os.fsdecode(argument) for argument in arguments])
    if given is None:
        return []
    if folder is None and not all(Path(name).is_absolute() for name in given.texts("config")):
        mend = "tradebot restart --config FILE, with the files it was started with"
        raise UsageError("where this daemon was started is not to be seen", where=f"pid {pid}", mend=mend)
    return [*option_words(given, folder or Path("/")), *(["--live"] if given.flag("live") else [])]


def _surroundings(process: Path) -> tuple[Path | None, bool]:
    """Return where the process was started, ``None`` when it does not say, and whether a service manager did.

    One that holds a key shows neither its folder nor its environment; its group of processes names the service.
    """
    try:
        environment = (process / "environ").read_bytes().split(b"\0")
        return Path(os.readlink(process / "cwd")), any(one.startswith(b"NOTIFY_SOCKET=") for one in environment)
    except PermissionError:
        group = (process / "cgroup").read_text().strip().rpartition("/")[2]
        return None, group.startswith("tradebot") and group.endswith(".service")


def option_words(given: Given, folder: Path) -> list[str]:
    """Return the words that give the same configuration again, from any directory."""
    words: list[str] = []
    for name in given.texts("config"):
        words += ["--config", os.fspath(folder / name)]
    profile = given.text("profile")
    words += [] if profile is None else ["--profile", profile]
    return words


def parse_arguments(arguments: Sequence[str]) -> Given | None:
    """Return what a command line of tradebot says, by whatever path or Python; ``None`` when it is none."""
    # "python -m tradebot ..." or ".../bin/python .../bin/tradebot ...": ours begin after that name.
    for position, argument in enumerate(arguments):
        if Path(argument).name in {"tradebot", "__main__.py"}:
            try:
                return parse([word for word in arguments[position + 1 :] if word])
            except UsageError:
                return None
    return None
