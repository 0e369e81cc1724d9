"""The live market as the session knows it: what came is in the journal, what comes next nobody can say."""

from dataclasses import dataclass, field

from tradebot.model.market import Bar, Message
from tradebot.model.time import Nanos


@dataclass(frozen=True, slots=True)
class ArrivalsState:
    """The close of the newest bar of each symbol that went through the line."""

    last: dict[str, int] = field(default_factory=dict)


class Arrivals:
    """Stands where a replayed feed stands in a session. ``source`` names the market: kind and network."""

    STATE = ArrivalsState

    def __init__(self, source: str) -> None:
        self._source = source
        self._last: dict[str, Nanos] = {}

    def __iter__(self) -> "Arrivals":
        return self

    def __next__(self) -> Message:
        # Bars are pushed by the feed task; there is nothing to pull.
        raise StopIteration

    def describe(self) -> str:
        """Return which market it is."""
        return self._source

    def last(self, symbol: str) -> Nanos | None:
        """Return the close of the newest bar of ``symbol``, ``None`` before the first."""
        return self._last.get(symbol)

    def note(self, message: Message) -> None:
        """Take note of a market message that goes through the line."""
        if isinstance(message, Bar):
            self._last[message.symbol] = max(self._last.get(message.symbol, Nanos(0)), message.ts_event)

    def save(self) -> ArrivalsState:
        """Return where it stands."""
        return ArrivalsState(dict(self._last))

    def load(self, state: ArrivalsState) -> None:
        """Go on after the bars of ``state``."""
        self._last = {symbol: Nanos(ts) for symbol, ts in state.last.items()}
