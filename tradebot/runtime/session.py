"""The line with its feed and its market time: all that a snapshot holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from tradebot.model.command import Command
from tradebot.model.market import Bar, Message, Quote, Trade
from tradebot.model.time import Nanos
from tradebot.pipeline.arrivals import Arrivals
from tradebot.pipeline.line import Line, StageName
from tradebot.ports import MarketData, Stage
from tradebot.store.codec import decode, encode

_MARKET: tuple[type[Message], ...] = (Bar, Trade, Quote)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverState:
    """What the driver counts: the newest market time, the turns and the commands so far."""

    market_time: Nanos = Nanos(0)
    turns: int = 0
    commands: int = 0


class Session:
    """One run of a line over a feed, resumable from ``save`` between any two turns.

    ``turn_seq`` is the row of the input whose turn is under way, 0 between turns. One that was cut short, by a
    failure or at the end, keeps it: the state is then worth nothing, and the row may be the one to leave out.
    """

    def __init__(self, line: Line, feed: MarketData) -> None:
        self.line = line
        self.feed = feed
        self.market_time = Nanos(0)
        self.turns = 0
        self.commands = 0
        self.turn_seq = 0
        self._pending: Message | None = None
        self._feed_before_pending: Any = None

    def peek(self) -> Message | None:
        """Return the next market message without taking it; ``None`` at the end of the data."""
        if self._pending is None:
            self._feed_before_pending = self.feed.save()
            self._pending = next(self.feed, None)
        return self._pending

    def take(self) -> Message | None:
        """Return the next market message and move on; ``None`` at the end of the data."""
        if self._pending is not None:
            message, self._pending = self._pending, None
            return message
        return next(self.feed, None)

    def again(self, message: Message) -> Message | None:
        """Return what the feed gives where the journal has ``message``, and move on."""
        return message if isinstance(self.feed, Arrivals) else self.take()

    def note(self, message: Message) -> None:
        """Count an input that is about to run."""
        self.turns += 1
        if isinstance(message, _MARKET):
            ts_event = cast("Bar | Trade | Quote", message).ts_event
            self.market_time = max(self.market_time, ts_event)
            if isinstance(self.feed, Arrivals):
                self.feed.note(message)
        elif isinstance(message, Command):
            self.commands += 1

    def save(self) -> bytes:
        """Return the state of everything, as JSON. Only between turns."""
        feed_state = self.feed.save() if self._pending is None else self._feed_before_pending
        driver = DriverState(market_time=self.market_time, turns=self.turns, commands=self.commands)
        parts = {"driver": encode(driver), "feed": encode(feed_state)}
        parts |= {name.value: encode(stage.save()) for name, stage in self.line.stages.items()}
        return orjson.dumps({name: orjson.Fragment(part) for name, part in parts.items()})

    def load(self, body: bytes) -> None:
        """Become what ``save`` saw."""
        parts = {name: orjson.dumps(part) for name, part in orjson.loads(body).items()}
        driver = decode(DriverState, parts["driver"])
        self.market_time, self.turns, self.commands = driver.market_time, driver.turns, driver.commands
        self._pending = None
        self.feed.load(decode(self.feed.STATE, parts["feed"]))
        load_stages(self.line.stages, parts)


def load_stages(stages: Mapping[StageName, Stage], parts: Mapping[str, bytes]) -> None:
    """Load each stage from its part of a snapshot."""
    for name, stage in stages.items():
        stage.load(decode(stage.STATE, parts[name.value]))
