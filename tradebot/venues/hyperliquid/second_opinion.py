"""What the exchange's own client makes of account and signatures, held against what we make of them.

For ``doctor`` alone. Compared is what no mark moves: cash, quantities and spot balances. Theirs is read here by other
means than ours, so that a mistake of ours cannot hide in both.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tradebot.model.errors import TradebotError
from tradebot.model.finding import Finding, Grade
from tradebot.model.money import plain
from tradebot.venues.hyperliquid.access import role
from tradebot.venues.hyperliquid.account import COLLATERAL, account_state, spot_collateral
from tradebot.venues.hyperliquid.config import AccountConfig
from tradebot.venues.hyperliquid.inquiry import Inquiry
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.official import PACKAGE, official_signature
from tradebot.venues.hyperliquid.sign import ActionSigner, Signature

CHECK = "second opinion"
Ask = Callable[..., Any]
"""Returns what the exchange's own client answers to an ``info`` request, as JSON. Blocks."""

Sign = Callable[..., tuple[str, Signature]]

_LOOKS = 3
_MEND = "do not trade: one of the two reads or signs wrongly; report it with both numbers"
# Known to everybody, and worth nothing.
_KEY = bytes.fromhex("0123456789" * 6 + "0123")
_NONCE = 1_677_777_606_040
_ADDRESS = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
_ORDER = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
_ACTION: Mapping[str, object] = {"type": "order", "orders": [_ORDER], "grouping": "na"}


class AccountReading(NamedTuple):
    """What no mark moves: cash in perpetuals, signed quantities by symbol, and USDC in spot."""

    cash: Decimal
    positions: Mapping[str, Decimal]
    spot: Decimal


def signature_finding(sign: Sign = official_signature) -> Finding:
    """Return whether both sign a fixed action alike: for either network, with and without sub-account and expiry."""
    key = SigningKey(_KEY)
    for is_mainnet in (True, False):
        signer = ActionSigner(key, is_mainnet=is_mainnet)
        for vault in (None, _ADDRESS):
            for expires in (None, _NONCE + 100_000):
                ours = signer.sign(dict(_ACTION), _NONCE, vault=vault, expires_after=expires)
                address, theirs = sign(_KEY, _ACTION, _NONCE, vault=vault, expires=expires, is_mainnet=is_mainnet)
                if (address, theirs) != (key.address, ours):
                    case = f"{'mainnet' if is_mainnet else 'testnet'}, vault {vault}, expiry {expires}"
                    what = f"a signature differs ({case}): ours of {key.address}, {PACKAGE}'s of {address}"
                    return Finding(CHECK, Grade.FAIL, what, _MEND)
    return Finding(CHECK, Grade.OK, f"{PACKAGE} signs as we do")


async def account_findings(inquiry: Inquiry, config: AccountConfig, ask: Ask) -> Sequence[Finding]:
    """Return whether both read the account alike; what cannot be asked is a warning."""
    try:
        address = await _account(inquiry, config)
        differences: Sequence[str] = ()
        for _ in range(_LOOKS):
            # What differs in one look and not in the next was a trade in between.
            ours, theirs = await _ours(inquiry, address), await asyncio.to_thread(_theirs, ask, address)
            differences = tuple(differ(ours, theirs))
            if not differences:
                words = f"{plain(ours.cash)} USDC in perpetuals, {plain(ours.spot)} in spot, {len(ours.positions)} held"
                return [Finding(CHECK, Grade.OK, f"{PACKAGE} reads the account as we do: {words}")]
    except TradebotError as error:
        return [Finding(CHECK, Grade.WARN, f"it could not be had: {error.what}", error.mend or "try again")]
    return [Finding(CHECK, Grade.FAIL, difference, _MEND) for difference in differences]


def differ(ours: AccountReading, theirs: AccountReading) -> Iterator[str]:
    """Yield each difference, with both numbers."""
    rows: list[tuple[str, Decimal | None, Decimal | None]] = [
        ("cash in perpetuals", ours.cash, theirs.cash),
        ("USDC in spot", ours.spot, theirs.spot),
    ]
    symbols = sorted({*ours.positions, *theirs.positions})
    rows += [(f"the position in {one}", ours.positions.get(one), theirs.positions.get(one)) for one in symbols]
    for name, mine, other in rows:
        if mine != other:
            yield f"{name}: we read {_shown(mine)}, {PACKAGE} {_shown(other)}"


def _shown(amount: Decimal | None) -> str:
    return "nothing" if amount is None else plain(amount)


async def _account(inquiry: Inquiry, config: AccountConfig) -> str:
    if config.account is not None:
        return config.account.lower()
    signer = (await asyncio.to_thread(config.key.read)).address
    return role(await inquiry.ask("userRole", user=signer)).master or signer


async def _ours(inquiry: Inquiry, address: str) -> AccountReading:
    state = account_state(await inquiry.ask("clearinghouseState", user=address))
    spot = spot_collateral(await inquiry.ask("spotClearinghouseState", user=address))
    return AccountReading(Decimal(state.cash), {one.symbol: Decimal(one.qty) for one in state.positions}, Decimal(spot))


def _theirs(ask: Ask, address: str) -> AccountReading:
    state, spot = ask("clearinghouseState", user=address), ask("spotClearinghouseState", user=address)
    held = [row["position"] for row in state["assetPositions"]]
    usdc = [Decimal(row["total"]) for row in spot["balances"] if row["coin"] == COLLATERAL]
    cash = Decimal(state["marginSummary"]["totalRawUsd"])
    return AccountReading(cash, {one["coin"]: Decimal(one["szi"]) for one in held}, sum(usdc, Decimal(0)))
