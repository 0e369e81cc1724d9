"""The definitions of the patterns as they read, over the whole past at each bar: slow, and apart from the kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

Bars = Sequence[tuple[float, float, float, float, float]]
Event = tuple[str, int, int, int, tuple[float, ...], int | None]
"""Kind, side, index, confirmed, level or top and bottom, count."""


@dataclass
class Zone:
    side: int
    index: int
    known: int
    top: float
    bottom: float
    is_mitigated: bool = False


@dataclass
class Level:
    index: int
    level: float
    count: int = 1


class Naive:
    """All events of ``bars``; the parameters are named as in the definitions."""

    def __init__(self, bars, **given):
        self.o, self.h, self.l, self.c, _ = (list(column) for column in zip(*bars, strict=True)) if bars else [[]] * 5
        self.L = given.get("L", 5)
        self.n = given.get("atr_n", 14)
        self.min_gap_atr = given.get("min_gap_atr", 0.0)
        self.zone_max_age = given.get("zone_max_age", 500)
        self.max_levels = given.get("max_levels", 50)
        self.pool_atr = given.get("pool_atr", 0.25)
        self.trend = 0
        self.active: dict[int, int | None] = {1: None, -1: None}
        self.gaps: list[Zone] = []
        self.blocks: list[Zone] = []
        self.levels: dict[int, list[Level]] = {1: [], -1: []}
        self.events: list[Event] = []
        for t in range(len(self.o)):
            self.bar(t)

    def atr(self, t):
        if t < self.n:
            return None
        tr = [
            max(self.h[u] - self.l[u], abs(self.h[u] - self.c[u - 1]), abs(self.l[u] - self.c[u - 1]))
            for u in range(1, t + 1)
        ]
        total = 0.0
        for x in tr[: self.n]:
            total += x
        value = total / self.n
        for x in tr[self.n :]:
            value = (value * (self.n - 1) + x) / self.n
        return value

    def is_swing_high(self, i):
        left = range(i - self.L, i)
        right = range(i + 1, i + self.L + 1)
        return i >= self.L and all(self.h[i] > self.h[j] for j in left) and all(self.h[i] >= self.h[j] for j in right)

    def is_swing_low(self, i):
        left = range(i - self.L, i)
        right = range(i + 1, i + self.L + 1)
        return i >= self.L and all(self.l[i] < self.l[j] for j in left) and all(self.l[i] <= self.l[j] for j in right)

    def bar(self, t):
        atr = self.atr(t)
        i = t - self.L
        is_high = i >= 0 and self.is_swing_high(i)
        is_low = i >= 0 and self.is_swing_low(i)
        if is_high:
            self.say("swing_high", 1, i, t, self.h[i])
        if is_low:
            self.say("swing_low", -1, i, t, self.l[i])
        breaks = self.structure(t, i, is_high, is_low)
        self.fair_value_gaps(t, atr)
        self.order_blocks(t, breaks)
        self.liquidity(t, i, is_high, is_low, atr)

    def say(self, kind, side, index, t, level, count=None):
        self.events.append((kind, side, index, t, (level,), count))

    def say_zone(self, kind, zone, t):
        self.events.append((kind, zone.side, zone.index, t, (zone.top, zone.bottom), None))

    def structure(self, t, i, is_high, is_low):
        breaks = []
        if is_high:
            self.active[1] = i
        if is_low:
            self.active[-1] = i
        for side, prices in ((1, self.h), (-1, self.l)):
            s = self.active[side]
            if s is None or not (self.c[t] > prices[s] if side == 1 else self.c[t] < prices[s]):
                continue
            self.say("bos" if self.trend in (0, side) else "choch", side, s, t, prices[s])
            self.trend = side
            self.active[side] = None
            breaks.append((side, s))
        return breaks

    def fair_value_gaps(self, t, atr):
        kept = []
        for side in (1, -1):
            for gap in [g for g in self.gaps if g.side == side]:
                if t - gap.known > self.zone_max_age:
                    continue
                near, far = (gap.top, gap.bottom) if side == 1 else (gap.bottom, gap.top)
                is_met = self.l[t] <= near if side == 1 else self.h[t] >= near
                if is_met and not gap.is_mitigated:
                    gap.is_mitigated = True
                    self.say_zone("fvg_mitigated", gap, t)
                if self.l[t] <= far if side == 1 else self.h[t] >= far:
                    self.say_zone("fvg_filled", gap, t)
                    continue
                kept.append(gap)
        self.gaps = kept
        if t >= 2:
            self.new_gap(t, t - 1, atr)

    def new_gap(self, t, i, atr):
        gap = None
        if self.l[t] > self.h[t - 2] and self.c[i] > self.o[i]:
            gap = Zone(1, i, t, self.l[t], self.h[t - 2])
        if self.h[t] < self.l[t - 2] and self.c[i] < self.o[i]:
            gap = Zone(-1, i, t, self.l[t - 2], self.h[t])
        if gap is None:
            return
        if self.min_gap_atr > 0 and (atr is None or not gap.top - gap.bottom >= self.min_gap_atr * atr):
            return
        self.gaps.append(gap)
        self.say_zone("fvg", gap, t)

    def order_blocks(self, t, breaks):
        kept = []
        for side in (1, -1):
            for block in [b for b in self.blocks if b.side == side]:
                if t - block.known > self.zone_max_age:
                    continue
                is_met = self.l[t] <= block.top if side == 1 else self.h[t] >= block.bottom
                if is_met and not block.is_mitigated:
                    block.is_mitigated = True
                    self.say_zone("ob_mitigated", block, t)
                if self.c[t] < block.bottom if side == 1 else self.c[t] > block.top:
                    self.say_zone("ob_invalidated", block, t)
                    continue
                kept.append(block)
        self.blocks = kept
        for side, s in breaks:
            span = range(s + 1, t + 1)
            if side == 1:
                m = max(u for u in span if self.l[u] == min(self.l[w] for w in span))
                opposite = [j for j in range(s, m + 1) if self.c[j] < self.o[j]]
            else:
                m = max(u for u in span if self.h[u] == max(self.h[w] for w in span))
                opposite = [j for j in range(s, m + 1) if self.c[j] > self.o[j]]
            j = opposite[-1] if opposite else m
            block = Zone(side, j, t, self.h[j], self.l[j])
            self.blocks.append(block)
            self.say_zone("order_block", block, t)

    def liquidity(self, t, i, is_high, is_low, atr):
        for side in (1, -1):
            kept = []
            for level in self.levels[side]:
                if not (self.h[t] > level.level if side == 1 else self.l[t] < level.level):
                    kept.append(level)
                elif self.c[t] <= level.level if side == 1 else self.c[t] >= level.level:
                    self.say("sweep", -side, level.index, t, level.level, level.count)
                else:
                    self.say("run", side, level.index, t, level.level, level.count)
            self.levels[side] = kept
        for side, is_swing, prices in ((1, is_high, self.h), (-1, is_low, self.l)):
            if is_swing:
                self.pool(t, side, i, prices[i], atr)

    def pool(self, t, side, i, x, atr):
        levels = self.levels[side]
        if levels and atr is not None:
            distance = min(abs(level.level - x) for level in levels)
            nearest = [level for level in levels if abs(level.level - x) == distance][-1]
            if distance <= self.pool_atr * atr:
                nearest.level = max(nearest.level, x) if side == 1 else min(nearest.level, x)
                nearest.count += 1
                nearest.index = i
                self.say("pool", side, i, t, nearest.level, nearest.count)
                return
        levels.append(Level(i, x))
        if len(levels) > self.max_levels:
            levels.pop(0)
