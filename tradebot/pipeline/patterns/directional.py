"""Wilder's directional movement: ADX, +DI and -DI, equal to TA-Lib's."""

from tradebot.pipeline.patterns.arrays import Floats, floats

# The length, bars seen up to twice that, the last bar, smoothed movements and range, and the ADX, at first the sum.
LENGTH, SEEN, LAST_HIGH, LAST_LOW, LAST_CLOSE, PLUS, MINUS, RANGE, ADX = 0, 1, 2, 3, 4, 5, 6, 7, 8


def new_adx(n: int) -> Floats:
    """Return the state before the first bar. Raises ``ValueError`` unless ``n`` >= 2."""
    if n < 2:
        raise ValueError(f"the length of an ADX is {n}, but must be at least 2")
    return floats(n, zeros=8)


def step_adx(adx: Floats, out: Floats, ts: int, o: float, h: float, lo: float, c: float, v: float) -> int:
    """Give ADX, +DI and -DI, 0 to 100, from bar 2n - 1 on; +DI and -DI are 0 where the range is."""
    n = adx[LENGTH]
    seen = adx[SEEN]
    if seen < 2.0 * n:
        adx[SEEN] = seen + 1.0
    if seen > 0.0:
        move(adx, seen >= n, h, lo)
    adx[LAST_HIGH] = h
    adx[LAST_LOW] = lo
    adx[LAST_CLOSE] = c
    if seen < n:
        return 0
    out[1] = out[2] = 0.0
    if adx[RANGE] > 0.0:
        out[1] = 100.0 * (adx[PLUS] / adx[RANGE])
        out[2] = 100.0 * (adx[MINUS] / adx[RANGE])
    both = out[1] + out[2]
    if both > 0.0:
        index = 100.0 * (abs(out[1] - out[2]) / both)
        if seen >= 2.0 * n:
            adx[ADX] = (adx[ADX] * (n - 1.0) + index) / n
        else:
            adx[ADX] += index
    if seen < 2.0 * n - 1.0:
        return 0
    if seen == 2.0 * n - 1.0:
        adx[ADX] = adx[ADX] / n
    out[0] = adx[ADX]
    return 1


def move(adx: Floats, is_smoothed: int, h: float, lo: float) -> None:
    """Add the directional movements and the true range of a bar to the sums, which lose an n-th when smoothed."""
    n = adx[LENGTH]
    if is_smoothed:
        adx[PLUS] -= adx[PLUS] / n
        adx[MINUS] -= adx[MINUS] / n
        adx[RANGE] -= adx[RANGE] / n
    up = h - adx[LAST_HIGH]
    down = adx[LAST_LOW] - lo
    if down > 0.0 and up < down:
        adx[MINUS] += down
    elif up > 0.0 and up > down:
        adx[PLUS] += up
    reach = h - lo
    if abs(h - adx[LAST_CLOSE]) > reach:
        reach = abs(h - adx[LAST_CLOSE])
    if abs(lo - adx[LAST_CLOSE]) > reach:
        reach = abs(lo - adx[LAST_CLOSE])
    adx[RANGE] += reach
