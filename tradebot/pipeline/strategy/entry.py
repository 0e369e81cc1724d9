"""From the wish to enter to its signal: checked, completed and on the tick."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple, assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import ZERO, Price, from_float, plain
from tradebot.model.order import OrderType, PositionSide
from tradebot.model.signal import Action, Refused, Rung, Signal, WishGate
from tradebot.model.time import Nanos
from tradebot.pipeline.strategy.base import AtrStop, DistanceStop, Enter, PercentStop, StopRule, StrategySpec
from tradebot.pipeline.strategy.measures import Atr
from tradebot.pipeline.strategy.nonsense import Nonsense, given_price, said
from tradebot.pipeline.strategy.wish import LONGEST_NAME, Moment, checked_levels, checked_pattern, refuse

ENTRY_TYPES = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET)
_MOST_RUNGS = 10
_MOST_BARS = 1_000_000
_MOST_FACTORS = 64


def entry_signal(wish: Enter, spec: StrategySpec, instrument: Instrument, moment: Moment) -> Signal | Refused:
    """Return the signal of ``wish``, or its refusal: it may not enter there, has no stop, or waits below a tick.

    What is wrong as it was given is nonsense; what only the tick makes so is left to risk, which says so.
    """
    side = _side(wish)
    entry_type, entry_price = _entry(wish, side, instrument)
    asked = moment.close if wish.entry_price is None else wish.entry_price
    reference = moment.close if entry_price is None else entry_price
    stop = _given_stop(wish, side, instrument, asked)
    target = _given_target(wish, side, instrument, reference)
    ladder = _ladder(wish, side, instrument, reference)
    void_price = _void_price(wish, side, instrument, moment.close)
    expires_ts = _expires_ts(wish, spec, moment)
    confidence = _confidence(wish.confidence)
    factors = _factors(wish.factors)
    pattern, levels = checked_pattern(wish), checked_levels(wish)
    measured = _measured_stop(spec.stop, side, instrument, reference, moment.atr) if stop is None else None
    if isinstance(measured, Decimal):
        stop = Price(measured)
    if target is None and stop is not None and not wish.ladder:
        target = _r_target(spec, side, instrument, reference, stop)
    signal = Signal(
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
        pattern=pattern,
        levels=levels,
        trail=_trail(spec.stop, reference, stop),
    )
    if not spec.direction.allows(side):
        return refuse(signal, WishGate.DIRECTION, f"{spec.name} may only enter {spec.direction}")
    if reference <= 0:
        tick = instrument.tick_at(asked)
        detail = f"on a tick of {plain(tick)} the price to wait at is 0"
        return refuse(signal, WishGate.ENTRY_PRICE, detail, limit=tick, value=asked)
    if isinstance(measured, _NoStop):
        return refuse(signal, measured.gate, measured.detail, limit=measured.limit, value=measured.value)
    return signal


def _given_stop(wish: Enter, side: PositionSide, instrument: Instrument, asked: Decimal) -> Price | None:
    given = given_price("stop", wish.stop)
    if given is None:
        return None
    if (asked - given) * side.sign <= 0:
        raise Nonsense(f"Enter.stop is {given}, which is not on the losing side of {asked} for a {side}")
    # There is no price below one tick.
    return max(instrument.price_against(given, side.entry.opposite), Price(instrument.tick_at(asked)))


def _given_target(wish: Enter, side: PositionSide, instrument: Instrument, reference: Decimal) -> Price | None:
    given = given_price("target", wish.target)
    return None if given is None else _reached("Enter.target", given, side, instrument, reference)


def _reached(name: str, given: Decimal, side: PositionSide, instrument: Instrument, reference: Decimal) -> Price | None:
    """Return a target on the tick; ``None`` for a short's below one tick, which is never reached."""
    price = instrument.price_passive(given, side.entry.opposite)
    if (price - reference) * side.sign <= 0:
        raise Nonsense(f"{name} is {given}, which is not on the winning side of {reference} for a {side}")
    return price if price > 0 else None


def _ladder(wish: Enter, side: PositionSide, instrument: Instrument, reference: Decimal) -> tuple[Rung, ...]:
    if type(wish.ladder) is not tuple or len(wish.ladder) > _MOST_RUNGS:
        raise Nonsense(f"Enter.ladder is {said(wish.ladder)}, not a tuple of at most {_MOST_RUNGS} rungs")
    if wish.ladder and wish.target is not None:
        raise Nonsense("Enter has both a target and a ladder")
    found = [_rung(rung, side, instrument, reference) for rung in wish.ladder]
    rungs = tuple(rung for rung in found if rung is not None)
    if sum(rung.fraction for rung in wish.ladder) > 1:
        raise Nonsense("the fractions of Enter.ladder are more than 1 together")
    return rungs


def _rung(rung: object, side: PositionSide, instrument: Instrument, reference: Decimal) -> Rung | None:
    if type(rung) is not Rung:
        raise Nonsense(f"Enter.ladder holds {said(rung)}, not a Rung")
    fraction = rung.fraction
    if type(fraction) is not Decimal or not fraction.is_finite() or not 0 < fraction <= 1:
        raise Nonsense(f"Rung.fraction is {said(fraction)}, not a Decimal above 0 and at most 1")
    given = given_price("price", rung.price, "Rung")
    if given is None:
        raise Nonsense("Rung.price is None")
    price = _reached("Rung.price", given, side, instrument, reference)
    return None if price is None else Rung(price=price, fraction=fraction)


def _void_price(wish: Enter, side: PositionSide, instrument: Instrument, close: Decimal) -> Price | None:
    given = given_price("void_price", wish.void_price)
    if given is None:
        return None
    price = instrument.price_against(given, side.entry.opposite)
    if (close - price) * side.sign < 0:
        raise Nonsense(f"Enter.void_price is {given}, beyond which {close} is already for a {side}")
    # On a coarse tick it may come to nothing, and no close lies beyond that.
    return price if price > 0 else None


def _expires_ts(wish: Enter, spec: StrategySpec, moment: Moment) -> Nanos | None:
    bars = wish.wait_bars
    if bars is None:
        return None
    if type(bars) is not int or not 1 <= bars <= _MOST_BARS:
        raise Nonsense(f"Enter.wait_bars is {said(bars)}, not a whole number from 1 to {_MOST_BARS}")
    return Nanos(moment.ts_event + bars * spec.timeframe)


class _NoStop(NamedTuple):
    """Why no stop can be measured: the gate, and its numbers."""

    gate: WishGate
    detail: str
    limit: Decimal
    value: Decimal


def _measured_stop(
    rule: StopRule | None, side: PositionSide, instrument: Instrument, reference: Decimal, atr: Atr | None
) -> Decimal | _NoStop | None:
    """Return the stop of the configuration, ``None`` when it asks for none, or why it cannot be measured."""
    match rule:
        case None:
            return None
        case AtrStop():
            return _atr_stop(rule, side, instrument, reference, atr)
        case PercentStop(percent):
            return _away(reference, reference * percent / 100, side, instrument)
        case DistanceStop(distance):
            return _away(reference, distance, side, instrument)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _away(reference: Decimal, distance: Decimal, side: PositionSide, instrument: Instrument) -> Decimal | _NoStop:
    price = instrument.price_against(reference - distance * side.sign, side.entry.opposite)
    if price <= 0:
        detail = f"a stop {plain(distance)} away is at {plain(price)}, not above 0"
        return _NoStop(WishGate.STOP_PRICE, detail, ZERO, price)
    return price


def _atr_stop(
    stop: AtrStop, side: PositionSide, instrument: Instrument, reference: Decimal, atr: Atr | None
) -> Decimal | _NoStop | None:
    if atr is None:
        return None
    if atr.value is None:
        detail = f"an average true range of {atr.n} bars needs {atr.n + 1}, and there were {atr.seen}"
        return _NoStop(WishGate.ATR_UNKNOWN, detail, Decimal(atr.n + 1), Decimal(atr.seen))
    away = from_float(atr.value) * stop.mult * side.sign
    price = instrument.price_against(reference - away, side.entry.opposite)
    if (reference - price) * side.sign <= 0:
        detail = f"the average true range of {atr.n} bars is too small to measure a stop by"
        return _NoStop(WishGate.ATR_ZERO, detail, instrument.tick_at(reference), from_float(atr.value))
    if price <= 0:
        detail = f"a stop {plain(stop.mult)} average true ranges away is at {plain(price)}, not above 0"
        return _NoStop(WishGate.STOP_PRICE, detail, ZERO, price)
    return price


def _trail(rule: StopRule | None, reference: Decimal, stop: Decimal | None) -> Price | None:
    """Return the distance that the stop keeps from the best price: the one that it begins with."""
    if rule is None or not rule.trails or stop is None:
        return None
    return Price(abs(reference - stop))


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
        raise Nonsense(f"Enter.side is {said(wish.side)}, not PositionSide.LONG or PositionSide.SHORT") from None


def _entry(wish: Enter, side: PositionSide, instrument: Instrument) -> tuple[OrderType, Price | None]:
    if wish.entry_type not in ENTRY_TYPES:
        raise Nonsense(f"Enter.entry_type is {said(wish.entry_type)}, not one of {', '.join(ENTRY_TYPES)}")
    entry_type = OrderType(wish.entry_type)
    price = given_price("entry_price", wish.entry_price)
    is_market = entry_type is OrderType.MARKET
    if price is None and not is_market:
        raise Nonsense(f"Enter.entry_price is missing for a {entry_type} entry")
    if price is not None and is_market:
        raise Nonsense("Enter.entry_price is given, but the entry is at market")
    price, trigger = instrument.entry_prices(entry_type, price, side.entry)
    return entry_type, price if trigger is None else trigger


def _confidence(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 100:  # type: ignore[operator]  # a number by now
        raise Nonsense(f"Enter.confidence is {said(value)}, not a number from 0 to 100")
    return float(value)  # type: ignore[arg-type]  # a number by now


def _factors(factors: object) -> Mapping[str, float]:
    if not isinstance(factors, Mapping):
        raise Nonsense(f"Enter.factors is {said(factors)}, not a dict of names and numbers")
    if not factors:
        return {}
    if len(factors) > _MOST_FACTORS:
        raise Nonsense(f"Enter.factors has {len(factors)} names, more than {_MOST_FACTORS}")
    for name, value in factors.items():
        if type(name) is str and (len(name) > LONGEST_NAME or not name.isprintable()):
            raise Nonsense(f"Enter.factors has the name {said(name)}, not one of at most {LONGEST_NAME} characters")
        if type(name) is not str or type(value) not in (int, float) or not math.isfinite(value):
            raise Nonsense(f"Enter.factors has {said(name)}: {said(value)}, not a name and a finite number")
    return {name: float(value) for name, value in factors.items()}
