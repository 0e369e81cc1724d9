"""When positions stood without a stop for their full size: the exchange's own word, exact to the change."""

from dataclasses import dataclass
from decimal import Decimal

from tradebot.devnet.account import UserAccount
from tradebot.devnet.wire import Json, number
from tradebot.model.money import ZERO


@dataclass(slots=True)
class Exposure:
    """A time in which up to ``naked`` of a coin was held without a stop; ``until_ms`` is ``None`` while it lasts."""

    user: str
    coin: str
    since_ms: int
    naked: Decimal
    until_ms: int | None = None

    def row(self, now_ms: int) -> Json:
        """Return it for a reader."""
        until = now_ms if self.until_ms is None else self.until_ms
        return {
            "user": self.user,
            "coin": self.coin,
            "since": self.since_ms,
            "until": self.until_ms,
            "ms": until - self.since_ms,
            "naked": number(self.naked),
        }


class ProtectionCheck:
    """Looks at accounts whenever they change."""

    def __init__(self) -> None:
        self._ended: list[Exposure] = []
        self._lasting: dict[tuple[str, str], Exposure] = {}

    def note(self, account: UserAccount, now_ms: int) -> None:
        """Take note of what ``account`` holds and what protects it now."""
        for coin in account.coins:
            key = (account.user, coin)
            naked = unprotected(account, coin)
            lasting = self._lasting.get(key)
            if naked and lasting is None:
                self._lasting[key] = Exposure(account.user, coin, now_ms, naked)
            elif naked and lasting is not None:
                lasting.naked = max(lasting.naked, naked)
            elif lasting is not None:
                lasting.until_ms = now_ms
                self._ended.append(self._lasting.pop(key))

    def rows(self, now_ms: int) -> list[Json]:
        """Return all such times, those that last at the end."""
        return [exposure.row(now_ms) for exposure in (*self._ended, *self._lasting.values())]


def unprotected(account: UserAccount, coin: str) -> Decimal:
    """Return how much of a position no live reduce-only stop would close."""
    held = account.position(coin)
    if not held:
        return ZERO
    covered = ZERO
    for order in account.open.values():
        is_stop = order.coin.name == coin and order.awaits_mark and order.spec.tpsl == "sl"
        if is_stop and order.spec.reduce_only and held * order.side.sign < 0:
            covered += abs(held) if order.is_position_wide else order.sz
    return max(ZERO, abs(held) - covered)
