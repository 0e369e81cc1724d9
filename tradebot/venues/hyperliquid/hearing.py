"""Which channels of a socket still speak, and what the silence of one of them proves. Pure; times are seconds.

One coin may fall silent by itself: delisted, halted, or its subscription lost at the venue. Then the others go on
being heard, and that channel is subscribed to anew. Only when several coins fall silent together is it the socket.
What a subscription tells first repeats what is known, so it shows nothing of whether the channel lives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MOST_DOUBLINGS = 5


@dataclass(slots=True)
class _Channel:
    coin: str
    limit: float
    since: float
    """When it spoke last, or was subscribed to anew."""
    heard: float
    """When it spoke last, or the connection began."""
    is_fresh: bool = True
    """Whether it said nothing since it was subscribed to."""
    has_spoken: bool = False
    silences: int = 0

    @property
    def due(self) -> float:
        """When it has been silent for too long, again."""
        return self.since + self.limit * (1 << min(self.silences, _MOST_DOUBLINGS))


class Hearing:
    """Listens to the channels of one connection; ``limits`` is the longest silence of each type of subscription."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = limits
        self._channels: dict[str, _Channel] = {}

    def begin(self, coins: Mapping[str, str], now: float) -> None:
        """Listen from ``now`` on to the channels of a new connection: the coin of each by its key."""
        self._channels = {}
        for key, coin in coins.items():
            self.add(key, coin, now)

    def add(self, key: str, coin: str, now: float) -> None:
        """Listen to one more channel."""
        limit = self._limits.get(key.partition(":")[0])
        if limit is not None:
            self._channels[key] = _Channel(coin, limit, now, now)

    def drop(self, key: str) -> None:
        """Listen to a channel no more."""
        self._channels.pop(key, None)

    def up(self, now: float) -> None:
        """Count all silence from ``now`` on: only now does every subscription stand."""
        for channel in self._channels.values():
            channel.since = channel.heard = now

    def hear(self, key: str, now: float) -> bool:
        """Take note that a channel spoke; return whether it had been silent for too long."""
        channel = self._channels.get(key)
        if channel is None:
            return False
        if channel.is_fresh:
            channel.is_fresh = False
            return False
        was_silent = channel.silences > 0
        channel.since = channel.heard = now
        channel.has_spoken, channel.silences = True, 0
        return was_silent

    def due(self) -> tuple[float, str] | None:
        """Return when the next channel will have been silent for too long, and which; ``None`` when none can be."""
        return min(((channel.due, key) for key, channel in self._channels.items()), default=None)

    def refuse(self, key: str) -> bool:
        """Take note that the venue does not give a channel: it is silent; return whether that is news."""
        channel = self._channels.get(key)
        is_news = channel is None or not channel.silences
        if channel is not None and is_news:
            channel.silences = 1
        return is_news

    def lost(self, key: str, now: float) -> str:
        """Return which coins show that the socket itself is gone, now that ``key`` is due; empty when none do."""
        channel = self._channels[key]
        coins: dict[str, list[_Channel]] = {}
        for one in self._channels.values():
            coins.setdefault(one.coin, []).append(one)
        quiet = {coin for coin, channels in coins.items() if _is_quiet(channels, now)}
        if channel.coin not in quiet:
            return ""
        # What fell silent before this one did is no sign, nor what never spoke here.
        fell = {coin for coin in quiet if any(one.has_spoken for one in coins[coin]) and not _is_known(coins[coin])}
        if len(fell) > 1 and channel.coin in fell:
            return ", ".join(sorted(fell))
        if len(quiet) == len(coins) and (len(coins) > 1 or channel.silences):
            return ", ".join(sorted(quiet))
        return ""

    def again(self, key: str, now: float) -> int:
        """Take note that ``key`` is subscribed to anew; return for the how many-th time since it spoke."""
        channel = self._channels[key]
        channel.since, channel.is_fresh = now, True
        channel.silences += 1
        return channel.silences


def _is_quiet(channels: Sequence[_Channel], now: float) -> bool:
    # They fall silent together, and are due one after the other.
    heard = max(channel.heard for channel in channels)
    return now - heard >= min(channel.limit for channel in channels) / 2


def _is_known(channels: Sequence[_Channel]) -> bool:
    return any(channel.silences for channel in channels)
