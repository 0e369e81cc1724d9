"""An account reached by its key and nothing else: no journal, no configuration, no book."""

from dataclasses import replace

from tradebot.model.errors import InvariantError, NotPermitted
from tradebot.model.venue import Intent, Settled
from tradebot.ports import Clock
from tradebot.venues.hyperliquid.access import master_of
from tradebot.venues.hyperliquid.cloid import TAG_BYTES, Cloids
from tradebot.venues.hyperliquid.config import AccountConfig
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.link import Links, Share
from tradebot.venues.hyperliquid.sign import Action, ActionSigner, Signature
from tradebot.venues.hyperliquid.survey import HyperliquidSurvey
from tradebot.venues.hyperliquid.sweep import HyperliquidSweep
from tradebot.venues.hyperliquid.venue import CAPABILITIES
from tradebot.venues.resilience import Policy, Tell
from tradebot.venues.submit import Rules

_UNCOUNTED = 10**9
_NEVER_RESTS = {"limit": {"tif": "Ioc"}}


class EndingSigner(ActionSigner):
    """Signs what takes risk away, and nothing else, whatever the key may do."""

    def sign(
        self, action: Action, nonce: int, *, expires_after: int | None = None, vault: str | None = None
    ) -> Signature:
        """Return the signature of a cancel or a reduce-only order. Raises ``NotPermitted`` for all else."""
        if vault is not None:
            raise NotPermitted("nothing is signed here for a vault")
        if not _only_ends(action):
            raise NotPermitted(f"only what ends risk is signed here, not {action.get('type')!r}")
        return super().sign(action, nonce, expires_after=expires_after, vault=vault)


def _only_ends(action: Action) -> bool:
    # A key more, such as a builder's fee, is no part of what is meant here.
    match action:
        case {"type": "cancel", "cancels": [_, *_], **more} | {"type": "cancelByCloid", "cancels": [_, *_], **more}:
            return not more
        case {"type": "order", "grouping": "na", "orders": [_, *_] as orders, **more}:
            return not more and all(map(_only_reduces, orders))
        case _:
            return False


def _only_reduces(order: object) -> bool:
    return isinstance(order, dict) and order.get("r") is True and order.get("t") == _NEVER_RESTS


class HyperliquidKeyAlone:
    """Reaches the account of ``config``. Raises ``NotPermitted`` for a key that cannot be used."""

    def __init__(self, config: AccountConfig, clock: Clock, share: Share, tell: Tell) -> None:
        self._config, self._clock = config, clock
        self._key = config.key.read()
        self.signer = self._key.address
        """Whose key it is."""
        # What this machine sent before, by our count, keeps nothing from being ended: the venue's own refusal may.
        self._links = Links(clock, replace(Policy(), weight_per_minute=_UNCOUNTED), share, tell)
        self._gateway: Gateway | None = None

    @property
    def sweep(self) -> HyperliquidSweep:
        """Ends what the account has."""
        gateway, link = self._opened, self._links.to(self._config.url)
        # Whose an order is plays no part here.
        survey = HyperliquidSurvey(gateway, Cloids(bytes(TAG_BYTES), b"", ()))
        return HyperliquidSweep(link.rest, gateway, survey, self._config.trading.slippage)

    @property
    def forbidden(self) -> str:
        """Why the venue lets the key do nothing; empty while it may."""
        return self._opened.shut

    @property
    def _opened(self) -> Gateway:
        if self._gateway is None:
            raise InvariantError("an account is used before it was opened")
        return self._gateway

    async def whose(self) -> str:
        """Return the account that the key signs for. Raises ``NotPermitted`` for a key that the venue does not know."""
        return self._config.account or await master_of(self._links.to(self._config.url).rest, self._key.address)

    async def open(self, account: str) -> None:
        """Learn the venue's time: nonces and expiries are by it, not by this machine."""
        link = self._links.to(self._config.url)
        signer = EndingSigner(self._key, is_mainnet=self._config.network == "mainnet")
        gateway = Gateway(link.rest, signer, account, self._clock, _unrecorded, Rules.of(CAPABILITIES))
        await gateway.learn_time(is_trusted=True)
        self._gateway = gateway

    async def close(self) -> None:
        """Close all connections."""
        await self._links.close()


async def _unrecorded(_entry: Intent | Settled) -> None:
    """Nothing that is sent here needs a record: all of it may be done twice."""
