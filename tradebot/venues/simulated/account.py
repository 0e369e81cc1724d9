"""The money of one cross-margined account: cash, what it holds, and what that binds."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.model.money import ONE, ZERO, Cash, Price, Qty, book


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """The account at the last prices: ``equity`` = ``cash`` + open P&L.

    ``margin_used`` is the initial margin of what is held, ``maintenance`` the equity under which it is liquidated.
    """

    cash: Cash
    equity: Cash
    margin_used: Cash
    maintenance: Cash


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingState:
    """What is held of one symbol: ``cost`` is the signed sum paid for ``qty``."""

    qty: Qty
    cost: Decimal


class SimulatedHolding:
    """What the account holds of one symbol, all strategies together; ``mark`` is its last price.

    The cushion is what the symbol adds to equity, less the maintenance margin it needs: the account stands as
    long as cash and all cushions together are not below 0.
    """

    __slots__ = ("_cushion", "_factor", "_maintenance_rate", "cost", "leverage", "mark", "qty", "symbol")

    def __init__(self, symbol: str, *, leverage: int, maintenance_rate: Decimal) -> None:
        self.symbol = symbol
        self.leverage = leverage
        self.mark: Price | None = None
        self._maintenance_rate = maintenance_rate
        self.become(Qty(ZERO), ZERO)

    def become(self, qty: Qty, cost: Decimal) -> None:
        """Hold ``qty``, bought for ``cost``."""
        self.qty = qty
        self.cost = cost
        rate = self._maintenance_rate
        self._factor = qty * (ONE - rate if qty > 0 else ONE + rate)
        self._cushion: Decimal | None = None

    def mark_to(self, price: Price) -> None:
        """Value what is held at ``price``."""
        self.mark = price
        self._cushion = None

    def cushion_at(self, price: Decimal) -> Decimal:
        """Return the cushion if the price were ``price``."""
        return self._factor * price - self.cost

    def bankrupt_at(self, cash: Decimal) -> Decimal | None:
        """Return the price beyond which an account of ``cash`` and only this would not stand; ``None``: no price."""
        # All of the notional being margin, the price does not matter.
        return (self.cost - cash) / self._factor if self._factor else None

    @property
    def cushion(self) -> Decimal:
        """The cushion at the mark, computed when first asked: with one position nobody asks."""
        if self._cushion is None:
            self._cushion = ZERO if self.mark is None else self.cushion_at(self.mark)
        return self._cushion

    @property
    def unrealized(self) -> Decimal:
        """The open P&L at the mark."""
        return ZERO if self.mark is None else self.qty * self.mark - self.cost

    @property
    def value(self) -> Decimal:
        """The notional at the mark."""
        return abs(self.cost if self.mark is None else self.qty * self.mark)

    @property
    def margin(self) -> Decimal:
        """The initial margin it binds."""
        return self.value / self.leverage

    @property
    def maintenance(self) -> Decimal:
        """The maintenance margin it needs."""
        return self.value * self._maintenance_rate

    def trade(self, signed_qty: Decimal, price: Decimal) -> Cash:
        """Buy (> 0) or sell (< 0) at ``price`` and return the booked P&L of what that closes, by average cost."""
        held = self.qty
        if held * signed_qty >= 0:
            self.become(Qty(held + signed_qty), self.cost + signed_qty * price)
            return Cash(ZERO)
        after = Qty(held + signed_qty)
        if held * after > 0:
            left = self.cost * after / held
            part = book(self.cost - left)
            realized = book(-signed_qty * price - part)
            self.become(after, self.cost - part)
            return realized
        realized = book(held * price - self.cost)
        self.become(after, after * price)
        return realized


class SimulatedAccount:
    """Cash and holdings. ``held`` has the holdings that are not flat, in the order they were opened."""

    def __init__(self, starting_cash: Cash) -> None:
        self.cash = starting_cash
        self.held: dict[str, SimulatedHolding] = {}
        self.last_trade = 0

    def next_trade_id(self) -> str:
        """Return a new trade id."""
        self.last_trade += 1
        return f"t{self.last_trade}"

    def trade(self, holding: SimulatedHolding, signed_qty: Decimal, price: Decimal, fee: Cash) -> None:
        """Book a trade in ``holding``."""
        self.cash = Cash(self.cash + holding.trade(signed_qty, price) - fee)
        if holding.qty:
            self.held[holding.symbol] = holding
        else:
            self.held.pop(holding.symbol, None)

    def affords(self, holding: SimulatedHolding, signed_qty: Decimal, price: Decimal) -> bool:
        """Return whether free margin covers the initial margin of the part of a trade that adds to ``holding``."""
        grows = holding.qty * signed_qty >= 0
        added = abs(signed_qty) if grows else abs(signed_qty) - abs(holding.qty)
        if added <= 0:
            return True
        bound = self.margin_used() if grows else self.margin_used() - holding.margin
        return added * price / holding.leverage <= self.equity() - bound

    def is_bankrupt_at(self, holding: SimulatedHolding, price: Decimal) -> bool:
        """Return whether equity would be below maintenance with ``holding`` at ``price`` and the others at mark."""
        total = self.cash + holding.cushion_at(price)
        if len(self.held) > 1:
            for other in self.held.values():
                if other is not holding:
                    total += other.cushion
        return total < 0

    def liquidations(self) -> dict[str, Decimal]:
        """Return the price beyond which the account would not stand, by symbol, the others at their marks."""
        total = sum((holding.cushion for holding in self.held.values()), self.cash)
        prices = {symbol: one.bankrupt_at(total - one.cushion) for symbol, one in self.held.items()}
        return {symbol: price for symbol, price in prices.items() if price is not None and price > 0}

    def equity(self) -> Decimal:
        """Return cash and open P&L."""
        return sum((holding.unrealized for holding in self.held.values()), self.cash)

    def margin_used(self) -> Decimal:
        """Return the initial margin of all that is held."""
        return sum((holding.margin for holding in self.held.values()), ZERO)

    def view(self) -> VenueAccount:
        """Return the account as it stands."""
        maintenance = sum((holding.maintenance for holding in self.held.values()), ZERO)
        return VenueAccount(
            cash=self.cash,
            equity=Cash(self.equity()),
            margin_used=Cash(self.margin_used()),
            maintenance=Cash(maintenance),
        )
