"""What systemd is told, over the datagram socket it names; nothing where it names none."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """Speaks sd_notify. A lost message is not an error: trading goes on without a listener."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._watchdog_us = _watchdog_us(environ)

    @property
    def watchdog_s(self) -> float | None:
        """Seconds within which ``watchdog`` must be called again, or ``None``."""
        return None if self._watchdog_us is None else self._watchdog_us / 1e6

    def ready(self, status: str) -> None:
        """Say that recovery is done and trading begins."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the status line."""
        self._send(f"STATUS={status}")

    def watchdog(self) -> None:
        """Say that the line made progress."""
        if self._watchdog_us is not None:
            self._send("WATCHDOG=1")

    def reloading(self, monotonic_us: int) -> None:
        """Say that a reload begins; ``ready`` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def extend_start(self, seconds: int) -> None:
        """Ask for more time, on a long recovery."""
        self._send(f"EXTEND_TIMEOUT_USEC={seconds * 1_000_000}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
                channel.sendto(text.encode(), self._address)
        except OSError:
            return


def _watchdog_us(environ: Mapping[str, str]) -> int | None:
    pid = environ.get("WATCHDOG_PID", "")
    usec = environ.get("WATCHDOG_USEC", "")
    if not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec)
