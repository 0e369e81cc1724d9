"""Ending all that an account has without a daemon: the key, the account and the venue's word, nothing else.

No journal, no configuration, no book. Whatever another process of this key may still do, this stays safe: what
closes is reduce-only, a cancel names one order, and both are asked for again until a look shows nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from tradebot.backoff import Backoff
from tradebot.live.flatness import described, resting_fact
from tradebot.model.errors import NotPermitted, VenueError
from tradebot.model.money import plain
from tradebot.model.time import to_ms
from tradebot.model.venue import Remains
from tradebot.ports import KeyAlone, Sweep
from tradebot.report.flatness import FlatFacts

T = TypeVar("T")

_SOONEST_S = 0.25
_PAUSES = Backoff(_SOONEST_S, 5.0)
_KEY_MEND = "approve the key's address as an API wallet of the account, or close on the venue's own page"


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
    venue: KeyAlone,
    timeout_s: float,
    progress: Progress,
    admit: Callable[[str], None],
    tell: Callable[[Progress], None],
) -> None:
    """Cancel and close until the venue says flat, or for ``timeout_s``; ``progress.left`` says which.

    ``admit`` hears whose account it is before anything is done, and may raise; ``tell`` hears of each look. Raises
    ``NotPermitted`` when the venue lets the key do nothing.
    """
    try:
        async with asyncio.timeout(timeout_s):
            account = await _until(venue.whose, progress)
            admit(account)
            await _until(partial(venue.open, account), progress)
            await _sweep_until_flat(venue, progress, tell)
    except TimeoutError:
        pass
    finally:
        await venue.close()


async def _until(ask: Callable[[], Coroutine[object, object, T]], progress: Progress) -> T:
    while True:
        try:
            return await ask()
        except VenueError as error:
            progress.left = replace(progress.left, stuck=str(error))
            await asyncio.sleep(_SOONEST_S)


async def _sweep_until_flat(venue: KeyAlone, progress: Progress, tell: Callable[[Progress], None]) -> None:
    sweep = venue.sweep
    began_ms, alike = sweep.now_ms(), 0
    while True:
        before = progress.left
        await _look(sweep, began_ms, progress)
        tell(progress)
        if progress.left.is_flat:
            return
        if venue.forbidden:
            raise NotPermitted(f"the venue does not let this key trade: {venue.forbidden}", mend=_KEY_MEND)
        is_same = (before.positions, before.orders) == (progress.left.positions, progress.left.orders)
        alike = alike + 1 if is_same else 1
        await asyncio.sleep(_PAUSES.delay_s(alike))


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
