"""Which symbols are too long silent to be traded on."""

from collections.abc import Hashable, Iterable, Sequence

ALL = ""


class Silence:
    """Watches each symbol, and the socket as a whole as ``ALL``; times are monotonic seconds.

    After a start nobody knows whether an earlier run left something frozen: what speaks is thawed once in any case.
    """

    def __init__(self, symbols: Iterable[str], stale_s: float, now: float) -> None:
        self._stale_s = stale_s
        self._heard = dict.fromkeys(symbols, now)
        self._is_stale: dict[str, bool | None] = dict.fromkeys((ALL, *self._heard))
        self._spoke: set[str] = set()
        self._mute: set[str] = set()
        self._said: dict[tuple[str, type], Hashable] = {}
        self._told: set[tuple[str, type]] = set()
        self._down_since: float | None = now

    def add(self, symbol: str, now: float) -> None:
        """Watch one more symbol: entries in it are off until it speaks."""
        self._heard[symbol] = now
        self._is_stale[symbol] = True
        self._spoke.discard(symbol)

    def drop(self, symbol: str) -> None:
        """Watch ``symbol`` no more."""
        del self._heard[symbol], self._is_stale[symbol]
        self._mute.discard(symbol)

    def up(self) -> None:
        """Take note that the socket stands; what it tells first may be what it told last."""
        self._down_since = None
        self._told.clear()

    def down(self, now: float) -> None:
        """Take note that the socket is gone."""
        if self._down_since is None:
            self._down_since = now

    def hear(self, symbol: str, said: Hashable, now: float) -> bool:
        """Take note of what was said of ``symbol``; return whether it shows life: what is repeated does not."""
        key = symbol, type(said)
        is_repeated = key not in self._told and self._said.get(key) == said
        self._told.add(key)
        self._said[key] = said
        if not is_repeated:
            self._heard[symbol] = now
            self._spoke.add(symbol)
        return not is_repeated

    def mute(self, symbol: str) -> None:
        """Hold ``symbol`` for stale whatever else is told of it; what it is told anew may be what was told last."""
        self._mute.add(symbol)
        self._told = {key for key in self._told if key[0] != symbol}

    def unmute(self, symbol: str) -> None:
        """Hold ``symbol`` for stale only when nothing is told of it."""
        self._mute.discard(symbol)

    def changes(self, now: float) -> Sequence[tuple[str, bool, bool]]:
        """Return what turned: the symbol or ``ALL``, whether it is stale now, and whether an operator must know."""
        if self._down_since is not None:
            return self._turned(ALL, is_stale=True) if now - self._down_since > self._stale_s else ()
        out = [*self._turned(ALL, is_stale=False)]
        if any(is_news for _, _, is_news in out):
            # While the socket was away no symbol could speak.
            self._heard = dict.fromkeys(self._heard, now)
        for symbol, heard in self._heard.items():
            if symbol in self._mute or now - heard > self._stale_s:
                out += self._turned(symbol, is_stale=True)
            elif symbol in self._spoke:
                out += self._turned(symbol, is_stale=False)
        return out

    def _turned(self, symbol: str, *, is_stale: bool) -> Sequence[tuple[str, bool, bool]]:
        before = self._is_stale[symbol]
        if before is is_stale:
            return ()
        self._is_stale[symbol] = is_stale
        return ((symbol, is_stale, is_stale or before is not None),)
