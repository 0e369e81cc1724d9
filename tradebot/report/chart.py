"""The equity curve as inline SVG with axes: values at the left, UTC dates below, readable at any width.

The labels are text of the page, placed in percent of the plot: in the SVG they would shrink with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from math import ceil, floor, log10

from tradebot.report.shapes import Json
from tradebot.report.table import moment

STYLE = """
figure { margin: 0 0 2rem } figcaption { font-size: .9em; opacity: .8; margin-top: 2rem }
.plot { position: relative; height: 17rem; margin: .8rem .5rem 0 var(--gutter) }
.plot svg { position: absolute; width: 100%; height: 100%; overflow: visible }
.plot svg * { vector-effect: non-scaling-stroke; fill: none }
.plot .curve { stroke: var(--line); stroke-width: 1.6; stroke-linejoin: round }
.plot .rule { stroke: var(--rule); stroke-width: 1 } .plot .start { stroke: var(--line); stroke-dasharray: 2 4 }
.plot span { position: absolute; font-size: .8em; line-height: 1; white-space: nowrap; opacity: .8 }
.plot .y { right: calc(100% + .5rem); transform: translateY(50%) }
.plot .x { top: calc(100% + .5rem); transform: translateX(-50%) } .plot .x.last { transform: translateX(-100%) }
@media (max-width: 40rem) { .plot { height: 13rem } .plot .minor { display: none } }
"""
_WIDTH, _HEIGHT = 1000, 300
_BUCKETS = 480
_Y_TICKS = 5
_X_TICKS = 6
_PHONE_TICKS = 3
_NEAR_END = 0.95
_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_CLOCK_STEPS = tuple(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)) + tuple(n * _HOUR for n in (1, 2, 3, 6, 12))
_DAY_STEPS = tuple(n * _DAY for n in (1, 2, 5, 7, 14))
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
_MONTH_MS = 365.25 * _DAY / 12


def equity_chart(points: Json) -> str:
    """Return the curve ``[[ts_ms, equity], ...]`` as a figure; each bucket of points keeps its extremes."""
    values = _points(points)
    if len(values) < 2:
        return "<p>No curve yet.</p>"
    start, end = values[0][0], values[-1][0]
    least, most = min(values, key=_equity), max(values, key=_equity)
    step, heights = _value_ticks(least[1], most[1])
    low, high = heights[0], heights[-1]
    digits = max(0, -floor(log10(step) + 1e-9))
    if round(step * 10**digits, 6) % 1:
        digits += 1

    def x(ts: int) -> float:
        return (ts - start) / max(end - start, 1)

    def y(value: float) -> float:
        return (value - low) / (high - low)

    curve = " ".join(f"{x(ts) * _WIDTH:.1f},{_HEIGHT - y(value) * _HEIGHT:.1f}" for ts, value in _thinned(values))
    names = [f"{value:,.{digits}f}" for value in heights]
    times = list(_time_ticks(start, end))
    first = y(values[0][1]) * _HEIGHT
    lines = [
        *(f'<path class="rule" d="M0 {_HEIGHT - y(value) * _HEIGHT:.1f}H{_WIDTH}"/>' for value in heights),
        *(f'<path class="rule" d="M{x(ts) * _WIDTH:.1f} {_HEIGHT}v-6"/>' for ts, _ in times),
        f'<path class="start" d="M0 {_HEIGHT - first:.1f}H{_WIDTH}"/>',
        f'<polyline class="curve" points="{curve}"/>',
    ]
    labels = [
        *(
            f'<span class="y" style="bottom:{y(value):.2%}">{name}</span>'
            for value, name in zip(heights, names, strict=True)
        ),
        *(
            f'<span class="x{_place(number, len(times), x(ts))}" style="left:{x(ts):.2%}">{name}</span>'
            for number, (ts, name) in enumerate(times)
        ),
    ]
    caption = (
        f"Equity at each close, times in UTC. Start {_value(values[0])}, end {_value(values[-1])},"
        f" lowest {_value(least)}, highest {_value(most)}. Dotted: the starting equity."
    )
    return (
        f'<figure><div class="plot" style="--gutter:{max(map(len, names)) * 0.55 + 0.8:.1f}em">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(caption)}">'
        f"{''.join(lines)}</svg>{''.join(labels)}</div><figcaption>{escape(caption)}</figcaption></figure>"
    )


def _points(points: Json) -> list[tuple[int, float]]:
    if not isinstance(points, Sequence) or isinstance(points, str):
        return []
    found = []
    for point in points:
        match point:
            case [int(ts), str(value)]:
                found.append((ts, float(value)))
            case _:
                raise ValueError(f"an equity curve is made of [ts_ms, text], not of {point!r}")
    return found


def _thinned(values: list[tuple[int, float]]) -> Iterable[tuple[int, float]]:
    size = -(-len(values) // _BUCKETS)
    if size <= 2:
        yield from values
        return
    for first in range(0, len(values), size):
        bucket = values[first : first + size]
        extremes = {min(bucket, key=_equity), max(bucket, key=_equity)}
        yield from sorted(extremes)
    yield values[-1]


def _equity(point: tuple[int, float]) -> float:
    return point[1]


def _place(number: int, count: int, x: float) -> str:
    """Return the classes of a date: on phones every second is left out, and at the end it stays on the page."""
    return f"{' minor' if number % 2 and count > _PHONE_TICKS else ''}{' last' if x > _NEAR_END else ''}"


def _value(point: tuple[int, float]) -> str:
    return f"{point[1]:,.2f} ({moment(point[0])[:16]})"


def _value_ticks(low: float, high: float) -> tuple[float, list[float]]:
    """Return the step and the round values that span ``low`` to ``high``."""
    if high - low <= abs(high) * 1e-9:
        # A flat curve lies in the middle of one percent.
        room = max(abs(low) * 0.005, 0.01)
        low, high = low - room, high + room
    raw = (high - low) / _Y_TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = _whole(low / step, floor), _whole(high / step, ceil)
    return step, [number * step for number in range(first, max(last, first + 1) + 1)]


def _whole(number: float, rounded: Callable[[float], int]) -> int:
    # A whole number that dividing missed by its last digits is that number: nothing lies beyond it.
    nearest = round(number)
    return nearest if abs(number - nearest) <= 1e-12 * abs(nearest) else rounded(number)


def _time_ticks(start: int, end: int) -> Iterator[tuple[int, str]]:
    """Give round UTC times from ``start`` to ``end`` with their names; at least one."""
    span = max(end - start, 1)
    step = next((step for step in (*_CLOCK_STEPS, *_DAY_STEPS) if span / step <= _X_TICKS), None)
    if step is None:
        months = next((each for each in _MONTH_STEPS if span / (each * _MONTH_MS) <= _X_TICKS), _MONTH_STEPS[-1])
        yield from _month_ticks(start, end, months)
        return
    shape = "%Y-%m-%d" if step >= _DAY else "%m-%d %H:%M" if span > _DAY else "%H:%M"
    ticks = range(-(-start // step) * step, end + 1, step)
    for ts in ticks or (start,):
        yield ts, _utc(ts).strftime(shape)


def _month_ticks(start: int, end: int, months: int) -> Iterator[tuple[int, str]]:
    begun = _utc(start)
    number = -(-(begun.year * 12 + begun.month - 1) // months) * months
    while True:
        moment_ = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        ts = int(moment_.timestamp()) * 1000
        if ts > end:
            return
        if ts >= start:
            yield ts, moment_.strftime("%Y" if months % 12 == 0 else "%Y-%m")
        number += months


def _utc(ts_ms: int) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
