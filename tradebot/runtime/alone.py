"""An account by its key alone; no more is imported here than what that takes, for it may be urgent."""

from decimal import Decimal
from pathlib import Path

from tradebot.log import log
from tradebot.model.logevent import LogEvent
from tradebot.ports import Clock, KeyAlone
from tradebot.store.sent_log import SharedLog
from tradebot.venues.hyperliquid.config import AccountConfig, TradingRules
from tradebot.venues.hyperliquid.key_alone import HyperliquidKeyAlone


def key_alone(network: str, url: str, account: str | None, key_file: Path, slippage: Decimal, clock: Clock) -> KeyAlone:
    """Return the account as its key alone reaches it. Raises ``NotPermitted`` for a key file that cannot be used."""
    config = AccountConfig(
        network=network, url=url, account=account, key_file=key_file, trading=TradingRules(slippage=slippage)
    )
    return HyperliquidKeyAlone(config, clock, shared_log, log)


def shared_log(place: str, span_s: float) -> SharedLog:
    """Return what this machine sent to ``place``, by whatever daemon or command."""
    return SharedLog(place, span_s, lambda why: log(LogEvent.BUDGET_UNSHARED, level="warning", reason=why))
