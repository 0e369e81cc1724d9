"""Where the strategies of this package may have something to say: loops over columns of whole bars, compiled.

``at`` is the first place looked at, ``until`` the one behind the last, and the answer where there is none.
"""

from collections.abc import Callable

from tradebot.pipeline.patterns.arrays import Floats, Ints


def next_cross(closes: Ints, fast: int, slow: int, lead: int, at: int, until: int) -> int:
    """Return the first place at which ``lead`` of ``SmaCross``, that of the bar before ``at``, changes its sign."""
    for place in range(at, until):
        before = lead
        lead += _gain(closes, fast, slow, place)
        if lead > 0 >= before or lead < 0 <= before:
            return place
    return until


def lead_after(closes: Ints, fast: int, slow: int, lead: int, at: int, until: int) -> int:
    """Return what ``lead`` of the bar before ``at`` has become behind the last bar."""
    for place in range(at, until):
        lead += _gain(closes, fast, slow, place)
    return lead


def _gain(closes: Ints, fast: int, slow: int, place: int) -> int:
    return (slow - fast) * closes[place] + fast * closes[place - slow] - slow * closes[place - fast]


def next_break(
    highs: Ints, lows: Ints, closes: Ints, tops: Ints, bottoms: Ints,
    length: int, looks_up: int, looks_down: int, at: int, until: int,
) -> int:  # fmt: skip
    """Return the first place whose close is beyond the highs, or the lows, of the ``length`` bars before.

    ``tops`` and ``bottoms`` have room for ``length`` places each: rings of those that may be the extreme of a window,
    that of the whole window first.
    """
    first_top = end_top = first_bottom = end_bottom = 0
    for place in range(max(at, length) - length, until):
        if place >= at and place >= length:
            while tops[first_top % length] < place - length:
                first_top += 1
            while bottoms[first_bottom % length] < place - length:
                first_bottom += 1
            if looks_up and closes[place] > highs[tops[first_top % length]]:
                return place
            if looks_down and closes[place] < lows[bottoms[first_bottom % length]]:
                return place
        first_top, end_top = _push(highs, 1, tops, first_top, end_top, length, place)
        first_bottom, end_bottom = _push(lows, -1, bottoms, first_bottom, end_bottom, length, place)
    return until


def _push(
    prices: Ints, sign: int, ring: Ints, first: int, end: int, length: int, place: int
) -> tuple[int, int]:  # fmt: skip
    """Let a place into a ring, and out of it what hides behind its price; return where the ring begins and ends."""
    while end > first and sign * prices[ring[(end - 1) % length]] <= sign * prices[place]:
        end -= 1
    if end - first == length:
        first += 1
    ring[end % length] = place
    return first, end + 1


def next_stop(
    closes: Floats, atrs: Floats, first: int, entry: float, is_better: int, last: float, has_last: int,
    side: int, mult: float, at: int, until: int,
) -> int:  # fmt: skip
    """Return the first place at which a stop may go on to ``entry``, or to ``mult`` of ``atrs`` behind the close.

    There are ``atrs`` from ``first`` on. ``is_better``: ``entry`` is nearer than ``last``, the stop of before, if it
    ``has_last``. Where floats are too coarse to tell, it may.
    """
    for place in range(at, until):
        close = closes[place]
        slack = 1e-12 * (close + entry)
        if is_better and (close - entry) * side > -slack:
            return place
        if mult > 0.0 and place >= first:
            trailed = close - side * mult * atrs[place]
            is_nearer = (trailed - last) * side > -slack if has_last else True
            if is_nearer and (trailed - entry) * side > -slack and (close - trailed) * side > -slack:
                return place
    return until


AHEAD: tuple[Callable[..., object], ...] = (_gain, next_cross, lead_after, _push, next_break, next_stop)
"""Innermost first."""
