"""Whether what the configuration would enter now, and each part it would leave by, is large enough for the venue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import assert_never

from tradebot.model.errors import InvariantError
from tradebot.model.finding import Finding, Grade
from tradebot.model.market import Bar
from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, from_float, plain
from tradebot.model.order import PositionSide
from tradebot.model.signal import Action, Approved, Refused, Signal
from tradebot.model.time import Nanos
from tradebot.model.venue import Priced
from tradebot.pipeline.risk.gates.sequence import LIMITS
from tradebot.pipeline.risk.limits import Limits, SizeKind, SizeRule
from tradebot.pipeline.risk.stage import RiskStage
from tradebot.pipeline.strategy.base import AtrStop, DistanceStop, PercentStop, StrategySpec
from tradebot.pipeline.strategy.smart_money import SmartMoneyParams

CHECK = "sizes"
_WHOLE = (ONE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What sizes are reckoned from. ``ranges`` is the average true range of a strategy in a symbol, where known."""

    equity: Cash
    rule: SizeRule
    limits: Limits
    min_confidence: Decimal
    ranges: Mapping[tuple[str, str], Decimal]


def size_findings(
    specs: Sequence[StrategySpec], markets: Mapping[str, Priced], basis: Basis, worst: Grade
) -> Iterator[Finding]:
    """Yield a finding for each entry or part that the venue would refuse, else one for all; ``worst`` is its grade."""
    notionals: list[Decimal] = []
    is_good = True
    for spec in specs:
        parts = _parts(spec)
        for symbol in spec.symbols:
            if symbol not in markets:
                continue
            market = markets[symbol]
            found = _entry(spec, symbol, market, basis)
            if isinstance(found, Finding):
                is_good = False
                yield found if found.grade is Grade.WARN else replace(found, grade=worst)
                continue
            notionals.append(found * market.mark)
            for finding in _part_findings(spec, symbol, market, found, parts):
                is_good = False
                yield replace(finding, grade=worst)
    if is_good and notionals:
        low, high = _money(min(notionals)), _money(max(notionals))
        yield Finding(CHECK, Grade.OK, f"{len(notionals)} kinds of entry, {low} to {high} USDC each at current prices")


def average_range(bars: Sequence[Bar], n: int) -> Decimal | None:
    """Return the mean true range of the last ``n`` bars, ``None`` with fewer than two."""
    ranges = [max(bar.high, before.close) - min(bar.low, before.close) for before, bar in pairwise(bars)]
    last = ranges[-n:]
    return sum(last, ZERO) / len(last) if last else None


def _entry(spec: StrategySpec, symbol: str, market: Priced, basis: Basis) -> Qty | Finding:
    """Return the quantity that an entry at the mark would have, by the very rules of the risk stage."""
    distance = _distance(spec, symbol, market.mark, basis)
    rule = basis.rule
    if rule.kind is SizeKind.RISK_FRACTION and distance is None:
        largest = _largest(basis.limits)
        if largest is None:
            what = f"{spec.name} {symbol}: the distance of its stop is not known, and no limit bounds the entry"
            return Finding(CHECK, Grade.WARN, what, "set risk.max_order_notional")
        rule = replace(rule, kind=SizeKind.NOTIONAL, value=largest)
    stop = None if distance is None or distance >= market.mark else Price(market.mark - distance)
    signal = Signal(
        id="preflight",
        ts_event=Nanos(0),
        strategy=spec.name,
        symbol=symbol,
        action=Action.ENTER,
        side=PositionSide.LONG,
        close=market.mark,
        stop=stop,
        # The least that passes; smaller entries are refused by their confidence.
        confidence=float(basis.min_confidence) if basis.min_confidence else None,
    )
    (decided,) = RiskStage({symbol: market.instrument}, basis.equity, rule, basis.limits).handle(signal)
    if isinstance(decided, Approved):
        return decided.qty
    if not isinstance(decided, Refused):
        raise InvariantError(f"{decided!r} is no decision")
    return _refused(f"{spec.name} {symbol}", decided, market)


def _refused(name: str, stopped: Refused, market: Priced) -> Finding:
    limit = "" if stopped.limit is None else f", at least {plain(stopped.limit)} is needed"
    if stopped.gate != "below_minimum":
        limit = "" if stopped.limit is None else f", {stopped.gate} is {plain(stopped.limit)}"
    value = "" if stopped.value is None else f" ({plain(round(stopped.value, 8))}{limit})"
    least = max(market.instrument.min_notional, market.instrument.lot * market.mark)
    mend = f"raise risk.size, the limit or the deposit: an entry needs {_money(least)} USDC at this price"
    return Finding(CHECK, Grade.FAIL, f"{name}: {stopped.detail or stopped.gate}{value}", mend)


def _part_findings(
    spec: StrategySpec, symbol: str, market: Priced, qty: Qty, parts: Sequence[Decimal]
) -> Iterator[Finding]:
    left = qty
    for number, part in enumerate(parts, start=1):
        # The last takes what rounding left over, as the orders stage does it.
        slice_ = left if number == len(parts) else min(left, market.instrument.qty_down(qty * part))
        left = Qty(left - slice_)
        if len(parts) > 1 and market.instrument.below_minimum(slice_, market.mark):
            value, least = _money(slice_ * market.mark), plain(market.instrument.min_notional)
            what = f"{spec.name} {symbol}: target {number} of {len(parts)} would be {value} USDC, below {least}"
            yield Finding(CHECK, Grade.FAIL, what, "raise risk.size or the limits, or leave by larger parts")


def _parts(spec: StrategySpec) -> Sequence[Decimal]:
    """Return the parts by which a position is left; those of a strategy of one's own are not known."""
    # Asked of the parameters: to make the strategy itself would run a user's code.
    params = spec.factory.args[0] if isinstance(spec.factory, partial) else None
    if not isinstance(params, SmartMoneyParams):
        return _WHOLE
    first = from_float(params.first_part)
    return (first, ONE - first)


def _distance(spec: StrategySpec, symbol: str, mark: Price, basis: Basis) -> Decimal | None:
    known = basis.ranges.get((spec.name, symbol))
    match spec.stop:
        case None:
            return None
        case AtrStop():
            return known * spec.stop.mult if known else None
        case PercentStop(percent):
            return mark * percent / 100
        case DistanceStop(distance):
            return distance
        case _ as never:  # pragma: no cover - mypy shows that it cannot be
            assert_never(never)


def _largest(limits: Limits) -> Cash | None:
    bounds = [limits[gate.setting] for gate in LIMITS if gate.is_money and gate.setting in limits]
    return Cash(min(bounds)) if bounds else None


def _money(value: Decimal) -> str:
    return plain(round(value, 2))
