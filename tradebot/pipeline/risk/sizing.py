"""How large an entry becomes: the size rule, then each limit cuts. Pure arithmetic on what it is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import ZERO, Cash, Price, Qty
from tradebot.model.order import OrderType
from tradebot.model.signal import Cut, Signal
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule


@dataclass(frozen=True, slots=True)
class Sized:
    """An entry of ``qty`` > 0, and the limits that made it smaller."""

    qty: Qty
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """The gate that let nothing through, with its numbers where it has any."""

    gate: str
    limit: Decimal | None = None
    value: Decimal | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Sizing:
    """The rules of the configuration by which entries are sized."""

    rule: SizeRule
    limits: Limits
    require_stop: bool = False

    def size(self, signal: Signal, instrument: Instrument, equity: Cash, exposure: Cash) -> Sized | Stopped:
        """Return the size of an entry, or what stopped it. ``exposure`` is what is open or on its way."""
        stopped = self._check_stop(signal) or _check_equity(equity)
        if stopped is not None:
            return stopped
        price = checked_price(signal)
        raw = self._raw(signal, price, equity)
        qty = instrument.qty_down(raw)
        if instrument.below_minimum(qty, price):
            return _too_small(instrument, raw, price)
        return self._cut(qty, price, instrument, equity, exposure)

    def _check_stop(self, signal: Signal) -> Stopped | None:
        if signal.stop is None:
            if self.require_stop or self.rule.kind is SizeKind.RISK_FRACTION:
                return Stopped("no_stop", detail="the size or a rule needs a stop and the signal has none")
            return None
        price = signal.entry_price if signal.entry_price is not None else signal.close
        if (price - signal.stop) * signal.side.sign <= 0:
            return Stopped("bad_stop", price, signal.stop, "the stop is not on the losing side of the entry")
        return None

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

    def _cut(self, qty: Qty, price: Price, instrument: Instrument, equity: Cash, exposure: Cash) -> Sized | Stopped:
        cuts: tuple[Cut, ...] = ()
        for gate, limit, open_notional, unit in self._bounds(equity, exposure):
            asked = open_notional + qty * price
            if asked <= limit * unit:
                continue
            value = round(asked / unit, 8)
            qty = instrument.qty_down(max(ZERO, limit * unit - open_notional) / price)
            if instrument.below_minimum(qty, price):
                return Stopped(gate, limit, value, "what the limit leaves is below the smallest order")
            cuts = (*cuts, Cut(gate=gate, limit=limit, value=value))
        return Sized(qty, cuts)

    def _bounds(self, equity: Cash, exposure: Cash) -> Iterator[tuple[str, Decimal, Decimal, Decimal]]:
        limits = self.limits
        if limits.max_order_notional is not None:
            yield "max_order_notional", limits.max_order_notional, ZERO, Decimal(1)
        # A symbol has one position and one entry at a time, so a new position is its one order.
        if limits.max_position_notional is not None:
            yield "max_position_notional", limits.max_position_notional, ZERO, Decimal(1)
        if limits.max_exposure_notional is not None:
            yield "max_exposure_notional", limits.max_exposure_notional, exposure, Decimal(1)
        if limits.max_leverage is not None:
            yield "max_leverage", limits.max_leverage, exposure, equity


def checked_price(signal: Signal) -> Price:
    """Return the price an entry is valued at: its close, or for a resting one the higher of both prices."""
    if signal.entry_type is OrderType.MARKET or signal.entry_price is None:
        return signal.close
    return max(signal.close, signal.entry_price)


def _distance(signal: Signal) -> Decimal:
    # A resting entry may fill at its own price: the wider of both distances is what may be lost.
    stop = signal.stop if signal.stop is not None else ZERO
    distance = abs(signal.close - stop)
    return distance if signal.entry_price is None else max(distance, abs(signal.entry_price - stop))


def _check_equity(equity: Cash) -> Stopped | None:
    return Stopped("no_equity", ZERO, equity, "there is nothing to trade with") if equity <= 0 else None


def _too_small(instrument: Instrument, raw: Decimal, price: Price) -> Stopped:
    qty = instrument.qty_down(raw)
    if qty < instrument.lot:
        return Stopped("below_minimum", instrument.lot, round(raw, 12), "the size is below one lot")
    return Stopped("below_minimum", instrument.min_notional, qty * price, "the notional is below the smallest order")
