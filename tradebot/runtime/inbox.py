"""A bounded queue with one reader; writers wait while it is full.

An ``asyncio.Queue`` costs twice as much, and each turn goes through five of them.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """What a task has yet to do, oldest first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._has_room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether a writer would have to wait."""
        return len(self._items) >= self._size

    async def get(self) -> T:
        """Take the oldest item, waiting for one. A cancelled wait takes none."""
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        item = self._items.popleft()
        self._has_room.set()
        return item

    async def put(self, item: T) -> None:
        """Add an item, waiting for room."""
        while self.is_full:
            self._has_room.clear()
            await self._has_room.wait()
        self.put_nowait(item)

    def put_nowait(self, item: T) -> None:
        """Add an item, whether there is room or not."""
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
