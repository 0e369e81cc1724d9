"""Waiting for a daemon's end, without polling where the kernel can tell."""

import os
import select
import time
from pathlib import Path
from types import TracebackType

from tradebot.control.client import find_peer
from tradebot.control.protocol import Peer

_POLL_S = 0.05


class Ending:
    """The end of the process ``peer`` that listens at ``path``. Made before it is asked to end."""

    def __init__(self, path: Path, peer: Peer) -> None:
        self._path = path
        self._is_over = False
        self._handle: int | None = None
        try:
            self._handle = os.pidfd_open(peer.pid)
        except ProcessLookupError:
            self._is_over = True
        except (OSError, ValueError, OverflowError):
            # Another pid namespace, or a kernel without pidfd: the socket tells.
            pass

    def __enter__(self) -> "Ending":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def wait(self, timeout: float) -> bool:
        """Return whether it ended within ``timeout`` seconds."""
        if self._is_over or self._handle is None:
            return self._is_over or self._poll(time.monotonic() + timeout)
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def _poll(self, deadline: float) -> bool:
        while find_peer(self._path) is not None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True
