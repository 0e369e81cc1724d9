"""Ending all that an account has without a daemon: the key, the account and the venue's word, nothing else.

No journal, no configuration, no book. Whatever another process of this key may still do, this stays safe: what
closes is reduce-only, a cancel names one order, and both are asked for again until a look shows nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TypeVar

from tradebot.model.errors import NotPermitted, VenueError
from tradebot.model.money import plain
from tradebot.model.time import to_ms
from tradebot.ports import Clock
from tradebot.report.flatness import FlatFacts
from tradebot.runtime.live.connect import Link, Links, master_of
from tradebot.runtime.live.flatness import described, resting_fact
from tradebot.venues.hyperliquid.cloid import TAG_BYTES, Cloids
from tradebot.venues.hyperliquid.gateway import Gateway
from tradebot.venues.hyperliquid.keys import SigningKey
from tradebot.venues.hyperliquid.sign import ActionSigner
from tradebot.venues.hyperliquid.submit import Intent, Rules, Settled
from tradebot.venues.hyperliquid.survey import Survey
from tradebot.venues.hyperliquid.sweep import Remains, Sweep
from tradebot.venues.resilience import Policy

T = TypeVar("T")

_SOONEST_S, _LATEST_S = 0.25, 5.0
_KEY_MEND = "approve the key's address as an API wallet of the account, or close on the venue's own page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which account, where. ``account`` ``None``: the key's own, or its master's. ``slippage`` is a fraction."""

    network: str
    url: str
    account: str | None
    slippage: Decimal


@dataclass(slots=True)
class Progress:
    """What was there at first, and what is left by the last look; ``why`` it does not go on."""

    first: Remains | None = None
    left: FlatFacts = field(default_factory=lambda: FlatFacts(is_flat=False, stuck="the venue has not answered yet"))

    @property
    def found(self) -> str:
        """What was there at first, in words."""
        if self.first is None:
            return "nothing: the venue did not answer"
        held = [f"{plain(qty)} {symbol}" for symbol, qty in sorted(self.first.positions.items())]
        count = len(self.first.orders)
        return f"positions {', '.join(held) or 'none'}; {count} resting orders"


async def end_all(
    target: Target,
    key: SigningKey,
    clock: Clock,
    timeout_s: float,
    progress: Progress,
    admit: Callable[[str], None],
    tell: Callable[[Progress], None],
) -> None:
    """Cancel and close until the venue says flat, or for ``timeout_s``; ``progress.left`` says which.

    ``admit`` hears whose account it is before anything is done, and may raise; ``tell`` hears of each look. Raises
    ``NotPermitted`` when the venue lets the key do nothing.
    """
    links = Links(clock, Policy())
    try:
        async with asyncio.timeout(timeout_s):
            gateway, sweep = await _open(links.to(target.url), target, key, clock, progress, admit)
            await _sweep_until_flat(gateway, sweep, progress, tell)
    except TimeoutError:
        pass
    finally:
        await links.close()


async def _open(
    link: Link, target: Target, key: SigningKey, clock: Clock, progress: Progress, admit: Callable[[str], None]
) -> tuple[Gateway, Sweep]:
    """Learn whose account it is, and the venue's time: nonces and expiries are by it, not by this machine."""
    address = target.account
    if address is None:
        address = await _until(partial(master_of, link, key), progress)
    admit(address)
    signer = ActionSigner(key, is_mainnet=target.network == "mainnet")
    gateway = Gateway(link.rest, signer, address, clock, _unrecorded, Rules())
    await _until(partial(gateway.learn_time, is_trusted=True), progress)
    # Whose an order is plays no part here.
    survey = Survey(gateway, Cloids(bytes(TAG_BYTES), b"", ()))
    return gateway, Sweep(link.rest, gateway, survey, target.slippage)


async def _until(ask: Callable[[], Coroutine[object, object, T]], progress: Progress) -> T:
    while True:
        try:
            return await ask()
        except VenueError as error:
            progress.left = replace(progress.left, stuck=str(error))
            await asyncio.sleep(_SOONEST_S)


async def _sweep_until_flat(
    gateway: Gateway, sweep: Sweep, progress: Progress, tell: Callable[[Progress], None]
) -> None:
    began_ms, pause = sweep.now_ms(), 0.0
    while True:
        before = progress.left
        await _look(sweep, began_ms, progress)
        tell(progress)
        if progress.left.is_flat:
            return
        if gateway.shut:
            raise NotPermitted(f"the venue does not let this key trade: {gateway.shut}", mend=_KEY_MEND)
        is_same = (before.positions, before.orders) == (progress.left.positions, progress.left.orders)
        pause = min(max(2 * pause, _SOONEST_S), _LATEST_S) if is_same else _SOONEST_S
        await asyncio.sleep(pause)


async def _look(sweep: Sweep, began_ms: int, progress: Progress) -> None:
    try:
        seen = await sweep.look()
    except VenueError as error:
        progress.left = replace(progress.left, stuck=str(error))
        return
    if progress.first is None:
        progress.first = seen
    orders = [replace(resting_fact(found), own=True) for found in seen.orders]
    is_fresh = seen.ts_event is not None and to_ms(seen.ts_event) >= began_ms
    is_gone = not seen.positions and not orders
    progress.left = FlatFacts(is_flat=is_gone and is_fresh, positions=seen.positions, orders=orders)
    # What is reduce-only may be what protects a position: it stays until that is closed.
    due = [found for found in seen.orders if not (found.order.reduce_only and found.order.symbol in seen.positions)]
    kept = await sweep.cancel(due) if due else {}
    refused = {described(found): kept[found.order.oid] for found in due if found.order.oid in kept}
    refused |= await sweep.close(seen.positions) if seen.positions else {}
    stuck = "; ".join(f"{what}: {why}" for what, why in sorted(refused.items()))
    progress.left = replace(progress.left, stuck=stuck)


async def _unrecorded(_entry: Intent | Settled) -> None:
    """Nothing that is sent here needs a record: all of it may be done twice."""
