"""How long to wait before something is tried again."""

from hashlib import blake2b


class Backoff:
    """Waiting times that double up to a cap, each between half and all of it by chance from ``seed``."""

    __slots__ = ("_base_s", "_cap_s", "_drawn", "_seed")

    def __init__(self, base_s: float, cap_s: float, seed: int) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._seed = seed
        self._drawn = 0

    def delay_s(self, attempt: int) -> float:
        """Return how long to wait after failure number ``attempt``, from 1."""
        self._drawn += 1
        drawn = blake2b(f"{self._seed}:{self._drawn}".encode(), digest_size=6).digest()
        share = int.from_bytes(drawn, "big") / (1 << 48)
        # Beyond 2**40 the cap has long been met, and the power would only grow.
        longest = min(self._cap_s, self._base_s * float(1 << min(attempt - 1, 40)))
        return longest * (0.5 + 0.5 * share)
