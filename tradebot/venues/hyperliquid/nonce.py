"""Nonces of one signer: milliseconds where the clock allows, never the same twice, never back."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class NonceState:
    """The last nonce given out."""

    last: int


class Nonces:
    """Gives out nonces. The last one is journaled with each intent, and survives restarts and clocks set back."""

    STATE: ClassVar[type[NonceState]] = NonceState
    __slots__ = ("_last",)

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self, now_ms: int) -> int:
        """Return a nonce above all before it: ``now_ms`` unless that is too low."""
        self._last = max(self._last + 1, now_ms)
        return self._last

    def seen(self, nonce: int) -> None:
        """Take note of a nonce found in the journal."""
        self._last = max(self._last, nonce)

    def save(self) -> NonceState:
        """Return the last nonce."""
        return NonceState(self._last)

    def load(self, state: NonceState) -> None:
        """Go on after the last nonce of ``state``."""
        self._last = state.last
