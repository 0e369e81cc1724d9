"""What a client may do how often: nonces by signer, requests by address, weight by IP."""

from collections.abc import Sequence
from heapq import heappush, heappushpop

from tradebot.devnet.account import Account
from tradebot.devnet.wire import Refusal

DAY_MS = 86_400_000
PAST_MS, FUTURE_MS = 2 * DAY_MS, DAY_MS
KEPT_NONCES = 100
MAX_IN_BATCH = 200
FREE_REQUESTS = 10_000
EXPIRED_COST = 5
SLOW_MS = 10_000
_CANCELS = frozenset({"cancel", "cancelByCloid"})

WEIGHT_PER_MINUTE = 1_200
_MINUTE_S = 60.0
_LIGHT = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState", "exchangeStatus"}
)
_BY_ROWS = frozenset(
    {
        "recentTrades",
        "historicalOrders",
        "userFills",
        "userFillsByTime",
        "fundingHistory",
        "userFunding",
        "userNonFundingLedgerUpdates",
        "userTwapSliceFills",
        "twapHistory",
    }
)


class Nonces:
    """The nonces of one signer: each once, above the smallest of the 100 highest, and near the time."""

    def __init__(self) -> None:
        self._highest: list[int] = []
        self._seen: set[int] = set()

    def admit(self, nonce: int, now_ms: int) -> None:
        """Take ``nonce``. Raises ``Refusal``."""
        if nonce in self._seen:
            raise Refusal(f"Invalid nonce: duplicate nonce {nonce}")
        if nonce <= now_ms - PAST_MS:
            raise Refusal(f"Invalid nonce: nonce too low {nonce} < {now_ms - PAST_MS}")
        if nonce >= now_ms + FUTURE_MS:
            raise Refusal(f"Invalid nonce: nonce too high {nonce} > {now_ms + FUTURE_MS}")
        if len(self._highest) == KEPT_NONCES and nonce <= self._highest[0]:
            raise Refusal(f"Invalid nonce: nonce too low {nonce} < {self._highest[0]}")
        self._seen.add(nonce)
        if len(self._highest) < KEPT_NONCES:
            heappush(self._highest, nonce)
        else:
            heappushpop(self._highest, nonce)
        if len(self._seen) > 100 * KEPT_NONCES:
            self._seen = {seen for seen in self._seen if seen > now_ms - PAST_MS}


class AddressBudget:
    """The requests of one account: 10,000 and one for each USDC traded; then one in ten seconds."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._slow_until_ms = 0
        self._kept = (0, 0)

    @property
    def cap(self) -> int:
        """How many requests the account has in all."""
        return FREE_REQUESTS + int(self._account.volume)

    def admit(self, action: str, cost: int, now_ms: int) -> None:
        """Charge an action of ``cost`` requests. Raises ``Refusal`` when the budget is used up."""
        cap, used = self.cap, self._account.requests
        allowed = min(cap + 100_000, 2 * cap) if action in _CANCELS else cap
        self._kept = used, self._slow_until_ms
        if used + cost > allowed:
            if now_ms < self._slow_until_ms:
                raise Refusal(
                    f"Too many cumulative requests sent ({used} > {cap}) for cumulative volume traded "
                    f"${self._account.volume:.2f}. Place taker orders to free up 1 request per USDC traded."
                )
            self._slow_until_ms = now_ms + SLOW_MS
        self._account.requests += cost

    def give_back(self) -> None:
        """Take the last charge back: an action that is refused whole costs nothing."""
        self._account.requests, self._slow_until_ms = self._kept


class IpWeight:
    """A bucket of 1200 weight that fills again within a minute; ``is_open``: it is never empty.

    ``spent`` is all that was taken so far.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self.is_open = is_open
        self.spent = 0
        self._left = float(WEIGHT_PER_MINUTE)
        self._at_s = 0.0

    def admit(self, weight: int, now_s: float) -> bool:
        """Take ``weight``, or return ``False`` when it is not there."""
        if self.is_open:
            self.spent += weight
            return True
        gained = (now_s - self._at_s) * WEIGHT_PER_MINUTE / _MINUTE_S
        self._left, self._at_s = min(float(WEIGHT_PER_MINUTE), self._left + gained), now_s
        if weight > self._left:
            return False
        self._left -= weight
        self.spent += weight
        return True

    def charge(self, weight: int) -> None:
        """Take the weight of an answer, which may leave the bucket below empty."""
        self.spent += weight
        if not self.is_open:
            self._left -= weight


def info_weight(kind: str) -> int:
    """Return what a request of ``/info`` weighs before its answer is known."""
    if kind in _LIGHT:
        return 2
    return 60 if kind == "userRole" else 20


def answer_weight(kind: str, answer: object) -> int:
    """Return what the rows of an answer weigh."""
    rows = len(answer) if isinstance(answer, Sequence) and not isinstance(answer, str) else 0
    if kind == "candleSnapshot":
        return rows // 60
    return rows // 20 if kind in _BY_ROWS else 0


def action_weight(legs: int) -> int:
    """Return what a request of ``/exchange`` with so many orders or cancels weighs."""
    return 1 + legs // 40
