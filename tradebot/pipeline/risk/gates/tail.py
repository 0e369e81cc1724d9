"""What a bad day may cost the book: value at risk and expected shortfall, the worst of the three methods."""

from typing import ClassVar

from tradebot.model.money import ZERO, Cash, Price, Qty, plain
from tradebot.model.signal import Signal
from tradebot.pipeline.risk.gates.base import Book, Bound, Limit, Room, Used
from tradebot.pipeline.risk.measures.daily import LEAST_RETURNS
from tradebot.pipeline.risk.measures.moments import Sample
from tradebot.pipeline.risk.measures.tails import as_loss, worst_tail

UNMEASURED = "unmeasured"
"""The scope of a limit while a symbol that counts has too few daily returns."""


class TailGate(Limit):
    """Bounds the loss of a day by what the daily returns of the window would have made of the book, in cash.

    Every entry at work counts as filled. An entry that makes it no worse passes; one that cannot be measured does not.
    """

    is_money = False
    level: ClassVar[float]
    is_shortfall: ClassVar[bool] = False

    def bound(self, signal: Signal, book: Book) -> Bound | None:
        """Return nothing: how large an entry may be does not follow from one sum."""
        del signal, book
        return None

    def room(self, signal: Signal, qty: Qty, price: Price, book: Book) -> Room | None:
        """Return the largest size with which the loss stays within the limit."""
        limit = book.limits[self.setting]
        before = _pnl(book)
        if before is None or signal.symbol not in book.measures.panel.returns:
            what = f"{LEAST_RETURNS} daily returns of each symbol are needed; leave risk.{self.setting} out until then"
            return Room(self.setting, limit, ZERO, Qty(ZERO), what)
        lot = book.instrument(signal.symbol).lot

        def loss(lots: int) -> Cash:
            notional = float(lots * lot * price) * signal.side.sign
            pnl = book.measures.panel.added(before, signal.symbol, notional)
            return self._loss(pnl or Sample())

        asked = loss(most := int(qty / lot))
        # Mostly it is within: then nobody asks what it was before.
        if asked <= limit or asked <= (alone := self._loss(before)):
            return None
        passes = 0
        while alone <= limit and most - passes > 1:
            middle = (passes + most) // 2
            passes, most = (middle, most) if loss(middle) <= limit else (passes, middle)
        what = f"it would make {plain(asked)} of {plain(alone)}, and what the limit leaves is below the smallest order"
        return Room(self.setting, limit, asked, Qty(passes * lot), what)

    def used(self, book: Book) -> Used:
        """Return the loss as it is; 0 while it cannot be measured."""
        pnl = _pnl(book)
        return Used(ZERO, UNMEASURED) if pnl is None else Used(self._loss(pnl))

    def _loss(self, pnl: Sample) -> Cash:
        if not pnl:
            return Cash(ZERO)
        worst = worst_tail(pnl, self.level)
        return as_loss(worst.cvar if self.is_shortfall else worst.var)


def _pnl(book: Book) -> Sample | None:
    """Return what each day of the window would have made of all that is open and at work; ``None`` if unknown."""
    return book.measures.panel.pnl(book.exposed().signed)


class Var95Gate(TailGate):
    """The loss that one day in 20 is worse than."""

    setting = "max_var95"
    names: ClassVar = {setting: "`max_var95` leaves less than the smallest order, or cannot be measured"}
    level = 0.95


class Var99Gate(TailGate):
    """The loss that one day in 100 is worse than."""

    setting = "max_var99"
    names: ClassVar = {setting: "`max_var99` leaves less than the smallest order, or cannot be measured"}
    level = 0.99


class Cvar95Gate(TailGate):
    """The mean loss of the worst day in 20."""

    setting = "max_cvar95"
    names: ClassVar = {setting: "`max_cvar95` leaves less than the smallest order, or cannot be measured"}
    level = 0.95
    is_shortfall = True


class Cvar99Gate(TailGate):
    """The mean loss of the worst day in 100."""

    setting = "max_cvar99"
    names: ClassVar = {setting: "`max_cvar99` leaves less than the smallest order, or cannot be measured"}
    level = 0.99
    is_shortfall = True
