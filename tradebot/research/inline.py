"""What a notebook shows below a cell: a picture that is kept with it, and pages that live while it runs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _FOOT = 860, 260, 70, 12, 26, 22
_MOST = 800
_LINES = 4


class Picture:
    """A curve as SVG, drawn by a notebook without scripts; readable on light and dark ground."""

    def __init__(self, points: Sequence[tuple[int, float]], title: str) -> None:
        self._points = points
        self._title = title

    def __repr__(self) -> str:
        return f"<picture of {len(self._points):,} points: {self._title}>"

    def _repr_svg_(self) -> str:
        points = self._points
        if len(points) < 2:
            return f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="20"></svg>'
        values = [value for _, value in points]
        low, high = min(values), max(values)
        span, since = (high - low) or 1.0, points[0][0]
        wide, high_px = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _FOOT
        each = wide / max(points[-1][0] - since, 1)

        def y(value: float) -> float:
            return _TOP + (high - value) / span * high_px

        # Of points that share a pixel the extremes are kept.
        size = -(-len(points) // (_MOST // 2))
        kept = [
            point
            for first in range(0, len(points), size)
            for point in sorted(
                {min(points[first : first + size], key=_value), max(points[first : first + size], key=_value)}
            )
        ]
        line = " ".join(f"{_LEFT + (ts - since) * each:.1f},{y(value):.1f}" for ts, value in [*kept, points[-1]])
        heights = [low + span * number / _LINES for number in range(_LINES + 1)]
        rules = "".join(
            f'<path d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}" stroke="#888" stroke-opacity=".35"/>'
            f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.2f}</text>'
            for value in heights
        )
        ends = "".join(
            f'<text x="{x}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{_day(ts)}</text>'
            for x, anchor, ts in ((_LEFT, "start", since), (_WIDTH - _RIGHT, "end", points[-1][0]))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'font-family="sans-serif" font-size="11" fill="#808080"><text x="{_LEFT}" y="16" font-size="13">'
            f'{escape(self._title)}</text>{rules}{ends}<polyline points="{line}" fill="none" stroke="#3b82f6" '
            'stroke-width="1.6"/></svg>'
        )


class NotebookPage:
    """A page with charts, shown within a notebook; ``save`` writes it as a file of its own."""

    def __init__(self, text: str, height: int = 720) -> None:
        self.text = text
        self._height = height

    def save(self, path: str | Path) -> None:
        """Write the page."""
        Path(path).write_text(self.text, encoding="utf-8")

    def __repr__(self) -> str:
        return "<page with charts: run the cell to see it, or save it as a file>"

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.text)}" style="width:100%; height:{self._height}px; border:0" '
            'sandbox="allow-scripts" title="charts"></iframe>'
        )


def _value(point: tuple[int, float]) -> float:
    return point[1]


def _day(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
