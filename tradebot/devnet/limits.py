"""What a client may do how often: nonces by signer, requests by address, weight by IP."""

from collections import Counter, deque
from collections.abc import Sequence
from heapq import heappush, heappushpop

from tradebot.devnet.account import UserAccount
from tradebot.devnet.wire import Json, RefusedWhole

DAY_MS = 86_400_000
PAST_MS, FUTURE_MS = 2 * DAY_MS, DAY_MS
KEPT_NONCES = 100
MAX_IN_BATCH = 200
FREE_REQUESTS = 10_000
EXPIRED_COST = 5
SLOW_MS = 10_000
_CANCELS = frozenset({"cancel", "cancelByCloid"})

WEIGHT_PER_MINUTE = 1_200
SOCKETS_PER_MINUTE = 30
MESSAGES_PER_MINUTE = 2_000
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


class SignerNonces:
    """The nonces of one signer: each once, above the smallest of the 100 highest, and near the time."""

    def __init__(self) -> None:
        self._highest: list[int] = []
        self._seen: set[int] = set()

    def admit(self, nonce: int, now_ms: int) -> None:
        """Take ``nonce``. Raises ``RefusedWhole``."""
        if nonce in self._seen:
            raise RefusedWhole(f"Invalid nonce: duplicate nonce {nonce}")
        if nonce <= now_ms - PAST_MS:
            raise RefusedWhole(f"Invalid nonce: nonce too low {nonce} < {now_ms - PAST_MS}")
        if nonce >= now_ms + FUTURE_MS:
            raise RefusedWhole(f"Invalid nonce: nonce too high {nonce} > {now_ms + FUTURE_MS}")
        if len(self._highest) == KEPT_NONCES and nonce <= self._highest[0]:
            raise RefusedWhole(f"Invalid nonce: nonce too low {nonce} < {self._highest[0]}")
        self._seen.add(nonce)
        if len(self._highest) < KEPT_NONCES:
            heappush(self._highest, nonce)
        else:
            heappushpop(self._highest, nonce)
        if len(self._seen) > 100 * KEPT_NONCES:
            self._seen = {seen for seen in self._seen if seen > now_ms - PAST_MS}


class AddressRequests:
    """The requests of one account: 10,000 and one for each USDC traded; then one in ten seconds."""

    def __init__(self, account: UserAccount) -> None:
        self._account = account
        self._slow_until_ms = 0
        self._kept = (0, 0)

    @property
    def cap(self) -> int:
        """How many requests the account has in all."""
        return FREE_REQUESTS + int(self._account.volume)

    def admit(self, action: str, cost: int, now_ms: int) -> None:
        """Charge an action of ``cost`` requests. Raises ``RefusedWhole`` when the budget is used up."""
        cap, used = self.cap, self._account.requests
        allowed = min(cap + 100_000, 2 * cap) if action in _CANCELS else cap
        self._kept = used, self._slow_until_ms
        if used + cost > allowed:
            if now_ms < self._slow_until_ms:
                raise RefusedWhole(
                    f"Too many cumulative requests sent ({used} > {cap}) for cumulative volume traded "
                    f"${self._account.volume:.2f}. Place taker orders to free up 1 request per USDC traded."
                )
            self._slow_until_ms = now_ms + SLOW_MS
        self._account.requests += cost

    def give_back(self) -> None:
        """Take the last charge back: an action that is refused whole costs nothing."""
        self._account.requests, self._slow_until_ms = self._kept


class MinuteWeight:
    """What one IP was served in the last 60 seconds, at most ``limit``; ``is_open``: it is counted, not limited.

    ``spent`` is all that was taken so far, ``most`` the most in any 60 seconds, ``refused`` how often there was none.
    """

    def __init__(self, limit: int, *, is_open: bool = False) -> None:
        self.is_open = is_open
        self.spent = self.most = self.refused = 0
        self._limit = limit
        self._log: deque[tuple[float, int]] = deque()
        self._used = 0

    def admit(self, amount: int, now_s: float) -> bool:
        """Take ``amount``, or return ``False`` when it is not there."""
        self._forget(now_s)
        if not self.is_open and self._used + amount > self._limit:
            self.refused += 1
            return False
        self.charge(amount, now_s)
        return True

    def charge(self, amount: int, now_s: float) -> None:
        """Take ``amount``, whether it is there or not."""
        self._forget(now_s)
        if amount:
            self._log.append((now_s, amount))
            self._used += amount
            self.spent += amount
            self.most = max(self.most, self._used)

    def _forget(self, now_s: float) -> None:
        while self._log and self._log[0][0] <= now_s - _MINUTE_S:
            self._used -= self._log.popleft()[1]


class IpLimits:
    """What each IP may ask for: weight of requests, new sockets, and messages over them."""

    def __init__(self, *, is_open: bool = False) -> None:
        self._is_open = is_open
        self._windows: dict[tuple[str, int], MinuteWeight] = {}
        self.asked: Counter[str] = Counter()
        """How often each kind of ``/info`` was answered."""

    def weight(self, ip: str | None) -> MinuteWeight:
        """Return the weight of ``ip``."""
        return self._window(ip, WEIGHT_PER_MINUTE)

    def sockets(self, ip: str | None) -> MinuteWeight:
        """Return the new sockets of ``ip``."""
        return self._window(ip, SOCKETS_PER_MINUTE)

    def messages(self, ip: str | None) -> MinuteWeight:
        """Return the messages of ``ip`` over its sockets."""
        return self._window(ip, MESSAGES_PER_MINUTE)

    def _window(self, ip: str | None, limit: int) -> MinuteWeight:
        key = ip or "", limit
        if key not in self._windows:
            self._windows[key] = MinuteWeight(limit, is_open=self._is_open)
        return self._windows[key]

    @property
    def is_open(self) -> bool:
        """Whether all is counted and nothing limited."""
        return self._is_open

    @is_open.setter
    def is_open(self, is_open: bool) -> None:
        self._is_open = is_open
        for window in self._windows.values():
            window.is_open = is_open

    def begin(self) -> None:
        """Count what ``row`` tells anew, without forgetting the last 60 seconds."""
        self.asked.clear()
        for window in self._windows.values():
            window.most = window.refused = window.spent = 0

    def row(self) -> Json:
        """Return what was counted: of weight all that was ``spent``, and the ``most`` of one IP in any 60 seconds."""
        windows = self._windows
        weights = [window for (_, limit), window in windows.items() if limit == WEIGHT_PER_MINUTE]
        return {
            "counted": not self._is_open,
            "spent": sum(window.spent for window in weights),
            "most": max((window.most for window in weights), default=0),
            "refused": sum(window.refused for window in windows.values()),
            "asked": dict(self.asked),
        }


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
