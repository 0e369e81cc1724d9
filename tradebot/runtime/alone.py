"""An account by its key alone; no more is imported here than what that takes, for it may be urgent."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from tradebot.log import log
from tradebot.model.errors import NotPermitted
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock, KeyAlone
from tradebot.runtime.hardening import keep_out_of_dumps
from tradebot.runtime.secret_store import reveal, store_of
from tradebot.store.sent_log import SharedLog
from tradebot.venues.hyperliquid.config import AccountConfig, KeySource, TradingRules
from tradebot.venues.hyperliquid.key_alone import HyperliquidKeyAlone
from tradebot.venues.hyperliquid.keys import SigningKey, key_of, read_key


def key_source(
    key_file: Path | None, key_secret: str | None, secrets: Mapping[str, str], home: Path, clock: Clock
) -> KeySource:
    """Return where the key is: in a file, or by its name in the store that the section ``secrets`` names."""
    if key_file is not None:
        return KeySource(str(key_file), lambda: _from_file(key_file))
    name = key_secret or ""

    def read() -> SigningKey:
        text = reveal(store_of(secrets, home, clock), name)
        try:
            return key_of(text)
        except ValueError:
            what = f"the secret {name!r} is no key of 64 hex digits"
            raise NotPermitted(what, mend=f"tradebot secrets set {name} --kind agent-key") from None

    return KeySource(f"secret {name}", read)


def _from_file(path: Path) -> SigningKey:
    keep_out_of_dumps()
    return read_key(path)


def key_alone(network: str, url: str, account: str | None, key: KeySource, slippage: Decimal, clock: Clock) -> KeyAlone:
    """Return the account as its key alone reaches it. Raises ``NotPermitted`` for a key that cannot be used."""
    config = AccountConfig(network=network, url=url, account=account, key=key, trading=TradingRules(slippage=slippage))
    return HyperliquidKeyAlone(config, clock, shared_log, log)


def shared_log(place: str, span_s: float) -> SharedLog:
    """Return what this machine sent to ``place``, by whatever daemon or command."""
    return SharedLog(place, span_s, lambda why: log(LogEvent.BUDGET_UNSHARED, level="warning", reason=why))
