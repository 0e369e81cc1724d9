"""One position from flat to flat: average cost, and what its round trip will say."""

from decimal import Decimal

from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, book, mean_price
from tradebot.model.order import Fill, OrderDone, PositionSide
from tradebot.model.position import Position, RoundTrip
from tradebot.model.time import Nanos
from tradebot.pipeline.risk.holdings import NO_CASH, NO_QTY, OpenPosition

OF_OTHERS = frozenset({"manual", "liquidation"})
"""Under what names positions are booked that no strategy opened."""


class Trip:
    """A position as the ledger works on it; ``OpenPosition`` is its frozen form and says what the fields mean.

    Extremes are kept as prices and turned into money only at a fill: between two fills quantity and cost do
    not change, so the worst and best P&L of that stretch are those at its lowest and highest price.
    """

    __slots__ = (
        "asked_qty",
        "best_pnl",
        "closing_failed",
        "closing_id",
        "closing_qty",
        "cost",
        "entry_notional",
        "entry_qty",
        "entry_ts",
        "exit_notional",
        "exit_qty",
        "fees",
        "funding",
        "high",
        "low",
        "qty",
        "realized",
        "strategy",
        "symbol",
        "worst_pnl",
    )

    def __init__(self, symbol: str, strategy: str, entry_ts: Nanos, price: Price) -> None:
        self.symbol = symbol
        self.strategy = strategy
        self.entry_ts = entry_ts
        self.qty: Qty = NO_QTY
        self.cost: Cash = NO_CASH
        self.entry_qty: Qty = NO_QTY
        self.entry_notional: Cash = NO_CASH
        self.exit_qty: Qty = NO_QTY
        self.exit_notional: Cash = NO_CASH
        self.realized: Cash = NO_CASH
        self.fees: Cash = NO_CASH
        self.funding: Cash = NO_CASH
        self.low = price
        self.high = price
        self.worst_pnl: Cash = NO_CASH
        self.best_pnl: Cash = NO_CASH
        self.closing_id = ""
        self.closing_qty: Qty = NO_QTY
        self.closing_failed = False
        self.asked_qty: Qty = NO_QTY

    @property
    def is_own(self) -> bool:
        """Whether this bot opened it, not another hand or the venue."""
        return self.strategy not in OF_OTHERS

    @property
    def side(self) -> PositionSide:
        """Long or short."""
        return PositionSide.LONG if self.qty > 0 else PositionSide.SHORT

    @property
    def is_closing(self) -> bool:
        """Whether an exit at work closes all of it."""
        return self.closing_id != "" and not self.closing_failed and self.closing_qty >= abs(self.qty)

    def close(self, signal_id: str, qty: Qty) -> None:
        """Remember the exit at work; none where the id is empty."""
        self.closing_id, self.closing_qty, self.closing_failed = signal_id, qty, False

    def on_exit_done(self, done: OrderDone) -> None:
        """Learn that an order of an exit ended: the exit too, unless it is wanted further."""
        if done.signal_id != self.closing_id:
            return
        if not done.is_wanted:
            self.close("", NO_QTY)
            return
        self.closing_failed = True
        self.closing_qty = Qty(max(ZERO, self.closing_qty - done.filled_qty))

    def position(self) -> Position:
        """Return it as others see it."""
        return Position(
            symbol=self.symbol,
            strategy=self.strategy,
            qty=self.qty,
            entry_price=mean_price(self.cost, self.qty),
            entry_ts=self.entry_ts,
        )

    def add(self, signed_qty: Decimal, price: Price, fee: Decimal, scale: Decimal = ONE) -> None:
        """Open or enlarge it by ``signed_qty`` of its own sign, of an entry of which ``scale`` was left."""
        self._settle(price)
        amount = signed_qty * price
        self.qty = Qty(self.qty + signed_qty)
        self.cost = Cash(self.cost + amount)
        self.entry_qty = Qty(self.entry_qty + abs(signed_qty))
        self.entry_notional = Cash(self.entry_notional + abs(amount))
        self.asked_qty = Qty(self.asked_qty + abs(signed_qty) / scale)
        self.fees = Cash(self.fees + fee)

    def reduce(self, signed_qty: Decimal, price: Price, fee: Decimal) -> Cash:
        """Shrink it by ``signed_qty`` of the other sign, at most to flat, and return what that realized, booked."""
        self._settle(price)
        left = self.qty + signed_qty
        # The part of the cost that goes is booked, so that the last exit realizes exactly what the others left.
        part = book(self.cost - self.cost * left / self.qty) if left else self.cost
        realized = book(-signed_qty * price - part)
        self.qty = Qty(left)
        self.cost = Cash(self.cost - part)
        self.exit_qty = Qty(self.exit_qty + abs(signed_qty))
        self.exit_notional = Cash(self.exit_notional + abs(signed_qty * price))
        self.realized = Cash(self.realized + realized)
        self.fees = Cash(self.fees + fee)
        return realized

    @property
    def enlarged(self) -> Decimal:
        """By what the size of its entries is to be multiplied for the one that their rule asked for."""
        return self.asked_qty / self.entry_qty if self.asked_qty else ONE

    def round_trip(self, fill: Fill) -> RoundTrip:
        """Return the round trip that ``fill`` ended; the position must be flat."""
        return RoundTrip(
            symbol=self.symbol,
            strategy=self.strategy,
            # What closed it was on the other side.
            side=PositionSide.SHORT if fill.side.sign > 0 else PositionSide.LONG,
            qty=self.entry_qty,
            entry_ts=self.entry_ts,
            entry_price=mean_price(self.entry_notional, self.entry_qty),
            exit_ts=fill.ts_event,
            exit_price=mean_price(self.exit_notional, self.exit_qty),
            exit_reason=fill.reason,
            gross_pnl=self.realized,
            fees=self.fees,
            funding=self.funding,
            net_pnl=Cash(self.realized - self.fees + self.funding),
            mae=book(-self.worst_pnl),
            mfe=book(self.best_pnl),
        )

    def freeze(self) -> OpenPosition:
        """Return it as a value."""
        return OpenPosition(**{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def thaw(cls, saved: OpenPosition) -> "Trip":
        """Return the trip that ``freeze`` saw."""
        trip = cls(saved.symbol, saved.strategy, saved.entry_ts, saved.low)
        for name in cls.__slots__:
            setattr(trip, name, getattr(saved, name))
        return trip

    def _settle(self, price: Price) -> None:
        low, high = min(self.low, price), max(self.high, price)
        base = self.realized - self.cost
        at_low, at_high = base + self.qty * low, base + self.qty * high
        self.worst_pnl = Cash(min(self.worst_pnl, at_low, at_high))
        self.best_pnl = Cash(max(self.best_pnl, at_low, at_high))
        self.low = self.high = price
