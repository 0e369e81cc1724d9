"""Replies and frames of the venue, changed by chance: they read, or are a named error, and nothing else comes out."""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import pytest

from tests.hyperliquid.test_hyperliquid_translate import FRAMES, INFO
from tests.mutation.mutants import Mangler
from tradebot.model.errors import Unreadable
from tradebot.venues.hyperliquid import translate
from tradebot.venues.hyperliquid.account import is_unified
from tradebot.venues.hyperliquid.market import assets
from tradebot.venues.hyperliquid.reading import Node, parse
from tradebot.venues.hyperliquid.stream import _echoed
from tradebot.venues.hyperliquid.transfers import transfers

SEED = int(os.environ.get("TRADEBOT_SOAK_SEED", "1"))
MINUTES = float(os.environ.get("TRADEBOT_SOAK_MINUTES", "2"))
USER, OTHER = "0x" + "ab" * 20, "0x" + "cd" * 20
_AT = 1_681_222_254_710
MOVES = (
    {"type": "deposit", "usdc": "5.0"},
    {"type": "withdraw", "usdc": "5.0", "fee": "1.0", "nonce": 1},
    {"type": "internalTransfer", "usdc": "5.0", "fee": "1.0", "user": USER, "destination": OTHER},
    {"type": "subAccountTransfer", "usdc": "5.0", "user": OTHER, "destination": USER},
    {"type": "accountClassTransfer", "usdc": "5.0", "toPerp": True},
    {"type": "spotTransfer", "token": "USDC", "amount": "5.0", "fee": "1.0", "user": USER, "destination": OTHER},
    {
        "type": "send",
        "token": "USDC",
        "amount": "5.0",
        "fee": "0",
        "user": USER,
        "destination": OTHER,
        "sourceDex": "spot",
        "destinationDex": "",
    },
    {"type": "vaultWithdraw", "netWithdrawnUsd": "5.0"},
)
LEDGER = [{"time": _AT, "hash": f"0x{number}", "delta": delta} for number, delta in enumerate(MOVES)]
REPLIES: Mapping[str, tuple[Callable[[Node], object], object]] = {
    **INFO,
    "meta": (assets, {"universe": [{"szDecimals": 5, "name": "BTC", "maxLeverage": 40}]}),
    "userAbstraction": (is_unified, "unifiedAccount"),
    "ledger": (partial(transfers, account=USER, is_unified=False), LEDGER),
    "ledger of a unified account": (partial(transfers, account=USER, is_unified=True), LEDGER),
}
COMPLAINT = 'Invalid subscription: {"type":"candle","coin":"BTC","interval":"1m"}'


class Readers:
    """Lets every parser read what chance made of a true body; ``wrong`` is what else came out of one."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._mangler = Mangler(self._chance)
        for _, body in REPLIES.values():
            self._mangler.hear(body)
        self.wrong: list[str] = []
        self.read: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def kinds(self) -> int:
        """How many kinds of changes were tried."""
        return len(self._mangler.kinds)

    def go(self, count: int) -> None:
        """Let so many bodies be read."""
        for _ in range(count):
            if self._chance.random() < 0.6:
                name = self._chance.choice(list(REPLIES))
                reader, body = REPLIES[name]
                self._try(name, reader, self._mangler.mangled(body))
            else:
                name = self._chance.choice(list(FRAMES))
                frame = self._mangler.mangled({"channel": name, "data": FRAMES[name]})
                self._try(f"frame {name}", None, frame)

    def _try(self, name: str, reader: Callable[[Node], object] | None, body: object) -> None:
        text = json.dumps(body).encode()
        try:
            if reader is None:
                translate.frame(text)
            else:
                reader(parse(text))
        except Unreadable as error:
            self.refused[name] += 1
            if len(str(error)) > 2_000:
                self.wrong.append(f"{name}: an error of {len(str(error))} characters")
        except Exception as error:
            self.wrong.append(f"{name}: {error!r} of {text[:500]!r}")
        else:
            self.read[name] += 1


def test_no_parser_raises_anything_but_that_it_cannot_read() -> None:
    readers = Readers(SEED)
    readers.go(6_000)
    assert readers.wrong == []
    assert readers.kinds > 300
    # Lies are read too: a search that only breaks types would prove little.
    assert min(readers.read.values()) > 0


def test_a_complaint_of_the_socket_is_read_whatever_it_quotes() -> None:
    chance = random.Random(SEED)
    mangler = Mangler(chance)
    for _ in range(500):
        body = json.dumps(mangler.mangled({"type": "candle", "coin": "BTC", "interval": "1m"}))
        assert isinstance(_echoed(f"Invalid subscription: {body}"), str)
    assert _echoed(COMPLAINT) == "candle:BTC:1m"


@pytest.mark.parametrize(
    "text", [b"[" * 5_000, b"[" * 2_000 + b"]" * 2_000, b'{"channel":' * 3_000, b"1e400", b'"\\ud800"']
)
def test_what_is_nested_too_deeply_or_is_no_text_is_a_named_error(text: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(text).at("channel")


@pytest.mark.soak
def test_no_parser_raises_for_long() -> None:
    until, seed, messages, kinds = time.monotonic() + 60 * MINUTES, SEED, 0, 0
    while time.monotonic() < until:
        readers = Readers(seed)
        readers.go(20_000)
        assert readers.wrong == [], seed
        seed, messages, kinds = seed + 1, messages + 20_000, max(kinds, readers.kinds)
    print(f"\nparsers: {messages} messages, {kinds} kinds of changes, {seed - SEED} seeds, 0 other errors")
