"""Wilder's average true range, as a kernel: one bar as floats, the state in a fixed-size array.

``TR[t]`` is the greatest of high - low and the distances of both to the close before. ``ATR[n]`` is the
mean of ``TR[1..n]``, later ``(ATR[t-1] * (n-1) + TR[t]) / n``; before bar ``n`` it is undefined.
"""

from array import array

# Places in the state: the length, the bars seen so far, the last close, and the sum of the first n true
# ranges, later the average itself.
LENGTH, SEEN, LAST_CLOSE, VALUE = 0, 1, 2, 3


def new_state(n: int) -> "array[float]":
    """Return the state before the first bar. Raises ``ValueError`` unless ``n`` >= 1."""
    if n < 1:
        raise ValueError(f"the length of an ATR is {n}, but must be at least 1")
    return array("d", (n, 0, 0, 0))


def step(state: "array[float]", out: "array[float]", o: float, h: float, lo: float, c: float, v: float) -> int:
    """Take in one bar; return 1 with the ATR in ``out[0]``, or 0 while it is undefined.

    The first ranges are added in a loop, oldest first, so that every build of it rounds alike.
    """
    n = state[LENGTH]
    seen = state[SEEN]
    before = state[LAST_CLOSE]
    state[LAST_CLOSE] = c
    if seen <= n:
        state[SEEN] = seen + 1.0
    if seen == 0.0:
        return 0
    reach = h - lo
    up = abs(h - before)
    if up > reach:
        reach = up
    down = abs(lo - before)
    if down > reach:
        reach = down
    if seen > n:
        state[VALUE] = (state[VALUE] * (n - 1.0) + reach) / n
    elif seen < n:
        state[VALUE] += reach
        return 0
    else:
        state[VALUE] = (state[VALUE] + reach) / n
    out[0] = state[VALUE]
    return 1


def run(
    state: "array[float]", out: "array[float]", h: "array[float]", lo: "array[float]", c: "array[float]",
    at: int, until: int,
) -> int:  # fmt: skip
    """Take in the bars from ``at`` on; return what the last ``step`` did."""
    is_defined = 0
    for place in range(at, until):
        is_defined = step(state, out, 0.0, h[place], lo[place], c[place], 0.0)
    return is_defined


def series(
    state: "array[float]", out: "array[float]", h: "array[float]", lo: "array[float]", c: "array[float]",
    found: "array[float]",
) -> None:  # fmt: skip
    """Take in all bars; write the ATR at each into ``found``, which is left as it is where there is none."""
    for place in range(len(found)):
        if step(state, out, 0.0, h[place], lo[place], c[place], 0.0):
            found[place] = out[0]
