"""``/admin``: what no real exchange offers. Faults, deposits, a hand in the accounts, a market that obeys."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation

import orjson
from aiohttp import web

from tradebot.devnet.account import UserAccount
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.faults import AT_ONCE, Faults, Rule, read_rule
from tradebot.devnet.hand import Hand
from tradebot.devnet.limits import IpLimits
from tradebot.devnet.protection import ProtectionCheck
from tradebot.devnet.registry import AGENT_LIFE_MS
from tradebot.devnet.stream import Hub
from tradebot.devnet.wire import Json, Malformed, read_address, read_bool, read_int, read_object, read_str
from tradebot.model.errors import UsageError
from tradebot.model.money import ZERO, plain
from tradebot.ports import Clock

MAX_STEPS = 10_000
_LARGEST = Decimal("1e15")


class Admin:
    """The admin requests. ``step`` moves the market by one tick and returns whether there was one."""

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        hub: Hub,
        clock: Clock,
        step: Callable[[], bool],
        protection: ProtectionCheck,
        limits: IpLimits,
    ) -> None:
        self._exchange = exchange
        self._hand = Hand(exchange)
        self._faults = faults
        self._hub = hub
        self._clock = clock
        self._step = step
        self._protection = protection
        self._ip_limits = limits
        self.changed: Callable[[], None] = lambda: None
        """Called when other faults are in force."""
        self._at_once: Mapping[str, Callable[[Rule], object]] = {
            "drop": lambda _rule: hub.abort_all(),
            "manual_trade": lambda rule: self._hand.trade(rule.user, rule.coin, rule.value),
            "manual_cancel": lambda rule: self._hand.cancel(rule.user, rule.coin),
            "liquidation": lambda rule: self._hand.liquidate(rule.user),
            "agent_expiry": lambda rule: self._hand.expire_agents(rule.user),
            "jump": lambda rule: self.move(rule.coin, rule.value),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        posts: Mapping[str, Callable[[Json], object]] = {
            "fault": self._fault,
            "clear": self._clear,
            "step": self._steps,
            "move": self._move,
            "freeze": self._freeze,
            "deposit": self._deposit,
            "withdraw": self._withdraw,
            "volume": self._volume,
            "actions": self._actions,
            "trade": self._trade,
            "cancel": self._cancel,
            "liquidate": self._liquidate,
            "limits": self._limits,
            "delist": self._on_coin(self._hand.delist),
            "list": self._on_coin(self._hand.list_again),
            "halt": self._on_coin(self._hand.halt),
            "settle": self._on_coin(self._hand.settle),
            "rules": self._rules,
            "fees": self._fees,
            "approve-agent": self._approve_agent,
            "expire-agents": self._expire_agents,
        }
        gets: Mapping[str, Callable[[Json], object]] = {
            "faults": lambda _body: self._faults.rows(),
            "unprotected": lambda _body: self._protection.rows(self._exchange.now_ms),
            "accounts": lambda _body: [_truth(desk.account) for desk in self._exchange.desks.values()],
        }
        return [
            *(web.post(f"/admin/{name}", _handler(handle)) for name, handle in posts.items()),
            *(web.get(f"/admin/{name}", _handler(handle)) for name, handle in gets.items()),
        ]

    def inject(self, rule: Rule) -> None:
        """Put a fault in force, or let it happen when it is one that happens at once. Raises ``UsageError``."""
        if rule.name in AT_ONCE:
            self._at_once[rule.name](rule)
        else:
            if rule.name == "maintenance":
                rule.lasts = rule.lasts if rule.value is None else rule.value
                self._hub.abort_all()
            self._faults.inject(rule, self._clock.monotonic())
            self.changed()

    def move(self, coin: str, price: Decimal | None) -> None:
        """Let ``coin`` trade at ``price`` now. Raises ``UsageError``."""
        market = self._exchange.markets.get(coin)
        if market is None or price is None or price <= 0:
            raise UsageError(f"{coin!r} at {price} is no price of a coin", mend="give coin and value")
        self._exchange.tick(coin, market.ts, price, market.coin.lot)
        self._hub.publish_market()

    def _fault(self, body: Json) -> object:
        self.inject(read_rule(body))
        return self._faults.rows()

    def _clear(self, _body: Json) -> object:
        self._faults.clear()
        self.changed()
        return self._faults.rows()

    def _steps(self, body: Json) -> object:
        count = min(read_int(body.get("count", 1)), MAX_STEPS)
        done = 0
        while done < count and self._step():
            done += 1
        return {"steps": done}

    def _move(self, body: Json) -> object:
        coin = _coin(body)
        self.move(coin, _amount(body, "price"))
        return {"coin": coin, "price": f"{self._exchange.markets[coin].mark:f}"}

    def _freeze(self, body: Json) -> object:
        self.inject(read_rule({"name": "frozen_feed"} | {key: body[key] for key in ("for",) if key in body}))
        return self._faults.rows()

    def _deposit(self, body: Json) -> object:
        amount = _amount(body, "amount")
        if amount <= 0:
            raise UsageError("a deposit is above 0", mend="take money out with /admin/withdraw")
        # An account that is not there yet is opened.
        user = read_address(body["user"]) if body.get("user") else self._hand.desk("").account.user
        return _cash(self._exchange.fund(user, amount))

    def _withdraw(self, body: Json) -> object:
        amount = _amount(body, "amount")
        if amount <= 0:
            raise UsageError("a withdrawal is above 0", mend="put money in with /admin/deposit")
        return _cash(self._hand.withdraw(_user(body), amount))

    def _volume(self, body: Json) -> object:
        account = self._hand.desk(_user(body)).account
        account.volume = max(ZERO, _amount(body, "volume"))
        return {"user": account.user, "volume": f"{account.volume:f}"}

    def _actions(self, body: Json) -> object:
        account = self._hand.desk(_user(body)).account
        account.requests = self._exchange.budget(account.user).cap - read_int(body.get("left"))
        return {"user": account.user, "used": account.requests, "cap": self._exchange.budget(account.user).cap}

    def _trade(self, body: Json) -> object:
        price = _amount(body, "price") if "price" in body else None
        return {"status": self._hand.trade(_user(body), _coin(body), _amount(body, "size"), price)}

    def _cancel(self, body: Json) -> object:
        return {"canceled": self._hand.cancel(_user(body), read_str(body.get("coin", "")), body.get("oid"))}

    def _liquidate(self, body: Json) -> object:
        self._hand.liquidate(_user(body))
        return {}

    def _on_coin(self, act: Callable[[str], None]) -> Callable[[Json], object]:
        def serve(body: Json) -> object:
            act(_coin(body))
            return self._exchange.coins[_coin(body)].meta()

        return serve

    def _rules(self, body: Json) -> object:
        decimals, leverage = body.get("szDecimals"), body.get("maxLeverage")
        changed = self._hand.change_rules(
            _coin(body),
            None if decimals is None else read_int(decimals),
            None if leverage is None else read_int(leverage),
        )
        return changed.meta()

    def _fees(self, body: Json) -> object:
        account = self._hand.desk(_user(body)).account
        account.taker_bps = _amount(body, "taker_bps") if "taker_bps" in body else account.taker_bps
        account.maker_bps = _amount(body, "maker_bps") if "maker_bps" in body else account.maker_bps
        return {"user": account.user, "taker_bps": plain(account.taker_bps), "maker_bps": plain(account.maker_bps)}

    def _limits(self, body: Json) -> object:
        limits = self._ip_limits
        limits.is_open = not read_bool(body.get("counted", not limits.is_open))
        row = limits.row()
        if read_bool(body.get("anew", False)):
            limits.begin()
        return row

    def _approve_agent(self, body: Json) -> object:
        life_ms = int(_amount(body, "life_s") * 1000) if "life_s" in body else AGENT_LIFE_MS
        address, name = read_address(body.get("address")), read_str(body.get("name", ""))
        agent = self._hand.approve(_user(body), address, name, life_ms)
        return {"address": agent.address, "name": agent.name, "validUntil": agent.valid_until_ms}

    def _expire_agents(self, body: Json) -> object:
        self._hand.expire_agents(_user(body))
        return {}


def _user(body: Json) -> str:
    return read_address(body["user"]) if body.get("user") else ""


def _coin(body: Json) -> str:
    return read_str(body.get("coin", ""))


def _amount(body: Json, key: str) -> Decimal:
    given = body.get(key)
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(given, bool) or not amount.is_finite() or abs(amount) > _LARGEST:
        raise UsageError(f"{key} {given!r} is no amount", mend="give a number, as text or not")
    return amount


def _truth(account: UserAccount) -> Json:
    held = {coin: account.position(coin) for coin in account.coins}
    return {
        "user": account.user,
        "cash": plain(sum((account.cash(pool) for pool in account.pools), ZERO)),
        "positions": {coin: plain(qty) for coin, qty in held.items() if qty},
        "open": [order.full_row() for order in account.open.values()],
        "fills": [f"{fill['tid']}-{fill['oid']}" for fill in account.fills],
        "funding": plain(sum((Decimal(str(row["usdc"])) for row in account.fundings), ZERO)),
        "cloids": len(account.cloids),
        "repeated": {cloid: oids for cloid, oids in account.cloids.items() if len(oids) > 1},
    }


def _cash(account: UserAccount) -> Json:
    return {"user": account.user, "cash": plain(account.cash())}


def _handler(handle: Callable[[Json], object]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        try:
            body = read_object(orjson.loads(await request.read() or b"{}"))
            answer = handle(body)
        except (UsageError, Malformed, orjson.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(answer)

    return serve
