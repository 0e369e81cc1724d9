"""Leverage and margin mode of each symbol: set once before its first entry, and again when somebody changed them."""

from tradebot.model.errors import Rejected
from tradebot.model.venue import LeverageChoice, Verdict
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.wire import Asset, leverage_action


class Leverage:
    """Keeps what is entered at ``leverage``, or the most that its symbol allows, and at its margin mode."""

    def __init__(self, gateway: Gateway, leverage: int, *, is_cross: bool) -> None:
        self._gateway, self._leverage, self._is_cross = gateway, leverage, is_cross
        self._set: dict[str, LeverageChoice] = {}

    def wanted(self, asset: Asset) -> LeverageChoice:
        """Return the leverage and margin mode that ``asset`` is traded with."""
        return LeverageChoice(min(self._leverage, asset.max_leverage), self._is_cross and not asset.only_isolated)

    async def ensure(self, asset: Asset) -> None:
        """Set what is wanted by now, unless that was done. Raises ``Rejected`` when the venue refuses it."""
        wanted = self.wanted(asset)
        if self._set.get(asset.symbol) == wanted:
            return
        reply = await self._gateway.act(leverage_action(asset.id, wanted.leverage, is_cross=wanted.is_cross))
        # A duplicate is an earlier sending of these bytes whose answer was lost.
        if reply.refusal is not None and reply.refusal.verdict is not Verdict.DUPLICATE:
            # What the venue says comes first: it may be that this key may not trade at all.
            raise Rejected(f"{reply.refusal.text} (leverage of {asset.symbol})")
        self._set[asset.symbol] = wanted

    def set_anew(self, symbol: str) -> None:
        """Set leverage and margin mode of ``symbol`` again before its next entry: somebody changed them."""
        self._set.pop(symbol, None)
