"""All kernels, innermost first: each calls only those above it, by their names in its module.

Whoever compiles them does so in this order, and puts what is compiled in place of those names. Nothing
but the names differs: it is one source at two speeds, equal to the last bit.
"""

from collections.abc import Callable

from tradebot.pipeline.patterns import (
    atr,
    averages,
    bands,
    calendar,
    chart,
    directional,
    emit,
    indicator,
    leg,
    liquidity,
    oscillators,
    read_outs,
    regime,
    vwap,
    window,
    zones,
)

KERNELS: tuple[Callable[..., object], ...] = (
    atr.step,
    atr.run,
    atr.series,
    window.push,
    window.find_swing,
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
    liquidity.has_place,
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
    read_outs.measure,
    read_outs.run_read_outs,
    read_outs.run_unheard,
    averages.push_mean,
    averages.push_ema,
    averages.step_sma,
    averages.step_ema,
    averages.step_macd,
    oscillators.step_rsi,
    oscillators.step_stochastic,
    bands.step_bollinger,
    bands.step_donchian,
    directional.move,
    directional.step_adx,
    vwap.step_vwap,
    regime.step_regime,
    indicator.step_atr,
)

ENTRIES: tuple[Callable[..., object], ...] = (
    atr.run,
    atr.series,
    chart.run,
    read_outs.run_read_outs,
    read_outs.run_unheard,
    indicator.run,
)
"""Those that run whole histories."""
