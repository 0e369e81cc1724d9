"""The line for whoever has the bars of several series beforehand: the horizon of a market is the nearest of its series.

What is at rest, without an order and a position, is left behind, and takes its bars together when it is its turn again:
nobody looks at it before. A horizon holds until something is told of its symbol.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tradebot.model.market import Message
from tradebot.model.order import CancelOrder, Fill, OrderDone, SubmitOrders
from tradebot.model.position import PositionChanged
from tradebot.model.signal import Refused, StrategyDisabled
from tradebot.model.time import DAY, floor_to
from tradebot.pipeline.bars import BarsStage
from tradebot.pipeline.line import Line
from tradebot.pipeline.market import ColumnMarket
from tradebot.pipeline.quiet import Points
from tradebot.pipeline.risk.marking import Marking
from tradebot.pipeline.runs import Part, Quiet, Run
from tradebot.pipeline.strategy.stage import StrategyStage

_VOID = -1
# What changes how far a symbol sees nothing coming.
_TOLD = (SubmitOrders, CancelOrder, Fill, OrderDone, PositionChanged, Refused, StrategyDisabled)


class JointVenue(Quiet, Protocol):
    """A venue whose account holds several symbols."""

    def is_idle(self, symbol: str) -> bool:
        """Return whether a symbol has neither an order nor a position."""
        ...

    def untouched(self, run: Run, at: int, until: int) -> int:
        """Return up to which bar nothing follows, as long as the account stands."""
        ...

    def stands(self, parts: Iterable[Part]) -> bool:
        """Return whether the account stands at all of these bars."""
        ...


class QuietMarket:
    """Pumps the turns of ``market``, as ``QuietLine`` pumps the bars of one series."""

    def __init__(
        self,
        line: Line,
        market: ColumnMarket,
        stages: tuple[BarsStage, JointVenue, Quiet],
        marking: Marking,
        strategy: StrategyStage,
        points: Points,
    ) -> None:
        bars, venue, orders = stages
        self._line = line
        self._market = market
        self._quiets = (bars.quiet, venue.untouched, orders.quiet)
        self._stages = stages
        self._venue = venue
        self._marking = marking
        self._strategy = strategy
        self._points = points
        self._turn = self._day_end = self._end = 0
        # Of each run: up to which turn nothing happens to it, whether it is asked turn by turn, the place up to which
        # its strategies were asked, and that up to which all stages have taken its bars.
        count = len(market.runs)
        self._horizons = [_VOID] * count
        self._is_blind = [False] * count
        self._asked = [0] * count
        self._taken = [0] * count
        for kind in _TOLD:
            line.sinks[kind] = self._heard(line.sinks.get(kind))

    def pump(self, at: int, end: int) -> None:
        """Run the turns from ``at`` on, before ``end``, and all that follows from them, to the end."""
        line, market = self._line, self._market
        self._horizons, self._end = [_VOID] * len(market.runs), end
        while at < end:
            self._turn = at
            if at >= self._day_end:
                # What is measured of days that are over must have seen all of them.
                self._take_all(at)
                self._day_end = market.find(floor_to(market.time(at) - 1, DAY) + DAY + 1, at, len(market))
            until, active = self._horizon(at, min(end, self._day_end))
            if until == at:
                number, place = market.owner(at)
                self._take(number, place)
                self._horizons[number] = _VOID
                self._asked[number] = self._taken[number] = place + 1
                self._strategy.visit(market.runs[number], place)
                line.pump(market.runs[number].bar(place))
                at += 1
                continue
            until, outputs = self._ask(at, until)
            self._pass_over(at, until, active)
            at = self._turn = until
            for output in outputs:
                line.follow(output)
        self._take_all(end)

    def _horizon(self, at: int, end: int) -> tuple[int, list[int]]:
        """Return up to which turn, at most ``end``, nothing happens, and the numbers of those not at rest."""
        market, horizons = self._market, self._horizons
        for number, horizon in enumerate(horizons):
            if horizon < at or horizon == _VOID:
                horizons[number] = self._horizon_of(number, at, self._end)
        until = min(end, *horizons)
        active = [n for n, run in enumerate(market.runs) if not self._venue.is_idle(run.symbol)]
        if until > at:
            until = self._marking.quiet_turns(market, at, until)
        if until > at and active and not self._venue.stands(self._parts(active, until)):
            until = at
        return until, active

    def _horizon_of(self, number: int, at: int, end: int) -> int:
        market, run = self._market, self._market.runs[number]
        place, last = market.place(number, at), market.place(number, end)
        self._take(number, place)
        self._is_blind[number] = self._strategy.is_blind(run, place) if place < last else False
        if place == last:
            return end
        turns, spoken = market.turns[number], self._strategy.horizon(run, place, last)
        # The turn at which a strategy may have its say is the last one that is passed over.
        until, last = (int(turns[spoken]) + 1, spoken + 1) if spoken < last else (end, last)
        quiet = last
        for quiet_until in self._quiets:
            quiet = quiet_until(run, place, quiet)
            if quiet == place:
                break
        return int(turns[quiet]) if quiet < last else until

    def _ask(self, at: int, until: int) -> tuple[int, Sequence[Message]]:
        """Ask turn by turn where a strategy cannot tell its horizon; of the others only the last turn is one to ask."""
        ask, market = self._strategy.ask, self._market
        for turn in range(at, until) if any(self._is_blind) else (until - 1,):
            number, place = market.owner(turn)
            if self._is_blind[number] or turn == until - 1:
                self._asked[number], outputs = ask(market.runs[number], self._asked[number], place + 1)
                if outputs:
                    self._horizons[number] = _VOID
                    return turn + 1, outputs
        return until, ()

    def _pass_over(self, at: int, until: int, active: Sequence[int]) -> None:
        speaker, _ = self._market.owner(until - 1)
        if self._horizons[speaker] == _VOID and speaker not in active:
            self._take(speaker, self._market.place(speaker, until))
        parts = self._parts(active, until)
        for part in parts:
            self._ask_and_pass(part)
        passed = self._marking.pass_over_turns(self._market, at, until, parts)
        if passed is not None:
            self._line.follow(passed.mark)
            self._points(passed.times, passed.units, passed.is_exposed)

    def _parts(self, numbers: Iterable[int], until: int) -> list[Part]:
        market = self._market
        parts = (Part(market.runs[n], self._taken[n], market.place(n, until)) for n in numbers)
        return [part for part in parts if part.at < part.until]

    def _take_all(self, turn: int) -> None:
        for number in range(len(self._market.runs)):
            self._take(number, self._market.place(number, turn))

    def _take(self, number: int, place: int) -> None:
        """Let all stages take the bars of a run at rest, before ``place``."""
        part = Part(self._market.runs[number], self._taken[number], place)
        if part.at < place:
            self._ask_and_pass(part)
            self._marking.take_prices(*part)

    def _ask_and_pass(self, part: Part) -> None:
        run, _, until = part
        number = self._market.number[run.symbol]
        if self._asked[number] < until:
            self._strategy.ask(run, self._asked[number], until)
        for stage in self._stages:
            stage.pass_over(*part)
        self._asked[number] = self._taken[number] = until

    def _heard(self, before: Callable[[Message], None] | None) -> Callable[[Message], None]:
        def hear(message: Message) -> None:
            if before is not None:
                before(message)
            symbol = _symbol(message)
            if symbol in self._market.number:
                self._horizons[self._market.number[symbol]] = _VOID
            else:
                # Whom it may concern takes its bars before it learns of it.
                self._take_all(self._turn)
                self._horizons = [_VOID] * len(self._horizons)

        return hear


def _symbol(message: Message) -> str:
    match message:
        case SubmitOrders():
            return message.orders[0].symbol
        case CancelOrder() | Fill() | OrderDone() | PositionChanged():
            return message.symbol
        case Refused():
            return message.signal.symbol
        case _:
            return ""
