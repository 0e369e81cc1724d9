"""Paging a human: what must be seen goes to the log at once, and to a webhook when one is configured.

An alert that the line raised leaves only after its own row is durable; one whose row was lost never leaves, for
after the next boot it never was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson

from tradebot.log import log
from tradebot.model.command import Alert, AlertName, StateChanged, TradingState
from tradebot.model.logevent import LogEvent
from tradebot.model.market import Message
from tradebot.model.time import to_ms
from tradebot.ports import Clock, Journal
from tradebot.runtime.logs import redact
from tradebot.runtime.webhook import Delivery, Queued, Webhook

_MOST_REMEMBERED = 1_000
_LONGEST_TEXT = 1_000
_MOST_OF_A_KIND = 20
_HALTED_MEND = "read the reason, mend it, then: tradebot resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who pages: the name of the bot, its mode and its venue."""

    bot: str
    mode: str
    venue: str

    def body(self, name: AlertName, what: str, mend: str, symbol: str, clock: Clock) -> bytes:
        """Return an alert as it is posted."""
        return orjson.dumps(
            {
                "bot": self.bot,
                "alert": name.value,
                "what": what,
                "mend": mend,
                "symbol": symbol,
                "ts": to_ms(clock.now()),
                "mode": self.mode,
                "venue": self.venue,
            }
        )


@dataclass(slots=True)
class _Flood:
    """How many alerts of one name and symbol came since, and how many of them were held back."""

    since: float
    told: int = 0
    held_back: int = 0


class Pager:
    """Raises alerts. ``hear`` listens to the recorded outputs of the line; ``page`` is for what only the runtime sees.

    ``url`` ``None``: alerts are only logged. The same name, symbol and thing it is about do not leave again within
    ``repeat_s``; of one name and symbol a bounded number leaves in that time, the rest is logged and counted in the
    next that leaves. What leaves is posted by ``webhook``, which a task runs.
    """

    def __init__(
        self,
        url: str | None,
        repeat_s: float,
        sender: Sender,
        journal: Journal,
        clock: Clock,
        delivery: Delivery | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._repeat_s, self._sender, self._journal, self._clock = repeat_s, sender, journal, clock
        self._raised: dict[tuple[AlertName, str, str], float] = {}
        self._floods: dict[tuple[AlertName, str], _Flood] = {}
        self.webhook = Webhook(url, journal.committed, clock, delivery or Delivery(), sleep, self._forget)

    def change(self, url: str | None, repeat_s: float) -> None:
        """Post to ``url`` from now on: the configuration was reloaded."""
        self._repeat_s = repeat_s
        self.webhook.change(url)

    def hear(self, message: Message) -> None:
        """Take a recorded output of the line."""
        if isinstance(message, Alert):
            self._raise(message.name, message.what, message.mend, message.symbol, message.about, self._journal.last_seq)
        elif isinstance(message, StateChanged):
            if message.state is TradingState.HALTED:
                what = f"trading is halted: {message.reason}"
                self._raise(AlertName.HALTED, what, _HALTED_MEND, "", what, self._journal.last_seq)
            else:
                # The next halt is another one, however soon it comes.
                self._raised = {key: at for key, at in self._raised.items() if key[0] is not AlertName.HALTED}

    def page(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        """Raise an alert that has no row. Returns at once."""
        self._raise(name, what, mend, symbol, about or (what if name is AlertName.HALTED else ""), 0)

    def _raise(self, name: AlertName, what: str, mend: str, symbol: str, about: str, seq: int) -> None:
        now = self._clock.monotonic()
        # Each thing is paged for itself; trading that is halted may yet end for another reason.
        key = (name, symbol, about)
        raised_at = self._raised.get(key)
        if raised_at is not None and now - raised_at < self._repeat_s:
            return
        suffix = self._count(name, symbol, now)
        what, mend = _told(what) + (suffix or ""), _told(mend)
        log(LogEvent.ALERT_RAISED, level=_level(name), alert=name.value, symbol=symbol, what=what, mend=mend)
        if self.webhook.is_there and suffix is not None:
            self.webhook.post(
                Queued(name, symbol, self._sender.body(name, what, mend, symbol, self._clock), seq, now, key)
            )
        # Behind the post: what it gave up for this one may have been the same alert, and was forgotten.
        self._remember(key, now)

    def _count(self, name: AlertName, symbol: str, now: float) -> str | None:
        """Count an alert; return what it is to say of those held back, or ``None`` when it is one too many itself."""
        flood = self._floods.get((name, symbol))
        if flood is None or now - flood.since >= self._repeat_s:
            held_back = 0 if flood is None else flood.held_back
            flood = self._floods[name, symbol] = _Flood(now)
            flood.told = 1
            return f" (and {held_back} more since the last, in the log)" if held_back else ""
        flood.told += 1
        if flood.told > _MOST_OF_A_KIND:
            flood.held_back += 1
            return None
        return " (further ones are only logged for a while)" if flood.told == _MOST_OF_A_KIND else ""

    def _remember(self, key: tuple[AlertName, str, str], now: float) -> None:
        self._raised.pop(key, None)
        self._raised[key] = now
        if len(self._raised) > _MOST_REMEMBERED:
            del self._raised[next(iter(self._raised))]

    def _forget(self, queued: Queued) -> None:
        # It reached nobody: when it is raised again, it is to be tried again.
        self._raised.pop(queued.key, None)


def _level(name: AlertName) -> str:
    return "warning" if name in (AlertName.CONFIG_DRIFT, AlertName.SECRET_EXPIRES) else "error"


def _told(text: str) -> str:
    return redact(text)[:_LONGEST_TEXT]
