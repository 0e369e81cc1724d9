"""``/admin``: what no real exchange offers. Faults, deposits, and a market that moves when told to."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

import orjson
from aiohttp import web

from tradebot.devnet.account import Account
from tradebot.devnet.desk import Desk
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.faults import AT_ONCE, Faults, Rule, read_rule
from tradebot.devnet.schema import OrderSpec
from tradebot.devnet.stream import Hub
from tradebot.devnet.wire import Json, Malformed, read_address, read_decimal, read_object, read_str
from tradebot.model.errors import UsageError
from tradebot.model.money import ZERO
from tradebot.ports import Clock

_AGGRESSIVE = Decimal("0.05")
MAX_STEPS = 10_000


class Admin:
    """The admin requests. ``step`` moves the market by one tick and returns whether there was one."""

    def __init__(self, exchange: Exchange, faults: Faults, hub: Hub, clock: Clock, step: Callable[[], bool]) -> None:
        self._exchange = exchange
        self._faults = faults
        self._hub = hub
        self._clock = clock
        self._step = step
        self._at_once: Mapping[str, Callable[[Rule], None]] = {
            "drop": lambda _rule: hub.abort_all(),
            "manual_trade": self._manual_trade,
            "liquidation": self._liquidate,
            "agent_expiry": self._expire_agents,
            "jump": lambda rule: self.move(rule.coin, rule.value),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        handlers: Mapping[str, Callable[[Json], object]] = {
            "fault": self._fault,
            "clear": self._clear,
            "fund": self._fund,
            "step": self._steps,
            "volume": self._volume,
        }
        posts = [web.post(f"/admin/{name}", _handler(handle)) for name, handle in handlers.items()]
        return [*posts, web.get("/admin/faults", _handler(lambda _body: self._faults.rows()))]

    def inject(self, rule: Rule) -> None:
        """Put a fault in force, or let it happen when it is one that happens at once. Raises ``UsageError``."""
        if rule.name in AT_ONCE:
            self._at_once[rule.name](rule)
        else:
            if rule.name == "maintenance":
                rule.lasts = rule.lasts if rule.value is None else rule.value
                self._hub.abort_all()
            self._faults.inject(rule, self._clock.monotonic())

    def move(self, coin: str, price: Decimal | None) -> None:
        """Let ``coin`` trade at ``price`` now. Raises ``UsageError``."""
        market = self._exchange.markets.get(coin)
        if market is None or price is None or price <= 0:
            raise UsageError(f"{coin!r} at {price} is no price of a coin", mend="give coin and value")
        self._exchange.tick(coin, market.ts, price, market.coin.lot)
        self._hub.publish_market()

    def _manual_trade(self, rule: Rule) -> None:
        desk = self._desk(rule.user)
        market = self._exchange.markets.get(rule.coin)
        if market is None or not rule.value:
            raise UsageError("a manual trade needs coin and value", mend="the value is the signed size")
        is_buy = rule.value > 0
        price = market.coin.on_grid(market.mark * (1 + _AGGRESSIVE if is_buy else 1 - _AGGRESSIVE))
        size = market.coin.qty_down(abs(rule.value))
        spec = OrderSpec(
            asset=market.coin.asset, is_buy=is_buy, px=price, sz=size, reduce_only=False, tif="FrontendMarket"
        )
        desk.execution.now_ms = self._exchange.now_ms
        desk.place([spec], "na")
        self._exchange.on_change(desk.account)

    def _liquidate(self, rule: Rule) -> None:
        desk = self._desk(rule.user)
        account = desk.account
        held = [coin for coin in account.coins if account.position(coin)]
        for coin in held:
            pool = account.pool_key(coin)
            # Taken away what keeps it above maintenance, the next mark liquidates.
            account.transfer(pool, account.maintenance(pool) - account.equity(pool) - 1)
            desk.execution.now_ms = self._exchange.now_ms
            mark = self._exchange.markets[coin].mark
            desk.execution.quote(coin, mark, mark)
        self._exchange.on_change(account)

    def _expire_agents(self, rule: Rule) -> None:
        self._exchange.registry.expire_agents(self._desk(rule.user).account)

    def _desk(self, user: str) -> Desk:
        if not user and len(self._exchange.desks) == 1:
            return next(iter(self._exchange.desks.values()))
        desk = self._exchange.desks.get(user)
        if desk is None:
            raise UsageError(f"there is no account {user!r}", mend="give user")
        return desk

    def _fault(self, body: Json) -> object:
        self.inject(read_rule(body))
        return self._faults.rows()

    def _clear(self, _body: Json) -> object:
        self._faults.clear()
        return self._faults.rows()

    def _fund(self, body: Json) -> object:
        account = self._exchange.fund(read_address(body.get("user")), read_decimal(body.get("amount")))
        return {"user": account.user, "cash": f"{account.cash():f}"}

    def _steps(self, body: Json) -> object:
        wanted = body.get("count", 1)
        count = wanted if isinstance(wanted, int) else 1
        done = 0
        while done < min(count, MAX_STEPS) and self._step():
            done += 1
        return {"steps": done}

    def _volume(self, body: Json) -> object:
        account: Account = self._desk(read_str(body.get("user", ""))).account
        account.volume = max(ZERO, read_decimal(body.get("volume")))
        return {"user": account.user, "volume": f"{account.volume:f}"}


def _handler(handle: Callable[[Json], object]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            body = read_object(orjson.loads(await request.read() or b"{}"))
            answer = handle(body)
        except (UsageError, Malformed, orjson.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(answer)

    return serve
