"""From what a strategy answered to its signals: checked, completed and on the tick."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.instrument import Instrument
from tradebot.model.making import maker
from tradebot.model.money import Price, from_float
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.position import Position
from tradebot.model.signal import Action, Rung, Signal
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.base import AtrStop, Enter, Exit, MoveStop, StrategySpec

ENTRY_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET)
EXIT_REASONS = ("signal", "time", "trail", "stop", "target")
_FIELDS: Mapping[type, str] = {Exit: "leave", Enter: "enter", MoveStop: "move"}
_MOST_RUNGS = 10
_MOST_BARS = 1_000_000
# Beyond it a price has no digits left for its ticks.
_HIGHEST_PRICE = Decimal("1e12")
_MOST_FACTORS = 64
_LONGEST_NAME = 64
_signal = maker(Signal)


class Nonsense(Exception):
    """A wish that means nothing; the text says why."""


@dataclass(slots=True)
class Moment:
    """What a wish is measured against; ``atr`` is None unless one is asked for and defined.

    ``number`` is that of the strategy's next signal in this symbol.
    """

    ts_event: Nanos
    symbol: str
    close: Price
    position: Position | None
    atr: float | None
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
    found = Wishes()
    for wish in answer:
        field = _FIELDS.get(type(wish))
        if field is None:
            raise Nonsense(f"on_bar returned {type(wish).__name__} in its list, not Enter, Exit or MoveStop")
        if getattr(found, field) is not None:
            raise Nonsense(f"on_bar returned more than one {type(wish).__name__}")
        found = found._replace(**{field: wish})
    return found


def exit_signal(wish: Exit, spec: StrategySpec, moment: Moment) -> Signal | None:
    """Return the signal of ``wish``; ``None`` when there is nothing to leave."""
    fraction = Decimal(wish.fraction) if type(wish.fraction) is int else wish.fraction
    if type(fraction) is not Decimal or not fraction.is_finite() or not 0 < fraction <= 1:
        raise Nonsense(f"Exit.fraction is {_said(fraction)}, not a Decimal above 0 and at most 1")
    if wish.reason not in EXIT_REASONS:
        raise Nonsense(f"Exit.reason is {_said(wish.reason)}, not one of {', '.join(EXIT_REASONS)}")
    if moment.position is None:
        return None
    return _signal(
        id=f"{spec.name}-{moment.symbol}-{moment.number}",
        ts_event=moment.ts_event,
        strategy=spec.name,
        symbol=moment.symbol,
        action=Action.EXIT,
        side=moment.position.side,
        close=moment.close,
        fraction=fraction,
        reason=str(wish.reason),
    )


def move_signal(wish: MoveStop, spec: StrategySpec, instrument: Instrument, moment: Moment) -> Signal | None:
    """Return the signal of ``wish``; ``None`` when there is no position, or no tick between stop and close."""
    given = _given("stop", wish.stop, "MoveStop")
    if given is None:
        raise Nonsense("MoveStop.stop is None")
    if moment.position is None:
        return None
    side = moment.position.side
    stop = instrument.price_against(given, side.entry.opposite)
    if stop <= 0:
        raise Nonsense(f"MoveStop.stop is {given}, less than a tick")
    return _signal(
        id=f"{spec.name}-{moment.symbol}-{moment.number}",
        ts_event=moment.ts_event,
        strategy=spec.name,
        symbol=moment.symbol,
        action=Action.MOVE_STOP,
        side=side,
        close=moment.close,
        stop=stop,
        reason="trail",
    )


def entry_signal(wish: Enter, spec: StrategySpec, instrument: Instrument, moment: Moment) -> Signal | None:
    """Return the signal of ``wish``; ``None`` when it may not enter there or has no stop yet."""
    side = _side(wish)
    entry_type, entry_price = _entry(wish, side, instrument)
    reference = moment.close if entry_price is None else entry_price
    stop = _given_stop(wish, side, instrument, reference)
    target = _given_target(wish, side, instrument, reference)
    ladder = _ladder(wish, side, instrument, reference)
    void_price = _void_price(wish, side, instrument, moment.close)
    expires_ts = _expires_ts(wish, spec, moment)
    confidence = _confidence(wish.confidence)
    factors = _factors(wish.factors)
    if not spec.direction.allows(side):
        return None
    if stop is None and spec.stop is not None:
        stop = _atr_stop(spec.stop, side, instrument, reference, moment.atr)
        if stop is None:
            return None
    if target is None and stop is not None and not ladder:
        target = _r_target(spec, side, instrument, reference, stop)
    return _signal(
        id=f"{spec.name}-{moment.symbol}-{moment.number}",
        ts_event=moment.ts_event,
        strategy=spec.name,
        symbol=moment.symbol,
        action=Action.ENTER,
        side=side,
        close=moment.close,
        entry_type=entry_type,
        entry_price=entry_price,
        stop=stop,
        target=target,
        ladder=ladder,
        expires_ts=expires_ts,
        void_price=void_price,
        confidence=confidence,
        factors=factors,
    )


def _given_stop(wish: Enter, side: PositionSide, instrument: Instrument, reference: Decimal) -> Price | None:
    given = _given("stop", wish.stop)
    if given is None:
        return None
    stop = instrument.price_against(given, side.entry.opposite)
    if stop <= 0 or (reference - stop) * side.sign <= 0:
        raise Nonsense(f"Enter.stop is {given}, which is not on the losing side of {reference} for a {side}")
    return stop


def _given_target(wish: Enter, side: PositionSide, instrument: Instrument, reference: Decimal) -> Price | None:
    given = _given("target", wish.target)
    if given is None:
        return None
    target = instrument.price_passive(given, side.entry.opposite)
    if target <= 0 or (target - reference) * side.sign <= 0:
        raise Nonsense(f"Enter.target is {given}, which is not on the winning side of {reference} for a {side}")
    return target


def _ladder(wish: Enter, side: PositionSide, instrument: Instrument, reference: Decimal) -> tuple[Rung, ...]:
    if type(wish.ladder) is not tuple or len(wish.ladder) > _MOST_RUNGS:
        raise Nonsense(f"Enter.ladder is {_said(wish.ladder)}, not a tuple of at most {_MOST_RUNGS} rungs")
    if wish.ladder and wish.target is not None:
        raise Nonsense("Enter has both a target and a ladder")
    rungs = tuple(_rung(rung, side, instrument, reference) for rung in wish.ladder)
    if sum(rung.fraction for rung in rungs) > 1:
        raise Nonsense("the fractions of Enter.ladder are more than 1 together")
    return rungs


def _rung(rung: object, side: PositionSide, instrument: Instrument, reference: Decimal) -> Rung:
    if type(rung) is not Rung:
        raise Nonsense(f"Enter.ladder holds {_said(rung)}, not a Rung")
    fraction = rung.fraction
    if type(fraction) is not Decimal or not fraction.is_finite() or not 0 < fraction <= 1:
        raise Nonsense(f"Rung.fraction is {_said(fraction)}, not a Decimal above 0 and at most 1")
    given = _given("price", rung.price, "Rung")
    if given is None:
        raise Nonsense("Rung.price is None")
    price = instrument.price_passive(given, side.entry.opposite)
    if price <= 0 or (price - reference) * side.sign <= 0:
        raise Nonsense(f"Rung.price is {given}, which is not on the winning side of {reference} for a {side}")
    return Rung(price=price, fraction=fraction)


def _void_price(wish: Enter, side: PositionSide, instrument: Instrument, close: Decimal) -> Price | None:
    given = _given("void_price", wish.void_price)
    if given is None:
        return None
    price = instrument.price_against(given, side.entry.opposite)
    if (close - price) * side.sign < 0:
        raise Nonsense(f"Enter.void_price is {given}, beyond which {close} is already for a {side}")
    return price


def _expires_ts(wish: Enter, spec: StrategySpec, moment: Moment) -> Nanos | None:
    bars = wish.wait_bars
    if bars is None:
        return None
    if type(bars) is not int or not 1 <= bars <= _MOST_BARS:
        raise Nonsense(f"Enter.wait_bars is {_said(bars)}, not a whole number from 1 to {_MOST_BARS}")
    return Nanos(moment.ts_event + bars * spec.timeframe)


def _atr_stop(
    stop: AtrStop, side: PositionSide, instrument: Instrument, reference: Decimal, atr: float | None
) -> Price | None:
    """Return the stop of the configuration; ``None`` while there is no range to measure it by."""
    if atr is None:
        return None
    away = from_float(atr) * stop.mult * side.sign
    price = instrument.price_against(reference - away, side.entry.opposite)
    return price if price > 0 and (reference - price) * side.sign > 0 else None


def _r_target(
    spec: StrategySpec, side: PositionSide, instrument: Instrument, reference: Decimal, stop: Decimal
) -> Price | None:
    if spec.target is None:
        return None
    away = spec.target.r * abs(reference - stop) * side.sign
    price = instrument.price_passive(reference + away, side.entry.opposite)
    # A short's target at or below zero is never reached: its stop and exits are all it has.
    return price if price > 0 else None


def _side(wish: Enter) -> PositionSide:
    try:
        return PositionSide(wish.side)
    except ValueError:
        raise Nonsense(f"Enter.side is {_said(wish.side)}, not PositionSide.LONG or PositionSide.SHORT") from None


def _entry(wish: Enter, side: PositionSide, instrument: Instrument) -> tuple[OrderType, Price | None]:
    if wish.entry_type not in ENTRY_TYPES:
        raise Nonsense(f"Enter.entry_type is {_said(wish.entry_type)}, not one of {', '.join(ENTRY_TYPES)}")
    entry_type = OrderType(wish.entry_type)
    price = _given("entry_price", wish.entry_price)
    if entry_type is OrderType.MARKET:
        if price is not None:
            raise Nonsense("Enter.entry_price is given, but the entry is at market")
        return entry_type, None
    if price is None:
        raise Nonsense(f"Enter.entry_price is missing for a {entry_type} entry")
    rounded = (instrument.price_passive if entry_type is OrderType.LIMIT else instrument.price_against)(
        price, side.entry
    )
    if rounded <= 0:
        raise Nonsense(f"Enter.entry_price is {price}, less than a tick")
    return entry_type, rounded


def _given(name: str, price: object, owner: str = "Enter") -> Decimal | None:
    if price is None:
        return None
    if type(price) is not Decimal or not price.is_finite() or price <= 0:
        raise Nonsense(f"{owner}.{name} is {_said(price)}, not a Decimal above 0")
    if price > _HIGHEST_PRICE:
        raise Nonsense(f"{owner}.{name} is above {_HIGHEST_PRICE:f}")
    return price


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 100:  # type: ignore[operator]  # a number by now
        raise Nonsense(f"Enter.confidence is {_said(value)}, not a number from 0 to 100")
    return float(value)  # type: ignore[arg-type]  # a number by now


def _factors(factors: object) -> Mapping[str, float]:
    if not isinstance(factors, Mapping):
        raise Nonsense(f"Enter.factors is {_said(factors)}, not a dict of names and numbers")
    if not factors:
        return {}
    if len(factors) > _MOST_FACTORS:
        raise Nonsense(f"Enter.factors has {len(factors)} names, more than {_MOST_FACTORS}")
    for name, value in factors.items():
        if type(name) is str and (len(name) > _LONGEST_NAME or not name.isprintable()):
            raise Nonsense(f"Enter.factors has the name {_said(name)}, not one of at most {_LONGEST_NAME} characters")
        if type(name) is not str or type(value) not in (int, float) or not math.isfinite(value):
            raise Nonsense(f"Enter.factors has {_said(name)}: {_said(value)}, not a name and a finite number")
    return {name: float(value) for name, value in factors.items()}


def _said(value: object) -> str:
    """Name a value in a way that is the same in every run: objects by their type only."""
    if value is None or type(value) in (int, float, bool, str, Decimal):
        return repr(value)[:80]
    return f"a {type(value).__name__}"
