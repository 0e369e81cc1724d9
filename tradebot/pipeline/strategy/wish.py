"""From what a strategy answered to its wishes, and from those to leave or to move a stop to their signals.

A wish that cannot become a signal is refused, with the gate that stops it: none ends without a word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tradebot.model.instrument import Instrument
from tradebot.model.money import Price
from tradebot.model.order import PositionSide
from tradebot.model.position import Position
from tradebot.model.signal import Action, Refused, Signal, WishGate
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.base import Enter, Exit, MoveStop, StrategySpec
from tradebot.pipeline.strategy.measures import Atr
from tradebot.pipeline.strategy.nonsense import Nonsense, given_price, said

LONGEST_NAME = 64
_MOST_LEVELS = 8
EXIT_REASONS = ("signal", "time", "trail", "stop", "target")
_FIELDS: Mapping[type, str] = {Exit: "leave", Enter: "enter", MoveStop: "move"}


@dataclass(slots=True)
class Moment:
    """What a wish is measured against; ``atr`` is None unless one is asked for.

    ``number`` is that of the strategy's next signal in this symbol.
    """

    ts_event: Nanos
    symbol: str
    close: Price
    position: Position | None
    atr: Atr | None
    number: int


class Wishes(NamedTuple):
    """What ``on_bar`` returned, by what it asks for."""

    leave: Exit | None = None
    enter: Enter | None = None
    move: MoveStop | None = None


def gather(answer: object) -> Wishes:
    """Return the wishes among what ``on_bar`` returned, at most one of each kind. Raises ``Nonsense``."""
    if answer is None:
        return Wishes()
    if not isinstance(answer, Iterable):
        raise Nonsense(f"on_bar returned {type(answer).__name__}, not a list of Enter and Exit")
    found: dict[str, Any] = {}
    for wish in answer:
        field = _FIELDS.get(type(wish))
        if field is None:
            raise Nonsense(f"on_bar returned {type(wish).__name__} in its list, not Enter, Exit or MoveStop")
        if field in found:
            raise Nonsense(f"on_bar returned more than one {type(wish).__name__}")
        found[field] = wish
    return Wishes(**found)


def exit_signal(wish: Exit, spec: StrategySpec, moment: Moment) -> Signal | Refused:
    """Return the signal of ``wish``, or its refusal when there is nothing to leave."""
    fraction = Decimal(wish.fraction) if type(wish.fraction) is int else wish.fraction
    if type(fraction) is not Decimal or not fraction.is_finite() or not 0 < fraction <= 1:
        raise Nonsense(f"Exit.fraction is {said(fraction)}, not a Decimal above 0 and at most 1")
    if wish.reason not in EXIT_REASONS:
        raise Nonsense(f"Exit.reason is {said(wish.reason)}, not one of {', '.join(EXIT_REASONS)}")
    signal = Signal(
        id=f"{spec.name}-{moment.symbol}-{moment.number}",
        ts_event=moment.ts_event,
        strategy=spec.name,
        symbol=moment.symbol,
        action=Action.EXIT,
        side=_side_of(moment),
        close=moment.close,
        fraction=fraction,
        reason=str(wish.reason),
    )
    return signal if moment.position is not None else _nothing_held(signal)


def move_signal(wish: MoveStop, spec: StrategySpec, instrument: Instrument, moment: Moment) -> Signal | Refused:
    """Return the signal of ``wish``, or its refusal when there is no position."""
    given = given_price("stop", wish.stop, "MoveStop")
    if given is None:
        raise Nonsense("MoveStop.stop is None")
    side = _side_of(moment)
    # There is no price below one tick.
    stop = max(instrument.price_against(given, side.entry.opposite), Price(instrument.tick_at(moment.close)))
    signal = Signal(
        id=f"{spec.name}-{moment.symbol}-{moment.number}",
        ts_event=moment.ts_event,
        strategy=spec.name,
        symbol=moment.symbol,
        action=Action.MOVE_STOP,
        side=side,
        close=moment.close,
        stop=stop,
        reason="trail",
        pattern=checked_pattern(wish),
        levels=checked_levels(wish),
    )
    return signal if moment.position is not None else _nothing_held(signal)


def checked_pattern(wish: Enter | MoveStop) -> str:
    """Return what a wish says that it is made of."""
    name, of = wish.pattern, type(wish).__name__
    if type(name) is not str or len(name) > LONGEST_NAME or not name.isprintable():
        raise Nonsense(f"{of}.pattern is {said(name)}, not a word of at most {LONGEST_NAME} characters")
    return name


def checked_levels(wish: Enter | MoveStop) -> Mapping[str, Price]:
    """Return the prices that a wish names."""
    levels, of = wish.levels, type(wish).__name__
    if not isinstance(levels, Mapping) or len(levels) > _MOST_LEVELS:
        raise Nonsense(f"{of}.levels is {said(levels)}, not a dict of at most {_MOST_LEVELS} names and prices")
    found: dict[str, Price] = {}
    for name, value in levels.items():
        if type(name) is not str or len(name) > LONGEST_NAME or not name.isprintable():
            raise Nonsense(f"{of}.levels has the name {said(name)}, not one of at most {LONGEST_NAME} characters")
        price = given_price(f"levels[{name}]", value, of)
        if price is None:
            raise Nonsense(f"{of}.levels[{name}] is None")
        found[name] = Price(price)
    return found


def _side_of(moment: Moment) -> PositionSide:
    # Without a position there is no side; a signal has one all the same.
    return PositionSide.LONG if moment.position is None else moment.position.side


def _nothing_held(signal: Signal) -> Refused:
    what = "leave" if signal.action is Action.EXIT else "move a stop of"
    return refuse(signal, WishGate.NOTHING_HELD, f"there is no position in {signal.symbol} to {what}")


def refuse(
    signal: Signal, gate: WishGate, detail: str, *, limit: Decimal | None = None, value: Decimal | None = None
) -> Refused:
    """Return the refusal of a wish, as the signal that it would have been."""
    return Refused(ts_event=signal.ts_event, signal=signal, gate=gate.value, limit=limit, value=value, detail=detail)
