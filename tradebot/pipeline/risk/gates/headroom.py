"""How much of the equity is free after the worst of the bad days of ``stress``."""

from collections.abc import Iterable
from decimal import Decimal
from typing import ClassVar

from tradebot.model.money import ZERO, Cash, Price, Qty, plain, rounded
from tradebot.model.order import PositionSide
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import NOTHING_LEFT, Book, Gate, Room
from tradebot.pipeline.risk.limits import ACCOUNT, LimitUse
from tradebot.pipeline.risk.stress import AtRisk, Stressed, stress

GATE = "stress_headroom"
SETTING = "min_headroom_pct"
_ALL = Decimal(100)
_PLACES = 4


class HeadroomGate(Gate):
    """Entries after which each scenario leaves so much of the equity above what its positions then need as margin.

    Every entry at work counts as filled. One that makes the worst no worse passes.
    """

    names: ClassVar = {
        GATE: "after the worst stress scenario the smallest order would leave less free than `min_headroom_pct`"
    }

    def room(self, signal: Signal, qty: Qty, price: Price, book: Book) -> Room | None:
        """Return the largest size after which the worst scenario leaves enough."""
        limit = book.limits.get(SETTING)
        if limit is None:
            return None
        equity, held = book.equity(), _held(book)
        lot, floor = book.instrument(signal.symbol).lot, equity * limit / _ALL

        def worst(lots: int) -> Stressed:
            return _worst([*held, _asked(signal, lots * lot * price, price, book)], equity, book)

        most = int(qty / lot)
        asked = worst(most)
        if asked.headroom >= floor:
            return None
        alone = _worst(held, equity, book).headroom
        if asked.headroom >= alone:
            return None
        passes = 0
        # What a scenario leaves is linear in the size, so what all of them leave only falls once it falls.
        while alone >= floor and most - passes > 1:
            middle = (passes + most) // 2
            passes, most = (middle, most) if worst(middle).headroom >= floor else (passes, middle)
        what = f"after {asked.scenario} it would leave {plain(asked.headroom)} of {plain(equity)} free, {NOTHING_LEFT}"
        return Room(GATE, limit, _pct(asked.headroom, equity), Qty(passes * lot), what)

    def use(self, book: Book) -> LimitUse | None:
        """Return what the worst scenario leaves now, in percent of the equity."""
        limit = book.limits.get(SETTING)
        if limit is None:
            return None
        equity = book.equity()
        held = _held(book)
        worst = _worst(held, equity, book)
        left = _pct(worst.headroom, equity)
        pct_used = rounded(limit / left * _ALL, _PLACES) if left > limit else _ALL
        scope = worst.scenario if held else ACCOUNT
        return LimitUse(limit=SETTING, value=left, max=limit, pct_used=pct_used, scope=scope)


def _worst(held: Iterable[AtRisk], equity: Cash, book: Book) -> Stressed:
    return min(stress(tuple(held), equity, book.measures.panel), key=lambda one: one.headroom)


def _held(book: Book) -> list[AtRisk]:
    """Return what is open and at work, a line a symbol."""
    stops = {entry.symbol: entry.stop for entry in book.entries.values()} | book.stops
    notionals: dict[str, Decimal] = {}
    for one in book.exposed():
        sign = 1 if one.is_on(PositionSide.LONG) else -1
        notionals[one.symbol] = notionals.get(one.symbol, ZERO) + sign * one.notional
    return [
        AtRisk(
            symbol=symbol,
            notional=notional,
            mark=book.marks[symbol],
            stop=stops.get(symbol),
            max_leverage=book.instrument(symbol).max_leverage,
        )
        for symbol, notional in notionals.items()
    ]


def _asked(signal: Signal, notional: Decimal, price: Price, book: Book) -> AtRisk:
    return AtRisk(
        symbol=signal.symbol,
        notional=notional * signal.side.sign,
        mark=price,
        stop=signal.stop,
        max_leverage=book.instrument(signal.symbol).max_leverage,
    )


def _pct(part: Decimal, equity: Decimal) -> Decimal:
    return rounded(part / equity * _ALL, _PLACES) if equity > 0 else ZERO
