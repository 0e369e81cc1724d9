"""What ``/info`` answers about accounts. An address without one gets the answers of an empty account."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from tradebot.devnet.account import KEPT_ORDERS, UserAccount
from tradebot.devnet.exchange import Exchange
from tradebot.devnet.past import AccountView, PastViews
from tradebot.devnet.wire import (
    Json,
    Malformed,
    field,
    number,
    read_address,
    read_bool,
    read_cloid,
    read_int,
    read_object,
    read_str,
    rounded,
)
from tradebot.model.money import BPS, ZERO

_FILL_ROWS = 2_000
_ROWS = 500
UNIFIED = frozenset({"unifiedAccount", "portfolioMargin"})
_NOTHING = dict.fromkeys(("accountValue", "totalNtlPos", "totalRawUsd", "totalMarginUsed"), "0.0")
# What a unified account shows where its collateral is not: positions, but no money.
_EMPTY: Json = {"marginSummary": _NOTHING, "crossMarginSummary": _NOTHING, "withdrawable": "0.0"}
_PERIODS = ("day", "week", "month", "allTime", "perpDay", "perpWeek", "perpMonth", "perpAllTime")


class UserInfo:
    """Answers by request type; with ``lag_ms`` they tell what was known so long ago."""

    def __init__(self, exchange: Exchange) -> None:
        self.lag_ms = 0
        self._exchange = exchange
        self.past = PastViews()
        self.answers: Mapping[str, Callable[[Json], object]] = {
            "clearinghouseState": lambda body: self.state(self._account(body)),
            "spotClearinghouseState": lambda body: self.spot_state(self._account(body)),
            "openOrders": lambda body: self.open_orders(self._account(body)),
            "frontendOpenOrders": lambda body: self.full_orders(self._account(body)),
            "orderStatus": self._order_status,
            "historicalOrders": lambda body: self.history(self._account(body)),
            "userFills": lambda body: self.fills(self._account(body))[::-1][:_FILL_ROWS],
            "userFillsByTime": self._fills_by_time,
            "userFunding": self._funding,
            "userNonFundingLedgerUpdates": self._ledger,
            "userRateLimit": lambda body: self._rate_limit(self._account(body)),
            "userRole": self._role,
            "extraAgents": lambda body: self.extra_agents(self._account(body)),
            "userFees": lambda body: self._fees(self._account(body)),
            "activeAssetData": lambda body: self.asset_data(self._account(body), read_str(field(body, "coin"))),
            "portfolio": lambda body: self._portfolio(self._account(body)),
            "subAccounts": lambda body: self._sub_accounts(self._account(body)),
            "referral": lambda body: self._referral(self._account(body)),
            "maxBuilderFee": self._max_builder_fee,
            "approvedBuilders": lambda body: list(self._account(body).builders),
            "userAbstraction": lambda body: self._account(body).abstraction,
            "userDexAbstraction": lambda _body: None,
            "userToMultiSigSigners": lambda _body: None,
            "userVaultEquities": lambda body: self._vault_equities(self._account(body).user),
            "vaultDetails": self._vault_details,
            "userTwapSliceFills": lambda _body: [],
            "twapHistory": lambda _body: [],
            "webData2": lambda body: self.web_data(self._account(body)),
        }

    def find(self, user: str) -> UserAccount:
        """Return the account of ``user``, an empty one when there is none."""
        return self._exchange.account(user) or UserAccount(user, self._exchange.coins, self._exchange.markets, ZERO)

    def state(self, account: UserAccount) -> Json:
        """Return the account's state."""
        now = self._exchange.now_ms - self.lag_ms
        view = self._view(account)
        state = account.clearinghouse_state(now) if view is None else view.state | {"time": now}
        return state | _EMPTY if account.abstraction in UNIFIED else state

    def spot_state(self, account: UserAccount) -> Json:
        """Return the balances outside the perpetuals; a unified account has all its collateral there."""
        total, hold = account.spot_usdc, ZERO
        if account.abstraction in UNIFIED:
            equity = sum((account.equity(pool) for pool in account.pools), ZERO)
            total, hold = total + equity, equity - account.withdrawable()
        row = {"coin": "USDC", "token": 0}  # the number of a coin  # nosec B105
        row |= {"total": rounded(total, 8), "hold": rounded(hold, 8), "entryNtl": "0.0"}
        return {"balances": [row] if total else []}

    def open_orders(self, account: UserAccount) -> list[Json]:
        """Return the open orders, newest first."""
        if self.lag_ms:
            keys = ("coin", "side", "limitPx", "sz", "oid", "timestamp", "origSz", "cloid", "reduceOnly")
            return [{key: row[key] for key in keys if row[key]} for row in self.full_orders(account)]
        return [order.basic_row() for order in reversed(account.open.values())]

    def full_orders(self, account: UserAccount) -> list[Json]:
        """Return the open orders with all there is to know of them, newest first."""
        view = self._view(account)
        return [order.full_row() for order in reversed(account.open.values())] if view is None else view.orders

    def history(self, account: UserAccount) -> list[Json]:
        """Return every change of an order, newest first."""
        return [row for row in reversed(account.history) if self._is_known(row["statusTimestamp"])][:KEPT_ORDERS]

    def fills(self, account: UserAccount) -> list[Json]:
        """Return the fills, oldest first."""
        return [row for row in account.fills if self._is_known(row["time"])]

    def extra_agents(self, account: UserAccount) -> list[Json]:
        """Return the named agents that have not expired."""
        agents = account.active_agents(self._exchange.now_ms)
        return [
            {"name": agent.name, "address": agent.address, "validUntil": agent.valid_until_ms}
            for agent in agents
            if agent.name
        ]

    def asset_data(self, account: UserAccount, coin: str) -> Json:
        """Return what ``account`` can trade of ``coin``. Raises ``Malformed`` on an unknown one."""
        if coin not in self._exchange.coins:
            raise Malformed(f"unknown coin {coin}")
        market, chosen = self._exchange.markets[coin], account.leverage_of(coin)
        free = max(ZERO, account.free_margin())
        size = number(market.coin.qty_down(free * chosen.value / market.mark))
        leverage = {"type": "cross" if chosen.is_cross else "isolated", "value": chosen.value}
        if not chosen.is_cross:
            leverage["rawUsd"] = "0.0"
        return {
            "user": account.user,
            "coin": coin,
            "leverage": leverage,
            "maxTradeSzs": [size, size],
            "availableToTrade": [rounded(free), rounded(free)],
            "markPx": number(market.mark),
        }

    def web_data(self, account: UserAccount) -> Json:
        """Return the legacy summary of everything."""
        agent = account.agents.get("")
        deposits = sum((_usdc(row) for row in account.ledger), ZERO)
        vaults = self._exchange.vaults
        return {
            "clearinghouseState": self.state(account),
            "leadingVaults": [{"address": one.account.user, "name": one.name} for one in vaults.led_by(account.user)],
            "totalVaultEquity": rounded(sum((one.equity_of(account.user) for one in vaults.of(account.user)), ZERO)),
            "openOrders": self.full_orders(account),
            "agentAddress": None if agent is None else agent.address,
            "agentValidUntil": None if agent is None else agent.valid_until_ms,
            "cumLedger": rounded(deposits),
            "meta": {"universe": [coin.meta() for coin in self._exchange.coins.values()]},
            "assetCtxs": [],
            "serverTime": self._exchange.now_ms,
            "isVault": vaults.find(account.user) is not None,
            "user": account.user,
            "twapStates": [],
            "spotState": self.spot_state(account),
        }

    def _account(self, body: Json) -> UserAccount:
        return self.find(read_address(field(body, "user")))

    def _view(self, account: UserAccount) -> AccountView | None:
        return self.past.at(account.user, self._exchange.now_ms - self.lag_ms) if self.lag_ms else None

    def _is_known(self, time: object) -> bool:
        return not self.lag_ms or int(str(time)) <= self._exchange.now_ms - self.lag_ms

    def _order_status(self, body: Json) -> object:
        account, oid = self._account(body), field(body, "oid")
        key = read_cloid(oid) if isinstance(oid, str) else read_int(oid)
        order = account.find(key)
        if order is None:
            return {"status": "unknownOid"}
        if not self.lag_ms:
            return {"status": "order", "order": order.status_row()}
        resting = {row["oid"]: row for row in self.full_orders(account)}
        for row in self.history(account):
            if read_object(row["order"])["oid"] == order.oid:
                # What is left of a resting order shrinks without a change of its status.
                return {"status": "order", "order": row | {"order": resting.get(order.oid, row["order"])}}
        return {"status": "unknownOid"}

    def _fills_by_time(self, body: Json) -> object:
        if body.get("aggregateByTime", False) is not False:
            read_bool(body["aggregateByTime"])
        start, end = _span(body)
        rows = [row for row in self.fills(self._account(body)) if start <= int(str(row["time"])) <= end]
        return rows[::-1][:_FILL_ROWS] if body.get("reversed") else rows[:_FILL_ROWS]

    def _funding(self, body: Json) -> object:
        start, end = _span(body)
        rows = []
        for flat in self._account(body).fundings:
            if start <= int(str(flat["time"])) <= end and self._is_known(flat["time"]):
                delta = {"type": "funding"} | {key: value for key, value in flat.items() if key != "time"}
                rows.append({"time": flat["time"], "hash": "0x" + "0" * 64, "delta": delta})
        return rows[:_ROWS]

    def _ledger(self, body: Json) -> object:
        start, end = _span(body)
        rows = [row for row in self._account(body).ledger if self._is_known(row["time"])]
        return [row for row in rows if start <= int(str(row["time"])) <= end][:_ROWS]

    def _rate_limit(self, account: UserAccount) -> Json:
        return {
            "cumVlm": number(account.volume),
            "nRequestsUsed": account.requests,
            "nRequestsCap": 10_000 + int(account.volume),
            "nRequestsSurplus": 0,
        }

    def _role(self, body: Json) -> object:
        user = read_address(field(body, "user"))
        sub = self._exchange.sub_accounts.find(user)
        if sub is not None:
            return {"role": "subAccount", "data": {"master": sub.master}}
        if self._exchange.vaults.find(user) is not None:
            return {"role": "vault"}
        if self._exchange.account(user) is not None:
            return {"role": "user"}
        master = self._exchange.registry.master_of(user, self._exchange.now_ms)
        return {"role": "missing"} if master is None else {"role": "agent", "data": {"user": master}}

    def _sub_accounts(self, account: UserAccount) -> object:
        rows = [
            {
                "name": sub.name,
                "subAccountUser": sub.account.user,
                "master": sub.master,
                "clearinghouseState": self.state(sub.account),
                "spotState": self.spot_state(sub.account),
            }
            for sub in self._exchange.sub_accounts.of(account.user)
        ]
        return rows or None

    def _vault_equities(self, user: str) -> object:
        return [
            {
                "vaultAddress": vault.account.user,
                "equity": rounded(vault.equity_of(user)),
                "lockedUntilTimestamp": vault.locked_until_ms[user],
            }
            for vault in self._exchange.vaults.of(user)
        ]

    def _vault_details(self, body: Json) -> object:
        vault = self._exchange.vaults.find(read_address(field(body, "vaultAddress")))
        user = body.get("user")
        if vault is None:
            return None
        return self._exchange.vaults.details(vault, None if user is None else read_address(user))

    def _max_builder_fee(self, body: Json) -> object:
        return int(self._account(body).builders.get(read_address(field(body, "builder")), ZERO))

    def _fees(self, account: UserAccount) -> Json:
        taker, maker = number(account.taker_bps * BPS), number(account.maker_bps * BPS)
        discount = {"bpsOfMaxSupply": "0.0", "discount": "0.0"}
        vip = {
            "ntlCutoff": "5000000.0",
            "cross": "0.0004",
            "add": "0.00012",
            "spotCross": "0.0006",
            "spotAdd": "0.0003",
        }
        volume = {"date": "2026-01-01", "userCross": number(account.volume), "userAdd": "0.0", "exchange": "0.0"}
        return {
            "dailyUserVlm": [volume],
            "feeSchedule": {
                "cross": taker,
                "add": maker,
                "spotCross": "0.0007",
                "spotAdd": "0.0004",
                "tiers": {"vip": [vip], "mm": [{"makerFractionCutoff": "0.005", "add": "-0.00001"}]},
                "referralDiscount": "0.04",
                "stakingDiscountTiers": [discount],
            },
            "userCrossRate": taker,
            "userAddRate": maker,
            "userSpotCrossRate": "0.0007",
            "userSpotAddRate": "0.0004",
            "activeReferralDiscount": "0.0",
            "trial": None,
            "feeTrialEscrow": "0.0",
            "nextTrialAvailableTimestamp": None,
            "stakingLink": None,
            "activeStakingDiscount": discount,
        }

    def _portfolio(self, account: UserAccount) -> object:
        now, value = self._exchange.now_ms, sum((account.equity(pool) for pool in account.pools), ZERO)
        body = {"accountValueHistory": [[now, rounded(value)]], "pnlHistory": [[now, "0.0"]]}
        return [[period, body | {"vlm": number(account.volume)}] for period in _PERIODS]

    def _referral(self, account: UserAccount) -> Json:
        nothing = dict.fromkeys(("unclaimedRewards", "claimedRewards", "builderRewards"), "0.0")
        state = {"stage": "ready" if account.volume else "needToTrade"}
        return {
            "referredBy": None,
            "cumVlm": number(account.volume),
            **nothing,
            "referrerState": state,
            "rewardHistory": [],
        }


def _span(body: Json) -> tuple[int, int]:
    end = body.get("endTime")
    return read_int(field(body, "startTime")), 1 << 62 if end is None else read_int(end)


def _usdc(row: Json) -> Decimal:
    delta = read_object(row["delta"])
    sign = -1 if delta["type"] == "withdraw" else 1
    return sign * Decimal(read_str(delta.get("usdc", "0")))
