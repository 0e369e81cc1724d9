"""What an account was a while ago: the answers of a replica that lags."""

from collections import deque
from typing import NamedTuple

from tradebot.devnet.account import UserAccount
from tradebot.devnet.wire import Json

_KEPT = 1_000
_KEPT_MS = 120_000


class AccountView(NamedTuple):
    """An account after a change: its ``clearinghouseState`` and its open orders in full, newest first."""

    at_ms: int
    state: Json
    orders: list[Json]


class PastViews:
    """The views of all accounts, for as long as any replica lags."""

    def __init__(self) -> None:
        self._views: dict[str, deque[AccountView]] = {}

    def remember(self, account: UserAccount, now_ms: int) -> None:
        """Keep what ``account`` is now."""
        views = self._views.setdefault(account.user, deque(maxlen=_KEPT))
        while len(views) > 1 and views[1].at_ms < now_ms - _KEPT_MS:
            views.popleft()
        orders = [order.full_row() for order in reversed(account.open.values())]
        views.append(AccountView(now_ms, account.clearinghouse_state(now_ms), orders))

    def at(self, user: str, ms: int) -> AccountView | None:
        """Return the view of ``ms``: the last one then, the oldest there is, or ``None`` when there is none."""
        views = self._views.get(user, ())
        return next((view for view in reversed(views) if view.at_ms <= ms), views[0] if views else None)
