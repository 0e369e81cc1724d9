"""A live daemon on a devnet whose words are changed on their way: it stays up, boots, and in the end is right."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("coincurve", reason="the extra hyperliquid is not installed")
pytest.importorskip("Crypto", reason="the extra hyperliquid is not installed")

from tests.live_soak.bot import Bot, Exchange
from tests.live_soak.verdict import agreed, ledger
from tests.mutation.proxy import Proxy

SEED = int(os.environ.get("TRADEBOT_SOAK_SEED", "1"))
MINUTES = float(os.environ.get("TRADEBOT_SOAK_MINUTES", "5"))
_HEAL_S = 90.0


class Trial:
    """A bot, its exchange and who lies between them; ``wrong`` is what must not be."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.exchange = Exchange(folder, seed)
        self.proxy = Proxy(self.exchange.url, seed)
        self.bot = Bot(folder, self.proxy.url)
        self._chance = random.Random(seed)
        self.wrong: list[str] = []
        self.exits = self.boots = self.failed_boots = self.resumes = self.flattened = 0

    def run(self, seconds: float, *, kills: bool) -> None:
        """Lie for so long; an operator resumes what halted, and now and then the process is killed."""
        self.bot.start()
        assert self.bot.wait_ready(), self.bot.errors
        self.proxy.is_lying = True
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self._chance.uniform(0.5, 1.5))  # real time: the lies are told meanwhile
            if not self.bot.is_alive:
                self._died()
            elif kills and self._chance.random() < 0.04:
                self._restart()
            elif (self.bot.ask("status") or {}).get("state") == "halted" and self._chance.random() < 0.6:
                self._operate()
        self.proxy.is_lying = False

    def _operate(self) -> None:
        self.resumes += 1
        if self._chance.random() < 0.1:
            self.flattened += 1
            self.bot.ask("halt", "--flatten", "--timeout", "20")
        self.bot.ask("resume")

    def _restart(self) -> None:
        code = self.bot.kill(self._chance.choice((signal.SIGKILL, signal.SIGTERM)))
        if code not in (0, -signal.SIGKILL):
            self._ended(code)
        self.boots += 1
        self.bot.start()
        if not self.bot.wait_ready(60):
            self.failed_boots += 1
            self.wrong.append(f"no boot within 60 s: {self.bot.errors[-1000:]} {self.bot.log[-3:]}")

    def _died(self) -> None:
        self._ended(self.bot.ended())
        self.bot.start()

    def _ended(self, code: int) -> None:
        self.exits += 1
        self.wrong.append(f"ended with {code}: {self.bot.errors[-1500:]}")

    def judge(self) -> None:
        """Let all heal, and compare."""
        assert self.bot.wait_ready(_HEAL_S), self.bot.errors
        # Who halts lets the bot take over what nothing explains; then it may trade on.
        self.bot.ask("halt")
        self.exchange.admin("freeze")
        # A price or a fee that was told falsely and is not absurd stays booked; the difference of cash is paged.
        self.wrong += [one for one in agreed(self.bot, self.exchange, _HEAL_S) if not one.startswith("cash")]
        truth = self.exchange.truth()
        self.wrong += [f"{cloid} was placed {len(oids)} times" for cloid, oids in truth["repeated"].items()]
        code = self.bot.kill(signal.SIGTERM)
        self.wrong += [] if code == 0 else [f"the end was {code}: {self.bot.errors[-1500:]}"]
        booked = Counter(ledger(self.bot).booked)
        self.wrong += [f"{trade} was booked {times} times" for trade, times in booked.items() if times > 1]
        print(self._summary(truth))

    def _summary(self, truth: dict[str, object]) -> str:
        naked = [row["ms"] for row in self.exchange.unprotected() if row.get("ms")]
        events = Counter(str(line.get("event")) for line in self.bot.log)
        changed = sum(self.proxy.changed.values())
        return (
            f"\nseed {self.seed}: {self.proxy.passed} messages, {changed} of them changed in {self.proxy.kinds} kinds"
            f"; {truth['cloids']} orders, {len(truth['fills'])} fills, {self.resumes} resumes"  # type: ignore[arg-type]
            f", {self.flattened} flattened\n"
            f"  exits {self.exits}, boots {self.boots}, failed {self.failed_boots}, doubled orders"
            f" {len(truth['repeated'])}, lines that failed {events['line.failed']}\n"  # type: ignore[arg-type]
            f"  without a full stop {len(naked)} times, longest {max(naked, default=0) / 1000:.1f} s\n"
            f"  {self.proxy.changed.most_common(12)}\n  {events.most_common(25)}"
        )

    def stop(self) -> None:
        """Let nothing run on."""
        if self.bot.is_alive:
            self.bot.kill()
        self.proxy.stop()
        self.exchange.stop()


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    made = Trial(tmp_path, SEED)
    yield made
    made.stop()


@pytest.mark.soak
def test_a_daemon_lives_through_lies(trial: Trial) -> None:
    trial.run(60 * MINUTES, kills=True)
    trial.judge()
    assert trial.wrong == []


def test_a_daemon_lives_through_a_few_lies(trial: Trial) -> None:
    trial.run(6, kills=False)
    trial.judge()
    assert trial.wrong == []
