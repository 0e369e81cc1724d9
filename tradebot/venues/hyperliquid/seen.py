"""Which trades were met before: a socket repeats old ones each time it comes back."""

_DEFAULT_KEPT = 20_000


class Seen:
    """The newest trade ids, each told apart once. Keeps twice as many as the venue ever replays."""

    __slots__ = ("_ids", "_kept")

    def __init__(self, kept: int = _DEFAULT_KEPT) -> None:
        self._ids: dict[str | int, None] = {}
        self._kept = kept

    def is_new(self, trade_id: str | int) -> bool:
        """Return whether ``trade_id`` was not seen before, and remember it."""
        if trade_id in self._ids:
            return False
        self._ids[trade_id] = None
        if len(self._ids) > self._kept:
            del self._ids[next(iter(self._ids))]
        return True
