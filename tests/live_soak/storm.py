"""Faults and kills at random moments, from one seed, and when the bot could not have acted because of them."""

import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from tests.live_soak.bot import Bot, Exchange, now_ms

# Name, settings, for how long, and whether orders cannot get through meanwhile.
LASTING: tuple[tuple[str, dict[str, Any], float, bool], ...] = (
    ("lost", {"probability": 0.5}, 3.0, True),
    ("timeout", {"probability": 0.4, "value": 6}, 3.0, True),
    ("drop_reply", {"probability": 0.5}, 3.0, True),
    ("error_500", {"probability": 0.5}, 3.0, True),
    ("error_502", {"probability": 0.5}, 3.0, True),
    ("rate_limit", {}, 2.0, True),
    ("partial_batch", {"count": 2}, 5.0, False),
    ("half_open", {}, 4.0, False),
    ("frozen_feed", {}, 3.0, False),
    ("duplicate", {}, 4.0, False),
    ("reorder", {}, 4.0, False),
    ("replica_lag", {"value": 1}, 5.0, False),
    ("maintenance", {"value": 2}, 2.0, True),
)
AT_ONCE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("drop", {}),
    ("manual_cancel", {"coin": "BTC"}),
    ("manual_cancel", {"coin": "ETH"}),
)
# A venue that has just come back takes post-only orders alone for so long.
_POST_ONLY_S = 5.0
_PAUSE_S = (0.3, 2.0)
_KILLS_AMONG = 6


@dataclass
class Storm:
    """One seed's troubles. ``troubles`` tells them with their time; ``shut`` when orders could not get through."""

    exchange: Exchange
    bot: Bot
    seed: int
    troubles: list[tuple[int, str]] = field(default_factory=list)
    shut: list[tuple[int, int]] = field(default_factory=list)
    meddled_ms: list[int] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    kills: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def blow(self, seconds: float) -> None:
        """Do harm for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self._chance.uniform(*_PAUSE_S))  # real time: between two troubles the bot lives
            self._revive()
            if self._chance.randrange(_KILLS_AMONG) == 0:
                self._kill()
            elif self._chance.random() < 0.7:
                self._last()
            else:
                self._strike()

    def end(self, timeout_s: float) -> bool:
        """Let it end; return whether the bot is up then."""
        self.exchange.admin("clear")
        self._revive()
        return self.bot.wait_ready(timeout_s)

    def _tell(self, what: str) -> int:
        at = now_ms()
        self.troubles.append((at, what))
        return at

    def _kill(self) -> None:
        # Also in the middle of a boot: that is when most is settled.
        if self._chance.random() < 0.7:
            self.bot.wait_ready(self._chance.uniform(0.1, 8))
        is_kill = self._chance.random() < 0.8 or not self.bot.wait_ready(0.01)
        number = signal.SIGKILL if is_kill else signal.SIGTERM
        if not self.bot.is_alive:
            return
        self._tell(number.name)
        code = self.bot.kill(number)
        self.kills += 1
        if code not in (0, -signal.SIGKILL):
            self.deaths.append(f"{self.troubles[-1][0]} exit {code} after {number.name}: {self.bot.errors[-2000:]}")
        self.bot.start()

    def _revive(self) -> None:
        if not self.bot.is_alive:
            code = self.bot.ended()
            at = self._tell(f"died with {code}")
            self.deaths.append(f"{at} exit {code}: {self.bot.errors[-2000:]}")
            self.bot.start()

    def _last(self) -> None:
        name, settings, lasts, shuts = self._chance.choice(LASTING)
        seconds = self._chance.uniform(0.3, 1.0) * lasts
        at = self._tell(f"{name} {settings} for {seconds:.1f} s")
        body = settings if name == "maintenance" else settings | {"for": seconds}
        self.exchange.admin("fault", name=name, **body)
        if shuts:
            after = settings.get("value", 0.0) if name == "timeout" else 0.0
            lasts_s = settings["value"] + _POST_ONLY_S if name == "maintenance" else seconds + after
            self.shut.append((at, at + int(1000 * lasts_s)))

    def _strike(self) -> None:
        name, settings = self._chance.choice(AT_ONCE)
        at = self._tell(f"{name} {settings}")
        self.exchange.admin("fault", name=name, **settings)
        if name == "manual_cancel":
            self.meddled_ms.append(at)
