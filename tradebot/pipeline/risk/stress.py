"""What bad days would cost the book as it stands: scenarios, each with its loss and whether it liquidates.

No stop helps in any of them but the one about stops: they would fill at the price to which everything fell. What
counts is money, so all is exact but the moves, which are measured.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import repeat

from tradebot.model.money import ONE, ZERO, Cash, Price, book, from_float
from tradebot.pipeline.risk.measures.daily import Panel
from tradebot.pipeline.risk.stress_days import DAYS

FLASH = Decimal("0.25")
"""How far all prices jump at once."""
UNKNOWN_MOVE = Decimal("0.2")
"""The move of a symbol without daily returns enough, and of a position without a stop that gaps."""
FUNDING_RATE = Decimal("0.001")
"""Paid by every position an hour, more than was ever paid in the hours looked at (docs/explanation/risk.md)."""
FUNDING_HOURS = 24
MAINTENANCE = Decimal("0.5")
"""The margin below which the account is liquidated, as a fraction of the initial one at maximum leverage."""
_WORST = 0.01
_TO_NOTHING = -ONE
# The notional of a position, and the maintenance margin that it needs.
_Needs = tuple[Decimal, Decimal]
_BASE = re.compile(r"[A-Za-z]+?(?=USDT?|USDC|[^A-Za-z]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """A position: ``notional`` at the mark (short < 0), its stop if it has one, the leverage the venue allows."""

    symbol: str
    notional: Decimal
    mark: Price
    stop: Price | None
    max_leverage: int


@dataclass(frozen=True, slots=True)
class Stressed:
    """What a scenario costs, < 0 where it pays, and whether the account is liquidated in it.

    ``headroom`` is the equity that it leaves above the maintenance margin of then, < 0 where it is liquidated.
    """

    scenario: str
    loss: Cash
    liquidated: bool
    headroom: Cash


def stress(book_: Sequence[AtRisk], equity: Cash, panel: Panel) -> tuple[Stressed, ...]:
    """Return every scenario for what is held, in a fixed order."""
    against = [_worst(one, panel) for one in book_]
    needs = [(one.notional, abs(one.notional) * MAINTENANCE / one.max_leverage) for one in book_]
    found = [
        _moved("flash_crash", needs, equity, repeat(-FLASH)),
        _moved("flash_rally", needs, equity, repeat(FLASH)),
        _moved("correlation_to_one", needs, equity, against),
        _funded(needs, equity),
        _moved("gap_over_stop", needs, equity, map(_gap, book_)),
        _moved("exchange_outage", needs, equity, _worst_day(book_, panel) or against),
    ]
    drops = [_drops(one.symbol, is_long=one.notional > 0) for one in book_]
    found += [_moved(f"drop_{day}", needs, equity, (falls[place] for falls in drops)) for place, day in enumerate(DAYS)]
    return tuple(found)


def _moved(name: str, needs: Sequence[_Needs], equity: Cash, moves: Iterable[Decimal]) -> Stressed:
    """Return what it costs that each symbol moves by its fraction; a price falls to nothing at most."""
    lost, margin = ZERO, ZERO
    for (notional, need), move in zip(needs, moves, strict=False):
        lowest = move if move > _TO_NOTHING else _TO_NOTHING
        lost -= notional * lowest
        margin += need * (ONE + lowest)
    return _stressed(name, lost, margin, equity)


def _funded(needs: Sequence[_Needs], equity: Cash) -> Stressed:
    gross = sum((abs(notional) for notional, _ in needs), ZERO)
    margin = sum((need for _, need in needs), ZERO)
    paid = gross * FUNDING_RATE * FUNDING_HOURS
    return _stressed("funding_spike", paid, margin, equity)


def _stressed(name: str, lost: Decimal, margin: Decimal, equity: Cash) -> Stressed:
    left = equity - lost - margin
    return Stressed(name, book(lost), liquidated=margin > 0 and left < 0, headroom=book(left))


def _worst(one: AtRisk, panel: Panel) -> Decimal:
    """Return the move against the position that one day in a hundred passes."""
    side = 1 if one.notional > 0 else -1
    low = panel.quantile(one.symbol, side, _WORST)
    return -side * UNKNOWN_MOVE if low is None else side * min(ZERO, from_float(low))


def _worst_day(held: Sequence[AtRisk], panel: Panel) -> list[Decimal] | None:
    """Return how all moved on the day of the window that would cost this book most; ``None`` if it is not measured."""
    pnl = panel.pnl({one.symbol: float(one.notional) for one in held})
    if not pnl:
        return None
    back = pnl.index(min(pnl)) - len(pnl)
    return [from_float(panel.returns[one.symbol][back]) for one in held]


def _gap(one: AtRisk) -> Decimal:
    """Return the move from the mark over the stop to as far behind it again."""
    side = 1 if one.notional > 0 else -1
    if one.stop is None:
        return -side * UNKNOWN_MOVE
    # A stop that was passed already gaps from where the price is.
    distance = max(ZERO, (one.mark - one.stop) * side) / one.mark
    return -side * 2 * distance


@lru_cache(maxsize=10_000)
def _drops(symbol: str, *, is_long: bool) -> tuple[Decimal, ...]:
    """Return how its coin fell on each of ``DAYS``."""
    return tuple(_drop(symbol, day, is_long=is_long) for day in DAYS)


def _drop(symbol: str, day: str, *, is_long: bool) -> Decimal:
    """Return how its coin fell that day; one that is not known falls as the worst of them, or not if it is short."""
    base, drops = _BASE.match(symbol), DAYS[day]
    known = drops.get(symbol) or drops.get(base.group().upper() if base else "")
    if known is not None:
        return known
    return min(drops.values()) if is_long else ZERO
