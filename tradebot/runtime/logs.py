"""Logging: a constant event and fields, as JSON lines in the home and as readable lines on a terminal.

What cannot be written is counted. Before ``configure`` nothing is written.
"""

import logging
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from loguru import logger

from tradebot.log import RANK, STATE, log
from tradebot.model.logevent import LogEvent
from tradebot.model.time import HOUR, Nanos, from_ms, to_ms
from tradebot.ports import Clock
from tradebot.runtime.clock import SystemClock
from tradebot.runtime.journald import JournaldSink, goes_to_journal
from tradebot.runtime.logline import human_line, json_line, redact, register_secret
from tradebot.runtime.logtail import LOG_FILE, ROTATED_DIGITS, errors_in, read_log

if TYPE_CHECKING:
    from loguru import Message

__all__ = [
    "configure",
    "errors_since",
    "failures",
    "keep_stdout",
    "log_file",
    "read_log",
    "recall_errors",
    "redact",
    "register_secret",
]


class LogOptions(Protocol):
    """The part of the settings that logging needs."""

    @property
    def level(self) -> str:
        """The least level that is logged."""
        ...

    @property
    def rotate_mb(self) -> int:
        """Size at which the file is rotated."""
        ...

    @property
    def keep(self) -> int:
        """Rotated files that are kept."""
        ...


class _Terminal:
    """The output that is kept for the log while others print."""

    stdout: IO[str] | None = None


def configure(
    home: Path,
    settings: LogOptions,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    *,
    stdout: IO[str] | None = None,
    stderr: IO[str] | None = None,
) -> None:
    """Write from now on to ``<home>/logs``, and to the terminal, journald or pipe that there is; again on a reload."""
    STATE.clock = clock or SystemClock()
    STATE.least = RANK[settings.level]
    logger.remove()
    file = _RotatingFile(log_file(home), settings.rotate_mb * 1_000_000, settings.keep)
    logger.add(_Sink(file.write), level="DEBUG", format="{message}", catch=False)
    stdout = stdout or _Terminal.stdout or sys.stdout
    _add_console(os.environ if environ is None else environ, stdout, stderr or sys.stderr)
    _capture_libraries()


@contextmanager
def keep_stdout() -> Iterator[None]:
    """Keep stdout for the log: what a strategy or a library prints goes to stderr meanwhile."""
    _Terminal.stdout = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _Terminal.stdout = None


def log_file(home: Path) -> Path:
    """Return the file of JSON lines; older ones have ``.1``, ``.2`` behind the name."""
    return home / LOG_FILE


def failures() -> int:
    """Return how many lines could not be written since the process began."""
    return STATE.failures


def recall_errors(home: Path) -> None:
    """Know the errors of the last hour that runs before this one have logged."""
    clock = STATE.clock or SystemClock()
    since = to_ms(Nanos(clock.now() - HOUR))
    STATE.errors.clear()
    STATE.errors.extend(from_ms(ts) for ts in errors_in(log_file(home), since))


def errors_since(ts: Nanos) -> int:
    """Return how many errors were logged at or after ``ts``, of the newest 10,000."""
    return sum(stamp >= ts for stamp in STATE.errors)


class _RotatingFile:
    """Appends lines to a file of its owner alone, and moves it aside at a size."""

    def __init__(self, path: Path, size: int, keep: int) -> None:
        self._path = path
        self._size = size
        self._keep = keep
        self._descriptor = -1
        self._written = 0

    def write(self, ts: int, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Append one line."""
        line = (json_line(ts, level, event, fields) + "\n").encode("ascii")
        if self._descriptor < 0:
            self._open()
        if self._written and self._written + len(line) > self._size:
            self._rotate()
        # A line that a full disk cut short would spoil the next one.
        written = os.write(self._descriptor, line)
        if written < len(line):
            os.ftruncate(self._descriptor, self._written)
            raise OSError("short write")
        self._written += written

    def stop(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, 0o600)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError("the log is not a regular file")
        self._descriptor, self._written = descriptor, status.st_size

    def _rotate(self) -> None:
        self.stop()
        for number in range(self._keep, 0, -1):
            source = self._path if number == 1 else self._numbered(number - 1)
            if source.exists():
                source.replace(self._numbered(number))
        for path in self._path.parent.glob(self._path.name + ".*"):
            number_text = path.name.removeprefix(self._path.name + ".")
            if ROTATED_DIGITS.fullmatch(number_text) and int(number_text) > self._keep:
                path.unlink()
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class _Writer(Protocol):
    def __call__(self, ts: int, level: str, event: str, fields: Mapping[str, object], /) -> None: ...


class _Sink:
    """Hands loguru's messages to a writer, and counts those that it could not write."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer

    def __call__(self, message: "Message") -> None:
        extra = message.record["extra"]
        try:
            self._writer(extra["ts"], extra["level"], message.record["message"], extra["fields"])
        except (OSError, ValueError, KeyError):
            STATE.failures += 1


def _add_console(environ: Mapping[str, str], stdout: IO[str], stderr: IO[str]) -> None:
    """Add what suits the output: a terminal is read by people, journald and pipes by programs, a file by nobody."""
    is_systemd = "JOURNAL_STREAM" in environ or "INVOCATION_ID" in environ
    if any(goes_to_journal(stream, environ) for stream in (stderr, stdout)):
        logger.add(_Sink(JournaldSink(stdout)), level="DEBUG", format="{message}", catch=False)
    elif not is_systemd and stderr.isatty():
        is_coloured = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

        def human(ts: int, level: str, event: str, fields: Mapping[str, object]) -> None:
            stderr.write(human_line(ts, level, event, fields, is_coloured=is_coloured) + "\n")
            stderr.flush()

        logger.add(_Sink(human), level="DEBUG", format="{message}", catch=False)
    elif is_systemd or _is_pipe(stdout):

        def program(ts: int, level: str, event: str, fields: Mapping[str, object]) -> None:
            stdout.write(json_line(ts, level, event, fields) + "\n")
            stdout.flush()

        logger.add(_Sink(program), level="DEBUG", format="{message}", catch=False)


def _is_pipe(stream: IO[str]) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class _LibraryHandler(logging.Handler):
    """Brings the warnings of libraries into the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        fields: dict[str, object] = {"library": record.name, "text": text}
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields["error"] = repr(record.exc_info[1])
        log(LogEvent.LIBRARY_WARNED, level, **fields)


def _capture_libraries() -> None:
    root = logging.getLogger()
    if not any(isinstance(handler, _LibraryHandler) for handler in root.handlers):
        root.addHandler(_LibraryHandler(logging.WARNING))
