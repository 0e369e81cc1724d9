"""The socket that tells of an account, in the words of the line."""

from collections.abc import Callable, Sequence

from tradebot.model.market import Message
from tradebot.model.venue import AccountEvent, Acted, Down, Garbled, Told, Up
from tradebot.venues.hyperliquid.stream import Stream
from tradebot.venues.hyperliquid.translate import CanceledByVenue, Filled, Funded, Liquidated, OrdersUpdated


class AccountSocket:
    """Passes on what ``stream`` tells; ``read`` makes messages of its frames."""

    def __init__(self, stream: Stream, read: Callable[[OrdersUpdated | Filled | Funded], Sequence[Message]]) -> None:
        self._stream, self._read = stream, read
        self._is_told_up = False

    @property
    def is_up(self) -> bool:
        """Whether all subscriptions stand."""
        return self._stream.is_up

    async def next(self) -> AccountEvent:
        """Return what happens next; waits as long as it takes."""
        while True:
            match await self._stream.next():
                case Up() as up:
                    self._is_told_up = True
                    return up
                case Down() as down:
                    self._is_told_up = False
                    return down
                case Garbled() as garbled:
                    return garbled
                # Before all subscriptions stand nothing is read: the catching up that follows asks for all of it.
                case (OrdersUpdated() | Filled() | Funded()) as said if self._is_told_up:
                    return Told(self._read(said))
                case Liquidated() | CanceledByVenue():
                    return Acted()
                case _:
                    pass

    async def close(self) -> None:
        """Close the socket."""
        await self._stream.close()
