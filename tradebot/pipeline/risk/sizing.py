"""How large an entry becomes: the size rule, then each scale, then each limit cut. Pure arithmetic on what is given."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, rounded
from tradebot.model.order import OrderType
from tradebot.model.signal import Cut, Signal
from tradebot.pipeline.risk.gates.base import NOTHING_LEFT, Bound, Room, Stopped
from tradebot.pipeline.risk.limits import SizeKind, SizeRule
from tradebot.pipeline.risk.scaling import ALL, Asked, Scaling, at_risk


@dataclass(frozen=True, slots=True)
class Sized:
    """An order of ``qty`` > 0; of an entry also what made it smaller than the ``asked`` of its size rule."""

    qty: Qty
    cuts: tuple[Cut, ...] = ()
    asked: Decimal = ZERO

    @property
    def scale(self) -> Decimal:
        """What was left of the size that was asked for."""
        return self.qty / self.asked if self.cuts else ONE


@dataclass(frozen=True, slots=True)
class Sizing:
    """The rule of the configuration by which entries are sized."""

    rule: SizeRule
    scaling: Scaling

    def size(self, signal: Signal, instrument: Instrument, equity: Cash, bounds: Iterable[Bound]) -> Sized | Stopped:
        """Return the size of an entry that may be made, cut by ``bounds``; or what left nothing of it."""
        price = checked_price(signal)
        share = self.rule.share(signal.strategy)
        # Multiplying rounds to the digits of the context, so it is left out where it would change nothing else.
        raw = self._raw(signal, price, equity if share == ONE else Cash(equity * share))
        qty = instrument.qty_down(raw)
        if instrument.below_minimum(qty, price):
            return _too_small(instrument, raw, price)
        cuts: tuple[Cut, ...] = ()
        whole = raw
        if self.scaling:
            asked = Asked(signal, raw * price, raw * at_risk(signal, price), equity)
            for name, pct in self.scaling.scales(asked):
                raw = raw * pct / ALL
                qty = instrument.qty_down(raw)
                if instrument.below_minimum(qty, price):
                    what = (
                        f"what the {name.removesuffix('_scale').replace('_', ' ')} leaves is below the smallest order"
                    )
                    return Stopped(name, pct, ALL, what)
                cuts = (*cuts, Cut(gate=name, limit=pct, value=ALL))
        return _cut(Sized(qty, cuts, whole), price, instrument, bounds)

    def _raw(self, signal: Signal, price: Price, equity: Cash) -> Decimal:
        value = self.rule.value
        match self.rule.kind:
            case SizeKind.QTY:
                return value
            case SizeKind.NOTIONAL:
                return value / price
            case SizeKind.EQUITY_FRACTION:
                return equity * value / price
            case SizeKind.RISK_FRACTION:
                return equity * value / _distance(signal)
            case _ as never:  # pragma: no cover - mypy shows that it cannot be
                assert_never(never)


def _cut(sized: Sized, price: Price, instrument: Instrument, bounds: Iterable[Bound]) -> Sized | Stopped:
    qty, cuts = sized.qty, sized.cuts
    for gate, limit, open_notional, unit in bounds:
        asked = open_notional + qty * price
        if asked <= limit * unit:
            continue
        value = rounded(asked / unit, 8) if unit else asked
        room = max(ZERO, limit * unit - open_notional)
        qty = instrument.qty_down(room / price)
        if qty * price > room:
            # The division rounded up to a whole number of lots.
            qty = Qty(qty - instrument.lot)
        if instrument.below_minimum(qty, price):
            return Stopped(gate, limit, value, NOTHING_LEFT)
        cuts = (*cuts, Cut(gate=gate, limit=limit, value=value))
    return Sized(qty, cuts, sized.asked)


def fit(sized: Sized, room: Room, instrument: Instrument, price: Price) -> Sized | Stopped:
    """Return what ``room`` leaves of an entry."""
    if instrument.below_minimum(room.qty, price):
        return Stopped(room.gate, room.limit, room.value, room.detail)
    return Sized(room.qty, (*sized.cuts, Cut(gate=room.gate, limit=room.limit, value=room.value)), sized.asked)


def checked_price(signal: Signal) -> Price:
    """Return the price an entry is valued at: its close, or for a resting one the higher of both prices."""
    match signal.entry_type:
        case OrderType.MARKET:
            return signal.close
        case (
            OrderType.LIMIT
            | OrderType.STOP_MARKET
            | OrderType.STOP_LIMIT
            | OrderType.TAKE_PROFIT
            | OrderType.TRAILING_STOP
        ):
            return _dearer(signal)
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _dearer(signal: Signal) -> Price:
    return signal.close if signal.entry_price is None else max(signal.close, signal.entry_price)


def _distance(signal: Signal) -> Decimal:
    # A resting entry may fill at its own price: the wider of both distances is what may be lost.
    stop = signal.stop if signal.stop is not None else ZERO
    distance = abs(signal.close - stop)
    return distance if signal.entry_price is None else max(distance, abs(signal.entry_price - stop))


def _too_small(instrument: Instrument, raw: Decimal, price: Price) -> Stopped:
    qty = instrument.qty_down(raw)
    if qty < instrument.lot:
        return Stopped("below_minimum", instrument.lot, rounded(raw, 12), "the size is below one lot")
    return Stopped("below_minimum", instrument.min_notional, qty * price, "the notional is below the smallest order")
