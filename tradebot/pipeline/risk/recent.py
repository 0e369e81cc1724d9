"""Which inputs were taken lately: a venue may say the same again."""

from collections.abc import Iterable, Iterator

_KEPT = 1_000


class Recent:
    """The last ids added, oldest first."""

    __slots__ = ("_ids",)

    def __init__(self, ids: Iterable[str] = ()) -> None:
        # A dict for its order.
        self._ids = dict.fromkeys(ids)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: str) -> None:
        """Take one more, and forget the oldest where there are too many."""
        self._ids[id_] = None
        if len(self._ids) > _KEPT:
            del self._ids[next(iter(self._ids))]
