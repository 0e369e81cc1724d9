"""Requests to the addresses of the venue, with the budget that all who ask one of them share."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tradebot.ports import Clock, SentLog
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.stream import Stream, Subscription
from tradebot.venues.resilience import Policy, Resilience, Tell


class ClosingLog(SentLog, Protocol):
    """What left for a venue, kept where all daemons of this machine find it."""

    def close(self) -> None:
        """Close what it is kept in."""
        ...


Share = Callable[[str, float], ClosingLog]
"""Returns what this machine sent to a place within so many seconds, by whatever daemon or command."""


def socket_url(url: str) -> str:
    """Return the address of the socket that belongs to ``url``.

    >>> socket_url("http://127.0.0.1:3001/")
    'ws://127.0.0.1:3001/ws'
    """
    return "ws" + url.rstrip("/").removeprefix("http") + "/ws"


@dataclass(frozen=True, slots=True)
class Link:
    """Requests to one address of a venue."""

    url: str
    rest: RestClient
    resilience: Resilience
    shared: tuple[ClosingLog, ...] = ()

    def stream(self, subscriptions: Sequence[Subscription]) -> Stream:
        """Return a socket with ``subscriptions``, not yet connected."""
        return Stream(lambda: self.rest.session, socket_url(self.url), subscriptions, self.resilience)

    async def close(self) -> None:
        """Close all connections."""
        await self.rest.close()
        for shared in self.shared:
            shared.close()


class Links:
    """The links of one daemon: one for each address, for the venue counts what comes from one machine."""

    def __init__(self, clock: Clock, policy: Policy, share: Share, tell: Tell) -> None:
        self._clock, self._policy, self._share, self._tell = clock, policy, share, tell
        self._links: dict[str, Link] = {}

    def to(self, url: str) -> Link:
        """Return the link to ``url``."""
        url = url.rstrip("/")
        if url not in self._links:
            span_s = self._policy.span_s
            sent, sockets = self._share(url, span_s), self._share(f"{url} sockets", span_s)
            resilience = Resilience(
                self._policy, self._clock, asyncio.sleep, os.getpid(), log=sent, sockets=sockets, tell=self._tell
            )
            self._links[url] = Link(url, RestClient(url, resilience), resilience, (sent, sockets))
        return self._links[url]

    async def close(self) -> None:
        """Close all connections."""
        for link in self._links.values():
            await link.close()
