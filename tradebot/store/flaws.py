"""What is found in bars that can be read, and should be known before they are believed."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from tradebot.report.table import moment


class FlawKind(StrEnum):
    """What is wrong with bars."""

    GAP = "gap"
    DUPLICATE = "duplicate"
    OUTLIER = "outlier"
    DISORDER = "disorder"
    FLAT = "flat"
    MISMATCH = "mismatch"
    GRID = "grid"


class Flaw(NamedTuple):
    """One finding, in bars that open from ``ts`` on and close by ``until``, in ms."""

    kind: FlawKind
    ts: int
    until: int
    detail: str


def by_time(flaw: Flaw) -> tuple[int, FlawKind]:
    """Return by what flaws of one series are sorted."""
    return flaw.ts, flaw.kind


def flaw_words(flaws: Iterable[Flaw]) -> list[str]:
    """Return a line a kind: how many there are, and the first."""
    first: dict[FlawKind, Flaw] = {}
    counts: dict[FlawKind, int] = {}
    for flaw in flaws:
        first.setdefault(flaw.kind, flaw)
        counts[flaw.kind] = counts.get(flaw.kind, 0) + 1
    return [
        f"{kind} at {moment(flaw.ts)}: {flaw.detail}"
        if counts[kind] == 1
        else f"{kind}, {counts[kind]:,} of them, first at {moment(flaw.ts)}: {flaw.detail}"
        for kind, flaw in first.items()
    ]
