"""The exchange: accounts, who may act for them, and what each action does.

The order of checks is the real one: schema, signature, user, vault, nonce, expiry, address budget, and then the
action itself. A refusal after the nonce has used it up.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tradebot.devnet.account import CROSS, ChosenLeverage, UserAccount
from tradebot.devnet.coins import coins_of
from tradebot.devnet.desk import UserDesk
from tradebot.devnet.limits import EXPIRED_COST, MAX_IN_BATCH, AddressRequests, SignerNonces
from tradebot.devnet.market import CoinMarket
from tradebot.devnet.orders import Status
from tradebot.devnet.record import Counters
from tradebot.devnet.recover import (
    TESTNET_SOURCE,
    USER_SIGNED,
    Unrecoverable,
    action_digest,
    l1_digest,
    read_signature,
    recover,
    user_digest,
)
from tradebot.devnet.registry import Registry
from tradebot.devnet.schema import OrderSpec, read_action, read_order_spec
from tradebot.devnet.subaccounts import SubAccounts
from tradebot.devnet.vaults import Vaults
from tradebot.devnet.wire import (
    Json,
    Malformed,
    RefusedWhole,
    field,
    number,
    read_address,
    read_bool,
    read_int,
    read_list,
    read_object,
    read_str,
)
from tradebot.model.money import ZERO
from tradebot.model.time import NANOS_PER_MS
from tradebot.ports import Clock

SCHEDULE_VOLUME = Decimal(1_000_000)
_CHAIN = "Testnet"
_ENVELOPE = frozenset({"action", "nonce", "signature", "vaultAddress", "expiresAfter", "isFrontend"})
_MICRO = Decimal("0.000001")
_WEIGHT_PRICE = Decimal("0.0005")
_LEGS = {"order": "orders", "cancel": "cancels", "cancelByCloid": "cancels", "batchModify": "modifies"}
_DEFAULT: Json = {"type": "default"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed request, read; ``legs`` is how many orders or cancels it has."""

    action: Json
    nonce: int
    signer: str
    vault: str | None
    expires_ms: int | None

    @property
    def type(self) -> str:
        """The type of the action."""
        return read_str(self.action["type"])

    @property
    def legs(self) -> int:
        """How many orders or cancels the action has, at least 1."""
        return leg_count(self.action)


class Exchange:
    """All accounts on one market. ``on_change`` is called with an account that has something to tell."""

    def __init__(
        self, coins: Sequence[str], clock: Clock, *, seed: int = 1, depth: Decimal = Decimal(5_000_000)
    ) -> None:
        self.coins = coins_of(coins)
        self.markets: Mapping[str, CoinMarket] = {
            name: CoinMarket(coin, seed, depth) for name, coin in self.coins.items()
        }
        self.desks: dict[str, UserDesk] = {}
        self.registry = Registry()
        self.sub_accounts = SubAccounts(self)
        self.vaults = Vaults(self)
        self.scheduled: dict[str, int] = {}
        self.counters = Counters()
        self.on_change: Callable[[UserAccount], None] = lambda _account: None
        self._clock = clock
        self._nonces: dict[str, SignerNonces] = {}
        self._budgets: dict[str, AddressRequests] = {}
        self._actions: Mapping[str, Callable[[UserDesk, Json], Json]] = {
            "order": self._order,
            "cancel": self._cancel,
            "cancelByCloid": self._cancel,
            "modify": self._modify,
            "batchModify": self._batch_modify,
            "scheduleCancel": self._schedule_cancel,
            "updateLeverage": self._update_leverage,
            "updateIsolatedMargin": self._update_isolated_margin,
            "setReferrer": self._set_referrer,
            "createSubAccount": self._create_sub_account,
            "subAccountTransfer": self._sub_account_transfer,
            "createVault": self._create_vault,
            "vaultTransfer": self._vault_transfer,
            "agentSetAbstraction": self._nothing,
            "agentEnableDexAbstraction": self._nothing,
            "reserveRequestWeight": self._reserve,
            "noop": self._nothing,
        }

    @property
    def now_ms(self) -> int:
        """The exchange's time: that of the machine."""
        return self._clock.now() // NANOS_PER_MS

    def account(self, user: str) -> UserAccount | None:
        """Return the account of an address."""
        desk = self.desks.get(user)
        return None if desk is None else desk.account

    def fund(self, user: str, amount: Decimal) -> UserAccount:
        """Deposit ``amount`` with ``user``, opening the account when there is none."""
        account = self.account(user) or self.open(user)
        account.transfer(CROSS, amount)
        account.enter(self.ledger_row({"type": "deposit", "usdc": number(amount)}))
        self.on_change(account)
        return account

    def open(self, user: str) -> UserAccount:
        """Open an account without money."""
        account = UserAccount(user, self.coins, self.markets, ZERO)
        self.desks[user] = UserDesk(account, self.markets, self.counters)
        self._budgets[user] = AddressRequests(account)
        return account

    def owned(self, user: str, address: str) -> UserAccount:
        """Return the sub-account or vault that ``user`` may act for. Raises ``RefusedWhole``."""
        sub, vault = self.sub_accounts.find(address), self.vaults.find(address)
        if sub is not None and sub.master == user:
            return sub.account
        if vault is not None and vault.leader == user:
            return vault.account
        raise RefusedWhole(f"Vault not registered: {address}")

    def tell(self, account: UserAccount) -> None:
        """Serve the streams of ``account``."""
        self.on_change(account)

    def withdraw(self, account: UserAccount, amount: Decimal) -> None:
        """Take ``amount`` out of ``account``. Raises ``RefusedWhole`` when it is bound, or not there."""
        if amount > account.withdrawable():
            raise RefusedWhole("Insufficient balance for withdrawal")
        account.transfer(CROSS, -amount)
        delta: Json = {"type": "withdraw", "usdc": number(amount), "nonce": self.now_ms, "fee": "0.0"}
        account.enter(self.ledger_row(delta))
        self.on_change(account)

    def budget(self, user: str) -> AddressRequests:
        """Return the address budget of an account."""
        return self._budgets[user]

    def ledger_row(self, delta: Json) -> Json:
        """Return an entry of the ledger that is no funding."""
        return {"time": self.now_ms, "hash": "0x" + f"{self.counters.next_tid():064x}", "delta": delta}

    def tick(self, coin: str, ts: int, price: Decimal, volume: Decimal) -> None:
        """Let the market of ``coin`` trade, and every account meet it."""
        self.markets[coin].tick(ts, price, volume)
        now = self.now_ms
        for user, desk in self.desks.items():
            desk.execution.now_ms = now
            if self.scheduled.get(user, now + 1) <= now:
                del self.scheduled[user]
                desk.cancel_all(Status.SCHEDULED_CANCEL)
            desk.on_tick(coin)
            if desk.account.outbox:
                self.on_change(desk.account)

    def read(self, body: object) -> Envelope | RefusedWhole:
        """Return the request behind a body, or why nobody can have signed it. Raises ``Malformed``."""
        source = read_object(body)
        if not source.keys() <= _ENVELOPE:
            raise Malformed("unknown field in the envelope")
        nonce, signature = read_int(field(source, "nonce")), read_signature(field(source, "signature"))
        raw = read_object(field(source, "action"))
        vault = None if source.get("vaultAddress") is None else read_address(source["vaultAddress"])
        expires = None if source.get("expiresAfter") is None else read_int(source["expiresAfter"])
        try:
            if raw.get("type") in USER_SIGNED:
                if raw.get("nonce", raw.get("time")) != nonce:
                    return RefusedWhole("Nonce mismatch.")
                return Envelope(raw, nonce, recover(user_digest(raw, _CHAIN), signature), vault, None)
            action = read_action(raw)
            connection_id = action_digest(action, nonce, vault, expires)
            signer = recover(l1_digest(connection_id, TESTNET_SOURCE), signature)
        except Unrecoverable:
            return RefusedWhole("Unable to recover signer.")
        return Envelope(action, nonce, signer, vault, expires)

    def act(self, request: Envelope) -> Json:
        """Do what was asked and return the reply."""
        try:
            response = self._admitted(request)
        except RefusedWhole as refusal:
            return {"status": "err", "response": str(refusal)}
        return {"status": "ok", "response": response}

    def _admitted(self, request: Envelope) -> Json:
        now, is_user_signed = self.now_ms, request.type in USER_SIGNED
        user = request.signer if is_user_signed else self._principal(request.signer, now)
        desk = self.desks.get(user)
        if desk is None:
            raise RefusedWhole(f"Must deposit before performing actions. User: {user}")
        if request.vault is not None:
            user = self.owned(user, request.vault).user
            desk = self.desks[user]
        self._nonces.setdefault(request.signer, SignerNonces()).admit(request.nonce, now)
        if request.expires_ms is not None and now > request.expires_ms:
            desk.account.requests += EXPIRED_COST
            raise RefusedWhole("Action already expired")
        if request.legs > MAX_IN_BATCH:
            raise RefusedWhole(f"Signed action over weight limit of {MAX_IN_BATCH}.")
        self._budgets[user].admit(request.type, request.legs, now)
        desk.execution.now_ms = now
        try:
            if is_user_signed:
                self.registry.user_signed(self, desk.account, request.action)
                return _DEFAULT
            return self._actions[request.type](desk, request.action)
        except RefusedWhole:
            self._budgets[user].give_back()
            raise
        finally:
            if desk.account.outbox:
                self.on_change(desk.account)

    def _principal(self, signer: str, now_ms: int) -> str:
        if signer in self.desks:
            return signer
        user = self.registry.master_of(signer, now_ms)
        if user is None:
            raise RefusedWhole(f"User or API Wallet {signer} does not exist.")
        return user

    def _order(self, desk: UserDesk, action: Json) -> Json:
        specs = [read_order_spec(read_object(order)) for order in read_list(action["orders"])]
        grouping = action["grouping"] if isinstance(action["grouping"], str) else "na"
        builder = None
        if "builder" in action:
            given = read_object(action["builder"])
            builder = read_str(given["b"]), Decimal(read_int(given["f"]))
            if desk.account.builders.get(builder[0], Decimal(-1)) < builder[1]:
                raise RefusedWhole("Builder fee has not been approved.")
        statuses = desk.place(specs, grouping, builder)
        return {"type": "order", "data": {"statuses": statuses}}

    def _cancel(self, desk: UserDesk, action: Json) -> Json:
        cancels = [read_object(cancel) for cancel in read_list(action["cancels"])]
        statuses = [
            desk.cancel(read_int(one["a"]), one["o"])
            if "o" in one
            else desk.cancel(read_int(one["asset"]), one["cloid"])
            for one in cancels
        ]
        return {"type": "cancel", "data": {"statuses": statuses}}

    def _modify(self, desk: UserDesk, action: Json) -> Json:
        status = desk.modify(action["oid"], self._spec(action))
        if isinstance(status, dict) and "error" in status:
            raise RefusedWhole(read_str(status["error"]))
        return _DEFAULT

    def _batch_modify(self, desk: UserDesk, action: Json) -> Json:
        modifies = [read_object(modify) for modify in read_list(action["modifies"])]
        statuses = [desk.modify(modify["oid"], self._spec(modify)) for modify in modifies]
        return {"type": "order", "data": {"statuses": statuses}}

    def _spec(self, modify: Json) -> OrderSpec:
        return read_order_spec(read_object(modify["order"]))

    def _schedule_cancel(self, desk: UserDesk, action: Json) -> Json:
        account = desk.account
        if account.volume < SCHEDULE_VOLUME:
            raise RefusedWhole(
                "Cannot set scheduled cancel time until enough volume traded. "
                f"Required: ${SCHEDULE_VOLUME:f}. Traded: ${account.volume.normalize():f}."
            )
        if "time" not in action:
            self.scheduled.pop(account.user, None)
        elif read_int(action["time"]) < self.now_ms + 5_000:
            raise RefusedWhole("Scheduled cancel time too early, must be at least 5 seconds from now.")
        else:
            self.scheduled[account.user] = read_int(action["time"])
        return _DEFAULT

    def _update_leverage(self, desk: UserDesk, action: Json) -> Json:
        leverage = ChosenLeverage(read_bool(action["isCross"]), read_int(action["leverage"]))
        desk.set_leverage(read_int(action["asset"]), leverage)
        return _DEFAULT

    def _update_isolated_margin(self, desk: UserDesk, action: Json) -> Json:
        amount = Decimal(str(action["ntli"])) * _MICRO
        desk.move_isolated_margin(read_int(action["asset"]), amount)
        return _DEFAULT

    def _set_referrer(self, _desk: UserDesk, _action: Json) -> Json:
        raise RefusedWhole("Referral code not registered")

    def _create_sub_account(self, desk: UserDesk, action: Json) -> Json:
        address = self.sub_accounts.create(desk.account, read_str(action["name"]))
        return {"type": "createSubAccount", "data": address}

    def _sub_account_transfer(self, desk: UserDesk, action: Json) -> Json:
        sub, amount = read_str(action["subAccountUser"]), read_int(action["usd"]) * _MICRO
        self.sub_accounts.transfer(desk.account, sub, amount, is_deposit=read_bool(action["isDeposit"]))
        return _DEFAULT

    def _create_vault(self, desk: UserDesk, action: Json) -> Json:
        name, amount = read_str(action["name"]), read_int(action["initialUsd"]) * _MICRO
        address = self.vaults.create(desk.account, name, read_str(action["description"]), amount)
        return {"type": "createVault", "data": address}

    def _vault_transfer(self, desk: UserDesk, action: Json) -> Json:
        vault, amount = read_str(action["vaultAddress"]), read_int(action["usd"]) * _MICRO
        self.vaults.transfer(desk.account, vault, amount, is_deposit=read_bool(action["isDeposit"]))
        return _DEFAULT

    def _reserve(self, desk: UserDesk, action: Json) -> Json:
        weight = read_int(action["weight"])
        price = weight * _WEIGHT_PRICE
        if price > desk.account.withdrawable():
            raise RefusedWhole("Insufficient balance for withdrawal")
        desk.account.transfer(CROSS, -price)
        desk.account.requests -= weight
        return _DEFAULT

    def _nothing(self, _desk: UserDesk, _action: Json) -> Json:
        return _DEFAULT


def leg_count(action: Json) -> int:
    """Return how many orders or cancels ``action`` has, at least 1."""
    legs = action.get(_LEGS.get(str(action.get("type")), ""))
    return max(1, len(legs)) if isinstance(legs, list) else 1
