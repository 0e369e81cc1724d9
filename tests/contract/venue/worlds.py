"""The implementations that keep the contract, and how a law is tried in each of them."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import pytest

from tests.contract.venue.client import SimulatedExecution, SimulatedMarket
from tests.contract.venue.exchange import Exchange
from tests.contract.venue.hyperliquid import HyperliquidWorld
from tests.contract.venue.loop import LoopClock, pause, run_virtually
from tests.contract.venue.records import PROVEN_ABSENCE, REFUSED_ID
from tests.contract.venue.world import Fault, Home, Law, World
from tradebot.model.money import Qty
from tradebot.model.venue import VenueOrder

_FOR_GOOD = 1 << 30


class SimulatedWorld(World):
    """An exchange in this process, in virtual time."""

    unit = Decimal(1)
    patience_s = 120.0

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.exchange = Exchange(self.can, self.clock)

    @classmethod
    def play(cls, law: Law) -> None:
        async def live() -> None:
            await law(cls())

        run_virtually(live())

    async def client(self, home: Home) -> SimulatedExecution:
        await self.exchange.ask()
        return SimulatedExecution(self.exchange, home)

    def market(self) -> SimulatedMarket:
        return SimulatedMarket(self.exchange)

    def price(self, symbol: str = "BTC") -> Decimal:
        return self.exchange.prices[symbol]

    def move(self, factor: str, symbol: str = "BTC") -> None:
        price = self.exchange.instruments[symbol].price_down(self.price(symbol) * Decimal(factor))
        self.exchange.prices[symbol] = price
        self.exchange.tick(symbol)

    def close_bars(self, count: int) -> None:
        self.exchange.close_bars(count)

    def thin_out(self, qty: str, symbol: str = "BTC") -> None:
        self.exchange.depth[symbol] = Qty(Decimal(qty))

    def trade_by_hand(self, qty: str, price: Decimal | None = None, symbol: str = "BTC") -> None:
        self.exchange.by_hand(symbol, Decimal(qty), price)

    def cancel_by_hand(self, symbol: str = "BTC") -> None:
        self.exchange.cancel([one.oid for one in self.resting() if one.symbol == symbol], "by_hand")

    def deposit(self, amount: str) -> None:
        self.exchange.deposit(Decimal(amount))

    def fault(self, name: Fault, times: int | None = None) -> None:
        self.exchange.faults[name] = _FOR_GOOD if times is None else times

    def heal(self) -> None:
        self.exchange.faults.clear()
        self.exchange.depth.clear()

    def hang_up(self) -> None:
        for hang_up in tuple(self.exchange.hung_up):
            hang_up()

    def placed(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for one in self.exchange.records.values():
            if one.cloid is not None:
                found.setdefault(one.cloid, []).append(one.oid)
        return found

    def resting(self) -> Sequence[VenueOrder]:
        return [one.order() for one in self.exchange.seen().resting()]

    def position(self, symbol: str = "BTC") -> Decimal:
        return self.exchange.matching.position(symbol)

    def cash(self) -> Decimal:
        return self.exchange.matching.account().cash

    def fills(self) -> Sequence[str]:
        return [fill.trade_id for fill in self.exchange.fills]

    async def sleep(self, seconds: float) -> None:
        await pause(seconds)

    async def until(self, is_so: Callable[[], object], what: Callable[[], object] = lambda: "") -> None:
        began = self.clock.monotonic()
        while not is_so():
            assert self.clock.monotonic() - began < self.patience_s, f"it never was so; {what()}"
            await pause(0.01)


class RefusedIdWorld(SimulatedWorld):
    """Brackets go as one, and a repeated client order id is refused for a while."""

    name = "refused_id"
    can = REFUSED_ID


class ProvenAbsenceWorld(SimulatedWorld):
    """Each order goes alone, and a repeated client order id is a second order."""

    name = "proven_absence"
    can = PROVEN_ABSENCE


WORLDS: Sequence[type[World]] = (HyperliquidWorld, RefusedIdWorld, ProvenAbsenceWorld)


def law(*cases: object, of: Sequence[type[World]] = WORLDS) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Try what is decorated in each world, with each of ``cases`` where there are any."""

    def decorated(holds: Callable[..., object]) -> Callable[..., None]:
        def tried(world: type[World]) -> None:
            world.play(holds)  # type: ignore[arg-type]

        def tried_with(world: type[World], case: object) -> None:
            world.play(lambda made: holds(made, case))  # type: ignore[arg-type,return-value]

        chosen = tried_with if cases else tried
        chosen.__name__, chosen.__module__ = holds.__name__, holds.__module__
        if cases:
            pytest.mark.parametrize("case", cases, ids=str)(chosen)
        return pytest.mark.parametrize("world", of, ids=lambda world: world.name)(chosen)

    return decorated
