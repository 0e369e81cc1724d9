"""What bad days would cost the book as it stands: scenarios, each with its loss and whether it liquidates.

No stop helps in any of them but the one about stops: they would fill at the price to which everything fell. What
counts is money, so all is exact but the moves, which are measured.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import ONE, ZERO, Cash, Price, book, from_float
from tradebot.pipeline.risk.measures.daily import Panel
from tradebot.pipeline.risk.measures.moments import quantile
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
    """What a scenario costs, < 0 where it pays, and whether the account is liquidated in it."""

    scenario: str
    loss: Cash
    liquidated: bool


def stress(book_: Sequence[AtRisk], equity: Cash, panel: Panel) -> tuple[Stressed, ...]:
    """Return every scenario for what is held, in a fixed order."""
    against = {one.symbol: _worst(one, panel) for one in book_}
    found = [
        _moved("flash_crash", book_, equity, dict.fromkeys(against, -FLASH)),
        _moved("flash_rally", book_, equity, dict.fromkeys(against, FLASH)),
        _moved("correlation_to_one", book_, equity, against),
        _funded(book_, equity),
        _moved("gap_over_stop", book_, equity, {one.symbol: _gap(one) for one in book_}),
        _moved("exchange_outage", book_, equity, _worst_day(book_, panel) or against),
    ]
    for day, drops in DAYS.items():
        moves = {one.symbol: _drop(one, drops) for one in book_}
        found.append(_moved(f"drop_{day}", book_, equity, moves))
    return tuple(found)


def _moved(name: str, held: Iterable[AtRisk], equity: Cash, moves: Mapping[str, Decimal]) -> Stressed:
    """Return what it costs that each symbol moves by its fraction; a price falls to nothing at most."""
    lost, margin = ZERO, ZERO
    for one in held:
        move = max(-ONE, moves[one.symbol])
        lost -= one.notional * move
        margin += abs(one.notional) * (1 + move) * MAINTENANCE / one.max_leverage
    return Stressed(name, book(lost), margin > 0 and equity - lost < margin)


def _funded(held: Iterable[AtRisk], equity: Cash) -> Stressed:
    gross = sum((abs(one.notional) for one in held), ZERO)
    margin = sum((abs(one.notional) * MAINTENANCE / one.max_leverage for one in held), ZERO)
    paid = gross * FUNDING_RATE * FUNDING_HOURS
    return Stressed("funding_spike", book(paid), gross > 0 and equity - paid < margin)


def _worst(one: AtRisk, panel: Panel) -> Decimal:
    """Return the move against the position that one day in a hundred passes."""
    returns, side = panel.returns.get(one.symbol), 1 if one.notional > 0 else -1
    if returns is None:
        return -side * UNKNOWN_MOVE
    return side * min(ZERO, from_float(quantile(sorted(side * value for value in returns), _WORST)))


def _worst_day(held: Sequence[AtRisk], panel: Panel) -> dict[str, Decimal] | None:
    """Return how all moved on the day of the window that would cost this book most; ``None`` if it is not measured."""
    pnl = panel.pnl({one.symbol: float(one.notional) for one in held})
    if not pnl:
        return None
    back = pnl.index(min(pnl)) - len(pnl)
    return {one.symbol: from_float(panel.returns[one.symbol][back]) for one in held}


def _gap(one: AtRisk) -> Decimal:
    """Return the move from the mark over the stop to as far behind it again."""
    side = 1 if one.notional > 0 else -1
    if one.stop is None:
        return -side * UNKNOWN_MOVE
    # A stop that was passed already gaps from where the price is.
    distance = max(ZERO, (one.mark - one.stop) * side) / one.mark
    return -side * 2 * distance


def _drop(one: AtRisk, drops: Mapping[str, Decimal]) -> Decimal:
    """Return how its coin fell that day; one that is not known falls as the worst of them, or not if it is short."""
    base = _BASE.match(one.symbol)
    known = drops.get(one.symbol) or drops.get(base.group().upper() if base else "")
    if known is not None:
        return known
    return min(drops.values()) if one.notional > 0 else ZERO
