"""How long to wait before something is tried again: the one place where that is counted."""

from hashlib import blake2b

from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_exponential


class Backoff(wait_exponential):
    """Waits that double from ``first_s`` up to ``longest_s``: for tenacity's ``wait=``, or asked by attempt.

    With a ``seed`` each is between half and all of it, by chance from that seed: many that failed together come back
    apart. Without one it is all of it, for what nobody else waits for.
    """

    def __init__(self, first_s: float, longest_s: float, seed: int | None = None) -> None:
        super().__init__(multiplier=first_s, max=longest_s)
        self._seed = seed
        self._drawn = 0

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the next wait in seconds, as tenacity asks for it."""
        longest = super().__call__(retry_state)
        if self._seed is None:
            return longest
        self._drawn += 1
        drawn = blake2b(f"{self._seed}:{self._drawn}".encode(), digest_size=6).digest()
        return longest * (0.5 + 0.5 * (int.from_bytes(drawn, "big") / (1 << 48)))

    def delay_s(self, attempt: int) -> float:
        """Return how long to wait after failure number ``attempt``, from 1."""
        state = RetryCallState(_UNUSED, None, (), {})
        state.attempt_number = attempt
        return self(state)


# A strategy reads nothing of the state but the number of the attempt.
_UNUSED = AsyncRetrying()
