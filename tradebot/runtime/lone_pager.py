"""Paging from a process that has no loop and no journal: each alert is posted by a thread of its own."""

import asyncio
from threading import Thread

from tradebot.model.command import AlertName
from tradebot.ports import Clock
from tradebot.runtime.alerts import Sender
from tradebot.runtime.webhook import Delivery, Queued, Webhook

# Nobody waits for it: it may be tried for as long as the daemon's are.
_DELIVERY = Delivery(end_s=120.0, base_s=2.0)


class LonePager:
    """Posts to ``url``; ``None``: there is nobody to page. What it does never delays who pages."""

    def __init__(self, url: str | None, sender: Sender, clock: Clock) -> None:
        self._url, self._sender, self._clock = url, sender, clock

    def page(self, name: AlertName, what: str, mend: str) -> Thread | None:
        """Post an alert; return the thread that does."""
        if self._url is None:
            return None
        queued = Queued(name, "", self._sender.body(name, what, mend, "", self._clock), 0, 0.0, (name, "", what))
        thread = Thread(target=lambda: asyncio.run(self._post(queued)), name="page", daemon=True)
        thread.start()
        return thread

    async def _post(self, queued: Queued) -> None:
        webhook = Webhook(self._url, _no_row, self._clock, _DELIVERY, asyncio.sleep, lambda _: None)
        webhook.post(queued)
        await webhook.finish()


async def _no_row(_seq: int) -> None:
    """There is no journal, and so no row to wait for."""
