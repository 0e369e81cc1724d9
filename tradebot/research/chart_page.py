"""A history with its patterns as one page that needs nothing else: candles, zones, breaks, levels and sweeps."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from tradebot.pipeline.patterns.events import PatternEvent, PatternKind
from tradebot.report.assets import CHARTS, asset, chart_notice
from tradebot.report.html import bare_page
from tradebot.report.shapes import Json
from tradebot.research.history import History

MOST_BARS = 20_000
"""A page holds the last bars, this many at most: it stays below some 3 MB, and a browser draws it at once."""

_FILES = ("scan.css", "scan.html", "scan.js")
_BREAKS = (PatternKind.BOS, PatternKind.CHOCH)
_SWINGS = (PatternKind.SWING_HIGH, PatternKind.SWING_LOW)
_OPENINGS = (PatternKind.FVG, PatternKind.ORDER_BLOCK)
_TOUCHES = (PatternKind.FVG_MITIGATED, PatternKind.OB_MITIGATED)
_ENDS = (PatternKind.FVG_FILLED, PatternKind.OB_INVALIDATED)
_FAMILY = {
    PatternKind.FVG: 0,
    PatternKind.FVG_MITIGATED: 0,
    PatternKind.FVG_FILLED: 0,
    PatternKind.ORDER_BLOCK: 1,
    PatternKind.OB_MITIGATED: 1,
    PatternKind.OB_INVALIDATED: 1,
}
_ZoneKey = tuple[int, int, int, float, float]


def chart_page(history: History, events: Sequence[PatternEvent], max_age: int, *, title: str) -> str:
    """Return the page. ``max_age`` is the number of bars after which a zone is forgotten."""
    first = max(0, len(history.ts) - MOST_BARS)
    # Zones are [0 gap or 1 block, side, from, known, touched or -1, to, top, bottom], all bars counted from ``first``.
    zones = [zone for zone in _zones(events, len(history.ts), max_age) if int(zone[5]) >= first]
    lines = [event for event in events if event.confirmed >= first]
    content: Mapping[str, Json] = {
        "first": first,
        "ts": history.ts[first:].tolist(),
        "bars": [column[first:].tolist() for column in (history.open, history.high, history.low, history.close)],
        "zones": [
            [*zone[:2], *(at - first if at >= 0 else -1 for at in map(int, zone[2:6])), *zone[6:]] for zone in zones
        ],
        "swings": [[e.side, e.index - first, e.level] for e in lines if e.kind in _SWINGS],
        "breaks": [
            [int(e.kind is PatternKind.CHOCH), e.side, e.index - first, e.confirmed - first, e.level]
            for e in lines
            if e.kind in _BREAKS
        ],
        "pools": [
            [e.side, e.index - first, e.confirmed - first, e.level, e.count]
            for e in lines
            if e.kind is PatternKind.POOL
        ],
        "takes": [
            [int(e.kind is PatternKind.RUN), e.side, e.index - first, e.confirmed - first, e.level, e.count]
            for e in lines
            if e.kind in (PatternKind.SWEEP, PatternKind.RUN)
        ],
    }
    folder = files("tradebot.research")
    style, body, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in _FILES)
    body = body.replace("@TITLE@", escape(title)).replace("@NOTICE@", escape(chart_notice()))
    return bare_page(f"{title} - tradebot scan", body, style, {"scan": content}, [*map(asset, CHARTS), script])


def _zones(events: Sequence[PatternEvent], bars: int, max_age: int) -> list[list[int | float]]:
    found: list[list[int | float]] = []
    living: dict[_ZoneKey, list[list[int | float]]] = {}
    for event in events:
        if event.top is None or event.bottom is None:
            continue
        key = (_FAMILY[event.kind], event.side, event.index, event.top, event.bottom)
        same = living.setdefault(key, [])
        if event.kind in _OPENINGS:
            end = min(bars - 1, event.confirmed + max_age)
            same.append([*key[:3], event.confirmed, -1, end, event.top, event.bottom])
            found.append(same[-1])
        elif event.kind in _TOUCHES:
            # Of two blocks on one bar the older one is told first.
            next(zone for zone in same if zone[4] < 0)[4] = event.confirmed
        elif event.kind in _ENDS:
            same.pop(0)[5] = event.confirmed
    return found
