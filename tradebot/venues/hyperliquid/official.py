"""The exchange's own client, ``hyperliquid-python-sdk``: for the owner of an account, and for a second opinion.

It is imported here and nowhere else, and only when it is used: no daemon ever loads it. What it asks is counted in
the budget that all daemons of this machine share, behind all that they need.
"""

import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from importlib.util import find_spec
from types import TracebackType
from typing import Any, NamedTuple

from tradebot.model.errors import ConfigError, Rejected, TimedOut, Unavailable, Unreadable
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.reading import Node, quote
from tradebot.venues.hyperliquid.rest import info_weight
from tradebot.venues.hyperliquid.sign import Signature, keccak256

PACKAGE = "hyperliquid-python-sdk"
TIMEOUT_S = 10.0
LIMITED_S = 5.0
"""How long is waited before it is asked again after it limits our rate, and so often at most as fills a minute."""

_LIMITED, _LIMITED_LOOKS = 429, 14
MICRO = Decimal("0.000001")
"""The smallest amount of USDC that the exchange moves."""

_EXTRA_MEND = "install tradebot[hyperliquid]"
# Which coins there are does not matter here; without this each client would ask for them first.
_NO_COINS: Mapping[str, object] = {"universe": [], "tokens": []}
_LOOK = "look with tradebot account show before it is repeated"
# By what is in the exchange's words: what an owner does about it.
_MENDS = {
    "Must deposit before": "deposit USDC with this account first; check key and network",
    "does not exist": "check key and network: nobody there has this key",
    "Extra agent already used": "make a new key, tradebot agent create: an address is an agent once and never again",
    "Too many extra agents": "end one first: tradebot agent revoke NAME",
    "valid_until": "give a later end",
    "Insufficient balance": "tradebot account show says what is free",
    "Invalid nonce": "run it again; check the clock if it stays so",
    "unified account": "a unified account has one pocket: nothing is to be moved between spot and perpetuals",
}


def is_installed() -> bool:
    """Return whether the exchange's own client is there. Imports nothing."""
    return find_spec("hyperliquid") is not None and find_spec("eth_account") is not None


class _Package(NamedTuple):
    """What is used of the SDK."""

    exchange: Any
    info: Any
    signing: Any
    client_error: type[Exception]
    server_error: type[Exception]
    no_answer: type[Exception]


def _package() -> _Package:
    if not is_installed():
        raise ConfigError(f"it needs {PACKAGE}", mend=_EXTRA_MEND)
    with warnings.catch_warnings():
        # Of what its dependencies will drop one day.
        warnings.simplefilter("ignore")
        import requests
        from hyperliquid import exchange, info  # type: ignore[import-untyped]  # it has no types
        from hyperliquid.utils import error, signing  # type: ignore[import-untyped]
    return _Package(
        exchange.Exchange, info.Info, signing, error.ClientError, error.ServerError, requests.RequestException
    )


class KeyWallet:
    """Our key as the wallet that the SDK signs with: it never holds the secret itself."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @property
    def address(self) -> str:
        """The address of the key."""
        return self._key.address

    def sign_message(self, message: Any) -> Mapping[str, int]:
        """Sign what EIP-191 makes of ``message``."""
        digest = keccak256(b"\x19" + message.version + message.header + message.body)
        return self._key.sign_digest(digest)._asdict()


class OfficialClient:
    """The SDK at ``url``, signing with ``key`` where one is given.

    ``spend`` is called with the weight of each request before it leaves, and returns when it may; ``wait`` lets
    seconds pass.

    Every question raises ``Unavailable`` and ``Unreadable``; an action also ``Rejected`` in the exchange's words, and
    ``TimedOut`` when nobody knows whether it was done.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey | None = None,
        *,
        spend: Callable[[int], None],
        wait: Callable[[float], None],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._sdk, self._url, self._spend, self._wait = _package(), url, spend, wait
        options = {"meta": _NO_COINS, "spot_meta": _NO_COINS, "timeout": timeout_s}
        self._info = self._sdk.info(url, skip_ws=True, **options)
        self._exchange = None if key is None else self._sdk.exchange(KeyWallet(key), url, **options)

    def __enter__(self) -> "OfficialClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._info.session.close()
        if self._exchange is not None:
            self._exchange.session.close()
            self._exchange.info.session.close()

    def ask(self, kind: str, **fields: object) -> Node:
        """Return what the exchange answers to an ``info`` request; while it limits our rate it is asked again."""
        for _ in range(_LIMITED_LOOKS):
            self._spend(info_weight(kind))
            try:
                return self._asked(kind, fields)
            except self._sdk.client_error as error:
                if _status(error) != _LIMITED:
                    what = f"HTTP {_status(error)} to {kind}"
                    raise Unavailable(what, where=self._url, mend="check the url; else try again later") from error
            self._wait(LIMITED_S)
        what = "the exchange has limited our rate for a minute"
        raise Unavailable(what, where=self._url, mend="end what else asks it from this machine, then try again")

    def _asked(self, kind: str, fields: Mapping[str, object]) -> Node:
        try:
            reply = self._info.post("/info", {"type": kind, **fields})
        except self._sdk.client_error:
            raise
        except (self._sdk.server_error, self._sdk.no_answer, KeyError, TypeError, AttributeError) as error:
            what = f"does not answer as the exchange does: {type(error).__name__}"
            raise Unavailable(what, where=self._url, mend="check network and url; then try again") from error
        if isinstance(reply, dict) and "error" in reply:
            raise Unreadable(f"{kind} is no JSON: {quote(reply['error'])}", where=self._url, mend="check the url")
        return Node(reply, None, kind)

    def approve_agent(self, address: str, name: str) -> None:
        """Let ``address`` trade for the account of the key; the zero address ends the agent of that name.

        ``name`` may end in `` valid_until MS``; an empty one is the agent without a name.
        """

        def send(exchange: Any) -> object:
            nonce = self._sdk.signing.get_timestamp_ms()
            action = {"type": "approveAgent", "agentAddress": address, "agentName": name, "nonce": nonce}
            signature = self._sdk.signing.sign_agent(exchange.wallet, action, exchange.base_url == _mainnet())
            if not name:
                del action["agentName"]
            return exchange._post_action(action, signature, nonce)

        self._act(send)

    def move_class(self, amount: Decimal, *, to_perp: bool) -> None:
        """Move USDC from spot to perpetuals, or back."""
        self._act(lambda exchange: exchange.usd_class_transfer(f"{amount:f}", to_perp))

    def move_sub_account(self, user: str, amount: Decimal, *, is_deposit: bool) -> None:
        """Move USDC to the perpetuals of a sub-account, or back."""
        self._act(lambda exchange: exchange.sub_account_transfer(user, is_deposit, _micros(amount)))

    def move_vault(self, vault: str, amount: Decimal, *, is_deposit: bool) -> None:
        """Deposit USDC with a vault, or withdraw it."""
        self._act(lambda exchange: exchange.vault_usd_transfer(vault, is_deposit, _micros(amount)))

    def _act(self, send: Callable[[Any], object]) -> None:
        if self._exchange is None:
            raise ValueError("a client without a key signs nothing")
        self._spend(1)
        try:
            reply = send(self._exchange)
        except self._sdk.client_error as error:
            what = "the exchange limits our rate" if _status(error) == _LIMITED else f"HTTP {_status(error)}"
            raise Unavailable(f"{what}; nothing was done", where=self._url, mend="try again in a minute") from error
        except (self._sdk.server_error, self._sdk.no_answer, KeyError, TypeError, AttributeError) as error:
            what = f"no answer ({type(error).__name__}): it may have been done or not"
            raise TimedOut(what, where=self._url, mend=_LOOK) from error
        if not isinstance(reply, dict) or reply.get("status") not in ("ok", "err"):
            raise TimedOut(f"an answer that is none: {quote(reply)}", where=self._url, mend=_LOOK)
        if reply["status"] == "err":
            said = str(reply.get("response"))
            mend = next((mend for words, mend in _MENDS.items() if words in said), "")
            raise Rejected(f"the exchange refused: {said}", where=self._url, mend=mend)


def official_signature(
    secret: bytes, action: Mapping[str, object], nonce: int, *, vault: str | None, expires: int | None, is_mainnet: bool
) -> tuple[str, Signature]:
    """Return the address of ``secret`` and its signature of a trading action, both by the exchange's own client."""
    sdk = _package()
    import eth_account

    wallet = eth_account.Account.from_key(secret)
    signed = sdk.signing.sign_l1_action(wallet, action, vault, nonce, expires, is_mainnet)
    return str(wallet.address).lower(), Signature(int(signed["r"], 16), int(signed["s"], 16), int(signed["v"]))


def _mainnet() -> str:
    from hyperliquid.utils.constants import MAINNET_API_URL  # type: ignore[import-untyped]

    return str(MAINNET_API_URL)


def _micros(amount: Decimal) -> int:
    return int(amount / MICRO)


def _status(error: Exception) -> int:
    return int(getattr(error, "status_code", 0))
