"""Ending what an account has at the venue, by the venue's word alone: whoever placed it, in whatever coin.

All of it is safe to repeat: a cancel names the venue's own id, and what closes is reduce-only and never rests. One
that fails keeps no other from being tried.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import ROUND_UP, Decimal

from tradebot.model.errors import VenueError
from tradebot.model.money import Price, plain
from tradebot.model.order import OrderSide
from tradebot.model.venue import LegOutcome, Purpose, Refusal, Remains, RestingOrder, Verdict
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.market import asset_contexts
from tradebot.venues.hyperliquid.rest import RestClient
from tradebot.venues.hyperliquid.survey import HyperliquidSurvey
from tradebot.venues.hyperliquid.wire import Asset, cancel_action, market_bound, order_action

# Spot pairs rest in the same list, the first by its name, the others by their number; their ids begin here.
_SPOT_FIRST_ID = 10_000
_FIRST_PAIR = "PURR/USDC"
_MOST_CANCELS = 100


class HyperliquidSweep:
    """Cancels and closes. ``slippage`` is a fraction of the mark, which is asked for anew before each close."""

    def __init__(self, rest: RestClient, gateway: Gateway, survey: HyperliquidSurvey, slippage: Decimal) -> None:
        self._rest, self._gateway, self._survey, self._slippage = rest, gateway, survey, slippage
        self._assets: Mapping[str, Asset] = {}
        self._marks: Mapping[str, Price] = {}

    async def look(self) -> Remains:
        """Ask what there is. Orders first: one that fills meanwhile is seen as a position, not missed.

        Raises ``VenueError``.
        """
        orders = await self._survey.resting(Purpose.PROTECT)
        account = await self._survey.account(Purpose.PROTECT)
        return Remains(account.held, orders, account.ts_event)

    def now_ms(self) -> int:
        """Return venue time."""
        return self._survey.now_ms()

    async def cancel(self, orders: Sequence[RestingOrder]) -> Mapping[str, str]:
        """Cancel ``orders``; return why, by id, for those that the venue would not. One that is gone is among them."""
        refused: dict[str, str] = {}
        try:
            if any(self._asset_id(found.order.symbol) is None for found in orders):
                await self._learn()
        except VenueError as error:
            refused = {found.order.oid: str(error) for found in orders}
        named = [(self._asset_id(found.order.symbol), found.order.oid) for found in orders]
        refused |= {oid: refused.get(oid, "its market is not known") for asset, oid in named if asset is None}
        rows = [(asset, int(oid)) for asset, oid in named if asset is not None]
        for first in range(0, len(rows), _MOST_CANCELS):
            batch = rows[first : first + _MOST_CANCELS]
            legs = await self._act(cancel_action(batch), len(batch))
            for (_, oid), leg in zip(batch, legs, strict=True):
                refused.pop(str(oid), None)
                if isinstance(leg, Refusal):
                    refused[str(oid)] = leg.text
        return refused

    async def close(self, positions: Mapping[str, Decimal]) -> Mapping[str, str]:
        """Close ``positions`` at the market, all at once; return by symbol why one was not."""
        try:
            await self._learn()
        except VenueError as error:
            return dict.fromkeys(positions, str(error))
        ends = await asyncio.gather(*(self._close(symbol, qty) for symbol, qty in positions.items()))
        return {symbol: why for symbol, why in zip(positions, ends, strict=True) if why}

    async def _close(self, symbol: str, qty: Decimal) -> str:
        asset, mark = self._assets.get(symbol), self._marks.get(symbol)
        if asset is None or mark is None:
            return "its market has no price"
        try:
            action = self._closing(asset, mark, qty)
        except ValueError as error:
            return str(error)
        (leg,) = await self._act(action, 1)
        return leg.text if isinstance(leg, Refusal) else ""

    def _closing(self, asset: Asset, mark: Price, qty: Decimal) -> dict[str, object]:
        side = OrderSide.SELL if qty > 0 else OrderSide.BUY
        # A position may be off a lot that has changed; reduce-only cuts what is asked for too much.
        size = abs(qty).quantize(Decimal(1).scaleb(-asset.size_decimals), rounding=ROUND_UP)
        wire = {
            "a": asset.id,
            "b": side is OrderSide.BUY,
            "p": plain(market_bound(asset, mark, side, self._slippage)),
            "s": plain(asset.size(size)),
            "r": True,
            "t": {"limit": {"tif": "Ioc"}},
        }
        return dict(order_action([wire]))

    async def _act(self, action: Mapping[str, object], legs: int) -> Sequence[LegOutcome]:
        try:
            reply = await self._gateway.act(dict(action), legs)
        except VenueError as error:
            return (Refusal(str(error), Verdict.UNKNOWN),) * legs
        return (reply.refusal,) * legs if reply.refusal is not None else reply.legs

    async def _learn(self) -> None:
        listed, contexts = asset_contexts(await self._rest.info({"type": "metaAndAssetCtxs"}, Purpose.PROTECT))
        self._assets = {asset.symbol: asset for asset in listed}
        self._marks = {one.symbol: one.mark for one in contexts if one is not None}

    def _asset_id(self, symbol: str) -> int | None:
        if symbol == _FIRST_PAIR:
            return _SPOT_FIRST_ID
        if symbol.startswith("@") and symbol[1:].isdigit():
            return _SPOT_FIRST_ID + int(symbol[1:])
        asset = self._assets.get(symbol)
        return None if asset is None else asset.id
