"""An account of the exchange: its money in margin pools, its orders, and the record of both.

Each pool is one simulated venue: the cross pool, and one for every coin that is held isolated. The pool matches,
charges fees, pays funding and liquidates; here stands what the protocol tells of it.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from tradebot.devnet.coins import Coin
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.orders import Status, UserOrder
from tradebot.devnet.wire import Json, number, rounded
from tradebot.model.money import ZERO, Cash, book
from tradebot.venues.simulated.account import SimulatedHolding
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

CROSS = ""
KEPT_ORDERS = 2_000
KEPT_FILLS = 10_000
TAKER_BPS, MAKER_BPS = Decimal("4.5"), Decimal("1.5")
FUNDING_RATE = Decimal("0.0000125")
# The pools lend as much as a coin allows; what the account has chosen is checked before an order goes to them.
COSTS = Costs(taker_bps=TAKER_BPS, maker_bps=MAKER_BPS, leverage=1_000, funding_rate=FUNDING_RATE)


@dataclass(frozen=True, slots=True)
class ChosenLeverage:
    """What an account has chosen for a coin."""

    is_cross: bool
    value: int


@dataclass(slots=True)
class ApprovedAgent:
    """A key that trades for an account; an unnamed one has an empty name."""

    address: str
    name: str
    valid_until_ms: int


@dataclass(slots=True)
class Unserved:
    """What happened since the streams were last served."""

    order_updates: list[Json] = field(default_factory=list)
    fills: list[Json] = field(default_factory=list)
    fundings: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    ledger: list[Json] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.order_updates or self.fills or self.fundings or self.events or self.ledger or self.notes)


class UserAccount:
    """One user's account. ``volume`` is what it traded, ``requests`` what it used of its address budget.

    ``cloids`` remembers under which ids each client order id was ever placed, refused ones included.
    """

    def __init__(self, user: str, coins: Mapping[str, Coin], markets: Mapping[str, CoinMarket], cash: Decimal) -> None:
        self.user = user
        self.coins = coins
        self.markets = markets
        self.pools: dict[str, SimulatedVenue] = {CROSS: self._new_pool(cash)}
        self.holdings: dict[str, SimulatedHolding] = {}
        self.leverage: dict[str, ChosenLeverage] = {}
        self.open: dict[int, UserOrder] = {}
        self.orders: dict[int, UserOrder] = {}
        self.by_cloid: dict[str, UserOrder] = {}
        self.cloids: dict[str, list[int]] = {}
        self.history: deque[Json] = deque(maxlen=KEPT_ORDERS)
        self.fills: deque[Json] = deque(maxlen=KEPT_FILLS)
        self.fundings: deque[Json] = deque(maxlen=KEPT_FILLS)
        self.ledger: list[Json] = []
        self.paid_funding: dict[str, list[Decimal]] = {}
        self.agents: dict[str, ApprovedAgent] = {}
        self.builders: dict[str, Decimal] = {}
        self.spot_usdc = ZERO
        self.volume = ZERO
        self.taker_bps, self.maker_bps = TAKER_BPS, MAKER_BPS
        self.requests = 0
        self.abstraction = "disabled"
        self.outbox = Unserved()

    def leverage_of(self, coin: str) -> ChosenLeverage:
        """Return the leverage chosen for ``coin``, or the default one."""
        return self.leverage.get(coin) or ChosenLeverage(True, self.coins[coin].default_leverage)

    def pool_key(self, coin: str) -> str:
        """Return which pool trades ``coin``, opening it when needed."""
        key = CROSS if self.leverage_of(coin).is_cross else coin
        if key not in self.pools:
            self.pools[key] = self._new_pool(ZERO)
        return key

    def position(self, coin: str) -> Decimal:
        """Return what is held of ``coin``, short < 0."""
        holding = self.holdings.get(coin)
        return ZERO if holding is None else holding.qty

    def holding(self, coin: str) -> SimulatedHolding:
        """Return the holding of ``coin``, booked as the pool books it."""
        if coin not in self.holdings:
            self.holdings[coin] = SimulatedHolding(coin, leverage=1, maintenance_rate=ZERO)
        return self.holdings[coin]

    def entry_px(self, coin: str) -> Decimal:
        """Return the average price paid for what is held."""
        holding = self.holdings[coin]
        return holding.cost / holding.qty

    def equity(self, pool: str = CROSS) -> Decimal:
        """Return what a pool is worth at the marks."""
        profits = (
            self.position(coin) * self.markets[coin].mark - self.holdings[coin].cost for coin in self._held(pool)
        )
        return sum(profits, self.cash(pool))

    def cash(self, pool: str = CROSS) -> Decimal:
        """Return the cash of a pool, without its open profit."""
        return self.pools[pool].account().cash

    def maintenance(self, pool: str = CROSS) -> Decimal:
        """Return the equity below which a pool is liquidated."""
        parts = (
            abs(self.position(coin)) * self.markets[coin].mark / (2 * self.coins[coin].max_leverage)
            for coin in self._held(pool)
        )
        return sum(parts, ZERO)

    def transfer(self, pool: str, amount: Decimal) -> None:
        """Add ``amount`` to the cash of a pool, or take it when < 0."""
        venue = self.pools[pool]
        state = venue.save()
        venue.load(replace(state, cash=Cash(state.cash + book(amount))))

    def enter(self, row: Json) -> None:
        """Enter ``row`` in the ledger of what is neither trade nor funding, and tell the streams."""
        self.ledger.append(row)
        self.outbox.ledger.append(row)

    def shift(self, coin: str, amount: Decimal) -> None:
        """Move ``amount`` from the cross pool to the isolated one of ``coin``, or back when < 0."""
        self.transfer(CROSS, -amount)
        self.transfer(coin, amount)

    def free_margin(self, leaving_out: UserOrder | None = None) -> Decimal:
        """Return what the cross pool can still bind, beside its positions and resting orders."""
        used = sum((self.margin_of(coin) for coin in self._held(CROSS)), ZERO)
        return self.equity() - used - self.reserved(leaving_out)

    def withdrawable(self) -> Decimal:
        """Return what may leave the account: equity less the margin, at least a tenth of what is held, and reserves."""
        held = self._held(CROSS)
        notional = sum((abs(self.position(coin)) * self.markets[coin].mark for coin in held), ZERO)
        used = sum((self.margin_of(coin) for coin in held), ZERO)
        return max(ZERO, self.equity() - max(used, notional / 10) - self.reserved())

    def margin_of(self, coin: str) -> Decimal:
        """Return the initial margin of what is held of ``coin``, at the mark."""
        return abs(self.position(coin)) * self.markets[coin].mark / self.leverage_of(coin).value

    def reserved(self, leaving_out: UserOrder | None = None) -> Decimal:
        """Return what resting orders bind: of each coin the larger side; reduce-only ones bind nothing."""
        sides: dict[str, list[Decimal]] = {}
        for order in self.open.values():
            if order is leaving_out or order.resting_id is None or order.spec.reduce_only:
                continue
            if not self.leverage_of(order.coin.name).is_cross:
                continue
            bound = sides.setdefault(order.coin.name, [ZERO, ZERO])
            bound[order.spec.is_buy] += order.sz * order.spec.px / self.leverage_of(order.coin.name).value
        return sum((max(both) for both in sides.values()), ZERO)

    def set_status(self, order: UserOrder, status: Status, now_ms: int) -> None:
        """Let ``order`` be ``status``, record it and tell the streams."""
        order.status, order.status_ms = status, now_ms
        if status.is_live:
            self.open[order.oid] = order
        else:
            self.open.pop(order.oid, None)
        self.orders[order.oid] = order
        if order.spec.cloid is not None:
            self.by_cloid[order.spec.cloid] = order
            oids = self.cloids.setdefault(order.spec.cloid, [])
            if order.oid not in oids:
                oids.append(order.oid)
        while len(self.orders) > KEPT_ORDERS + len(self.open):
            oldest = next(one for one in self.orders.values() if not one.status.is_live)
            del self.orders[oldest.oid]
            if oldest.spec.cloid is not None and self.by_cloid.get(oldest.spec.cloid) is oldest:
                del self.by_cloid[oldest.spec.cloid]
        self.history.append(order.status_row())
        self.outbox.order_updates.append(order.update_row())

    def find(self, oid: object) -> UserOrder | None:
        """Return the order of that id or client order id, the latest one."""
        return self.by_cloid.get(oid.lower()) if isinstance(oid, str) else self.orders.get(int(str(oid)))

    def active_agents(self, now_ms: int) -> Iterable[ApprovedAgent]:
        """Return the agents whose time has not run out."""
        return [agent for agent in self.agents.values() if agent.valid_until_ms > now_ms]

    def clearinghouse_state(self, now_ms: int) -> Json:
        """Return the account's state as ``clearinghouseState``."""
        cross = self._summary(self._held(CROSS), (CROSS,))
        total = self._summary([coin for coin in self.coins if self.position(coin)], tuple(self.pools))
        positions = [self._position_row(coin) for coin in self.coins if self.position(coin)]
        return {
            "marginSummary": total,
            "crossMarginSummary": cross,
            "crossMaintenanceMarginUsed": rounded(self.maintenance()),
            "withdrawable": rounded(self.withdrawable()),
            "assetPositions": positions,
            "time": now_ms,
        }

    def _held(self, pool: str) -> list[str]:
        return [coin for coin in self.coins if self.position(coin) and self.pool_key(coin) == pool]

    def _summary(self, coins: list[str], pools: tuple[str, ...]) -> Json:
        value = sum((self.equity(pool) for pool in pools), ZERO)
        signed = sum((self.position(coin) * self.markets[coin].mark for coin in coins), ZERO)
        notional = sum((abs(self.position(coin)) * self.markets[coin].mark for coin in coins), ZERO)
        used = sum((self._margin_used(coin) for coin in coins), ZERO)
        return {
            "accountValue": rounded(value),
            "totalNtlPos": rounded(notional),
            "totalRawUsd": rounded(value - signed),
            "totalMarginUsed": rounded(used),
        }

    def _margin_used(self, coin: str) -> Decimal:
        pool = self.pool_key(coin)
        return self.margin_of(coin) if pool == CROSS else self.equity(pool)

    def _position_row(self, coin: str) -> Json:
        szi, mark, entry = self.position(coin), self.markets[coin].mark, self.entry_px(coin)
        chosen = self.leverage_of(coin)
        profit = szi * mark - self.holdings[coin].cost
        leverage: Json = {"type": "cross" if chosen.is_cross else "isolated", "value": chosen.value}
        if not chosen.is_cross:
            leverage["rawUsd"] = rounded(self.equity(coin) - szi * mark)
        paid = self.paid_funding.get(coin, [ZERO, ZERO, ZERO])
        position: Json = {
            "coin": coin,
            "szi": number(szi),
            "leverage": leverage,
            "entryPx": rounded(entry),
            "positionValue": rounded(abs(szi) * mark),
            "unrealizedPnl": rounded(profit),
            "returnOnEquity": rounded(profit / (abs(self.holdings[coin].cost) / chosen.value), 10),
            "liquidationPx": self._liquidation_px(coin, mark),
            "marginUsed": rounded(self._margin_used(coin)),
            "maxLeverage": self.coins[coin].max_leverage,
            "cumFunding": dict(zip(("allTime", "sinceOpen", "sinceChange"), map(rounded, paid), strict=True)),
        }
        return {"type": "oneWay", "position": position}

    def _liquidation_px(self, coin: str, mark: Decimal) -> str | None:
        szi, rate = self.position(coin), 1 / Decimal(2 * self.coins[coin].max_leverage)
        pool = self.pool_key(coin)
        room = self.equity(pool) - self.maintenance(pool)
        side = 1 if szi > 0 else -1
        price = mark - side * room / abs(szi) / (1 - rate * side)
        return rounded(price, 8) if 0 < price < mark * 1000 else None

    def _new_pool(self, cash: Decimal) -> SimulatedVenue:
        instruments = {name: coin.instrument for name, coin in self.coins.items()}
        return SimulatedVenue(instruments, COSTS, Cash(cash))
