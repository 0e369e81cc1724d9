"""What the core asks of the world, as protocols. ``runtime.wiring`` decides who answers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from tradebot.model.market import Message
from tradebot.model.time import Nanos


class Clock(Protocol):
    """Wall and monotonic time; nothing else in the program reads a clock."""

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class Sent(NamedTuple):
    """A request that left for a venue: when, in monotonic seconds of this machine, and what it weighs.

    A weight below 0 is given back. ``is_own``: it was sent by a process of this user.
    """

    at_s: float
    weight: int
    purpose: str
    is_own: bool = True


class SentLog(Protocol):
    """What left for a venue lately. It raises nothing: a log that cannot be kept knows less."""

    def update(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
        """Let ``decide`` see what counts at ``now_s``, and add what it returns, before anybody else may."""
        ...


class Stateful(Protocol):
    """Something whose whole future follows from ``save()``: ``load(save())`` changes nothing.

    The state is a frozen dataclass of the ``STATE`` class; the codec writes and reads it by its types.
    """

    STATE: type[Any]

    def save(self) -> Any:
        """Return the state as a ``STATE``."""
        ...

    def load(self, state: Any) -> None:
        """Become what ``save`` saw."""
        ...


class Stage(Stateful, Protocol):
    """One step of the line: pure, synchronous, the only writer of its state."""

    def handle(self, message: Message) -> Sequence[Message]:
        """Return what follows from ``message``, in order. Never a lazy iterator."""
        ...


class MarketData(Stateful, Protocol):
    """A deterministic source of market messages, in the order of turns, that can be resumed.

    ``next`` raises ``StopIteration`` at the end of the data. ``describe`` identifies the source: a
    resumed run is refused when it changed.
    """

    def __iter__(self) -> Iterator[Message]: ...

    def __next__(self) -> Message: ...

    def describe(self) -> str:
        """Return a stable text of what the data is, such as the digest of each file."""
        ...


class Journal(Protocol):
    """The append-only truth. Rows are ordered by ``seq``, which starts at 1 and has no holes."""

    @property
    def last_seq(self) -> int:
        """The newest ``seq`` given out, durable or not; 0 when empty."""
        ...

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        """Queue a row and return its ``seq``. Raises ``StorageFailed`` once the journal has failed."""
        ...

    async def committed(self, seq: int) -> None:
        """Return when row ``seq`` and all before it are durable. Raises ``StorageFailed``."""
        ...
