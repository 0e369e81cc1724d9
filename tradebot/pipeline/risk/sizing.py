"""How large an entry becomes: the size rule, then confidence and each limit cut. Pure arithmetic on what is given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import NamedTuple, assert_never

from tradebot.model.instrument import Instrument
from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, from_float
from tradebot.model.order import OrderType
from tradebot.model.signal import Cut, Signal
from tradebot.pipeline.risk.limits import ConfidenceScale, Limits, SizeKind, SizeRule

_ALL = Decimal(100)
_NO_CASH = Cash(ZERO)


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


class _Bound(NamedTuple):
    """Of what is open and asked together, at most ``limit`` x ``unit``."""

    gate: str
    limit: Decimal
    open_notional: Decimal
    unit: Decimal


@dataclass(frozen=True, slots=True)
class Sizing:
    """The rules of the configuration by which entries are sized."""

    rule: SizeRule
    limits: Limits
    require_stop: bool = False

    def size(
        self, signal: Signal, instrument: Instrument, equity: Cash, exposure: Cash, own_exposure: Cash = _NO_CASH
    ) -> Sized | Stopped:
        """Return the size of an entry, or what stopped it.

        ``exposure`` is what is open or on its way, ``own_exposure`` the part of it of the signal's strategy; it
        only matters to a strategy with a share.
        """
        stopped = self._check_confidence(signal) or self._check_stop(signal) or _check_equity(equity)
        if stopped is not None:
            return stopped
        price = checked_price(signal)
        share = self.rule.share(signal.strategy)
        # Multiplying rounds to the digits of the context, so it is left out where it would change nothing else.
        raw = self._raw(signal, price, equity if share == ONE else Cash(equity * share))
        qty = instrument.qty_down(raw)
        if instrument.below_minimum(qty, price):
            return _too_small(instrument, raw, price)
        cuts: tuple[Cut, ...] = ()
        confidence = self._scale(signal)
        if confidence is not None:
            qty = instrument.qty_down(raw * confidence / _ALL)
            if instrument.below_minimum(qty, price):
                what = "what the confidence leaves is below the smallest order"
                return Stopped("confidence_scale", confidence, _ALL, what)
            cuts = (Cut(gate="confidence_scale", limit=confidence, value=_ALL),)
        bounds = self._bounds(equity, exposure)
        if share != ONE:
            bounds = chain(bounds, self._share_bounds(equity, own_exposure, share))
        return _cut(qty, price, instrument, bounds, cuts)

    def _check_confidence(self, signal: Signal) -> Stopped | None:
        least = self.limits.min_confidence
        if least is None or signal.confidence is None:
            return None
        confidence = from_float(signal.confidence)
        if confidence >= least:
            return None
        return Stopped("confidence", least, confidence, "the confidence is below risk.min_confidence")

    def _scale(self, signal: Signal) -> Decimal | None:
        """Return the confidence, in percent, where it makes the size smaller."""
        if self.rule.scale is ConfidenceScale.NONE or signal.confidence is None:
            return None
        confidence = from_float(signal.confidence)
        return confidence if confidence < _ALL else None

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

    def _bounds(self, equity: Cash, exposure: Cash) -> Iterator[_Bound]:
        limits = self.limits
        if limits.max_order_notional is not None:
            yield _Bound("max_order_notional", limits.max_order_notional, ZERO, ONE)
        if limits.live_cap_notional is not None:
            yield _Bound("live_cap_notional", limits.live_cap_notional, ZERO, ONE)
        # A symbol has one position and one entry at a time, so a new position is its one order.
        if limits.max_position_notional is not None:
            yield _Bound("max_position_notional", limits.max_position_notional, ZERO, ONE)
        if limits.max_exposure_notional is not None:
            yield _Bound("max_exposure_notional", limits.max_exposure_notional, exposure, ONE)
        if limits.max_leverage is not None:
            yield _Bound("max_leverage", limits.max_leverage, exposure, equity)

    def _share_bounds(self, equity: Cash, own_exposure: Cash, share: Decimal) -> Iterator[_Bound]:
        limits = self.limits
        if limits.max_exposure_notional is not None:
            yield _Bound("share_exposure_notional", limits.max_exposure_notional * share, own_exposure, ONE)
        if limits.max_leverage is not None:
            yield _Bound("share_leverage", limits.max_leverage * share, own_exposure, equity)


def _cut(
    qty: Qty, price: Price, instrument: Instrument, bounds: Iterable[_Bound], cuts: tuple[Cut, ...]
) -> Sized | Stopped:
    for gate, limit, open_notional, unit in bounds:
        asked = open_notional + qty * price
        if asked <= limit * unit:
            continue
        value = round(asked / unit, 8)
        qty = instrument.qty_down(max(ZERO, limit * unit - open_notional) / price)
        if instrument.below_minimum(qty, price):
            return Stopped(gate, limit, value, "what the limit leaves is below the smallest order")
        cuts = (*cuts, Cut(gate=gate, limit=limit, value=value))
    return Sized(qty, cuts)


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
