"""All kernels, innermost first: each calls only those above it, by their names in its module.

Whoever compiles them does so in this order, and puts what is compiled in place of those names. Nothing
but the names differs: it is one source at two speeds, equal to the last bit.
"""

from collections.abc import Callable

from tradebot.pipeline.patterns import atr, calendar, chart, emit, leg, liquidity, window, zones

KERNELS: tuple[Callable[..., object], ...] = (
    atr.step,
    window.push,
    emit.add_level,
    emit.add_zone,
    leg.extend,
    leg.begin,
    leg.follow,
    zones.count_zones,
    zones.has_room,
    zones.move,
    zones.meet,
    zones.change,
    zones.close_ranks,
    zones.open_zone,
    liquidity.put,
    liquidity.take,
    liquidity.join,
    calendar.extend,
    calendar.step,
    calendar.sessions_at,
    chart.confirm,
    chart.tell_break,
    chart.least_gap,
    chart.find_gap,
    chart.leave_block,
    chart.step,
    chart.most_events,
    chart.is_ready,
    chart.run,
)

ENTRIES: tuple[Callable[..., object], ...] = (chart.run,)
"""Those that run whole histories."""
