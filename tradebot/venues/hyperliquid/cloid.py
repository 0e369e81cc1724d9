"""128-bit client ids that lead back to their intent without the database.

4 bytes instance tag, 8 bytes that number the intent, 4 bytes keyed MAC over both and our own text id. The
number holds what a client order id is made of: the counter of the signal, the role, which placing of it, and
hashes of strategy and symbol, so that a lost journal still finds its orders. The MAC tells our orders from
all others. The tag is new with each new state directory: a counter that starts anew never names an old order.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

from tradebot.model.errors import InvariantError
from tradebot.model.order import OrderRole
from tradebot.model.venue import OwnOrder

_COUNTER_BITS, _PLACING_BITS, _WORD_BITS, _STRATEGY_BITS, _SYMBOL_BITS = 20, 12, 3, 13, 16
# What the text of an id may end in: the role, or the rung of a ladder of targets.
_RUNG = "rung"
_WORDS = (*(role.value for role in OrderRole), _RUNG)
_TEXT = re.compile(r"(?P<strategy>.+)-(?P<symbol>[^-]+)-(?P<counter>\d+)-(?P<word>[a-z]+?)(?P<placing>\d*)")
TAG_BYTES = 4
_MAC_BYTES = 4


def _short_hash(text: str, bits: int) -> int:
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=4).digest(), "big") & ((1 << bits) - 1)


class Cloids:
    """Turns client order ids into cloids and back. ``key`` must outlive the journal: derive it from the signer."""

    __slots__ = ("_key", "_strategies", "_tag")

    def __init__(self, tag: bytes, key: bytes, strategies: Iterable[str]) -> None:
        if len(tag) != TAG_BYTES:
            raise ValueError(f"an instance tag has {TAG_BYTES} bytes, not {len(tag)}")
        self._tag = tag
        self._key = key
        # The origins of signal ids: the strategies, and the operator.
        self._strategies = tuple(sorted({*strategies, "manual"}))

    def is_of_another(self, cloid: str) -> bool:
        """Return whether another state directory gave ``cloid``, if it is ours at all."""
        return not cloid.startswith(f"0x{self._tag.hex()}")

    def know(self, strategies: Iterable[str]) -> None:
        """Read orders of ``strategies`` too: those that are configured no more may still have some."""
        self._strategies = tuple(sorted({*self._strategies, *strategies}))

    def encode(self, client_order_id: str) -> str:
        """Return the cloid of ``client_order_id``. Raises ``InvariantError`` on one that is not of our making."""
        number = _number(client_order_id)
        if number is None:
            raise InvariantError(f"{client_order_id!r} is no client order id of ours")
        packed = number.to_bytes(8, "big")
        return "0x" + (self._tag + packed + self._mac(self._tag, packed, client_order_id)).hex()

    def decode(self, cloid: str, symbol: str) -> OwnOrder | None:
        """Return whose order on ``symbol`` it is, or ``None`` for a foreign one."""
        raw = bytes.fromhex(cloid.removeprefix("0x"))
        tag, packed, mac = raw[:TAG_BYTES], raw[TAG_BYTES:-_MAC_BYTES], raw[-_MAC_BYTES:]
        for strategy in self._strategies:
            text = _text(int.from_bytes(packed, "big"), strategy, symbol)
            if text is not None and hmac.compare_digest(self._mac(tag, packed, text), mac):
                return OwnOrder(text, tag == self._tag)
        return None

    def _mac(self, tag: bytes, packed: bytes, text: str) -> bytes:
        return hashlib.blake2s(tag + packed + text.encode(), digest_size=_MAC_BYTES, key=self._key).digest()


def account_cloids(tag: bytes, address: str, strategies: Iterable[str]) -> Cloids:
    """Return the ids of orders of a state directory with ``tag`` on the account ``address``."""
    # The key is of the account, not of the signer: a new agent must still know the orders of the last one.
    key = hashlib.blake2s(f"tradebot {address}".encode()).digest()
    return Cloids(tag, key, strategies)


def _number(client_order_id: str) -> int | None:
    match = _TEXT.fullmatch(client_order_id)
    if match is None or match["word"] not in _WORDS:
        return None
    counter, placing = int(match["counter"]), int(match["placing"] or 1)
    if counter >> _COUNTER_BITS or placing >> _PLACING_BITS:
        return None
    number = counter
    number = number << _PLACING_BITS | placing
    number = number << _WORD_BITS | _WORDS.index(match["word"])
    number = number << _STRATEGY_BITS | _short_hash(match["strategy"], _STRATEGY_BITS)
    number = number << _SYMBOL_BITS | _short_hash(match["symbol"], _SYMBOL_BITS)
    # What would not read back to the same text, such as stop1 or stop02, is not of our making.
    return number if _text(number, match["strategy"], match["symbol"]) == client_order_id else None


def _text(number: int, strategy: str, symbol: str) -> str | None:
    number, symbol_hash = number >> _SYMBOL_BITS, number & ((1 << _SYMBOL_BITS) - 1)
    number, strategy_hash = number >> _STRATEGY_BITS, number & ((1 << _STRATEGY_BITS) - 1)
    number, place = number >> _WORD_BITS, number & ((1 << _WORD_BITS) - 1)
    counter, placing = number >> _PLACING_BITS, number & ((1 << _PLACING_BITS) - 1)
    if symbol_hash != _short_hash(symbol, _SYMBOL_BITS) or strategy_hash != _short_hash(strategy, _STRATEGY_BITS):
        return None
    if place >= len(_WORDS):
        return None
    word = _WORDS[place]
    # A ladder has a first rung; a stop is the second only once the first was placed anew.
    return f"{strategy}-{symbol}-{counter}-{word}{'' if placing == 1 and word != _RUNG else placing}"
