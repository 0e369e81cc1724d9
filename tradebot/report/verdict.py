"""A report in sentences: what it comes to, what could be luck, and what it rests on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from tradebot.report.gaps import ends_text, gaps_text, gaps_words
from tradebot.report.labels import percent, shown
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import cell, moment
from tradebot.report.text import breakers_text, disabled_text, set_aside_text

_MS_PER_DAY = 86_400_000


def verdict_lines(report: Mapping[str, Json]) -> list[str]:
    """Return what a reader must know first, a sentence each."""
    return [*_outcome(report), *_luck(report)]


def luck_lines(report: Mapping[str, Json]) -> list[str]:
    """Return what the trades, and their order, leave open."""
    return list(_luck(report))


def assumption_lines(report: Mapping[str, Json]) -> list[str]:
    """Return what the figures rest on: costs, funding, fills and data."""
    assumed = section(report, "assumptions")
    if not assumed:
        return []
    if assumed.get("is_simulated") is not True:
        return [f"Fees, funding and fills are those that {live_venue(assumed)} booked: nothing of them is assumed."]
    return [
        f"Fees: {_bps(assumed, 'taker_bps')} of the notional for takers, {_bps(assumed, 'maker_bps')} for makers. "
        f"Slippage: {_bps(assumed, 'slippage_bps')} against us on each taker fill. "
        f"Latency: {cell(assumed.get('latency_ms'))} ms.",
        _funding(assumed, report.get("funding_estimates")),
        "Fills: a decision at the close of a bar meets the next bar; stops fill on touch or at a worse open, limits "
        f"and targets only where price trades through them. {_volume(assumed.get('volume_share'))}",
        "Warm-up: a strategy trades once its indicators have their bars; the curve and its days begin with the data.",
        *(_data_line(row) for row in rows(report, "data")),
    ]


def live_venue(assumed: Mapping[str, Json]) -> str:
    """Return the name of a real venue, and its network."""
    network = assumed.get("network")
    return cell(assumed.get("venue")) + ("" if network is None else f" {cell(network)}")


def remark_lines(report: Mapping[str, Json]) -> list[str]:
    """Return what went otherwise than it should: faults of the data, breakers, what was disabled or left out."""
    notes = report.get("data_notes")
    return [
        *(f"strategy disabled: {line}" for line in disabled_text(report).splitlines()),
        *(f"breaker: {line}" for line in breakers_text(report).splitlines()),
        *(f"bars missing: {line}" for line in gaps_text(report).splitlines()),
        *set_aside_text(report).splitlines(),
        *(f"bars end early: {line}" for line in ends_text(report).splitlines()),
        *(map(cell, notes) if isinstance(notes, list) else ()),
        *(
            f"{cell(row.get('symbol'))} has no tick in the configuration: {cell(row.get('tick'))} was assumed at "
            f"{cell(row.get('price'))}"
            for row in rows(report, "assumed_ticks")
        ),
    ]


def _outcome(report: Mapping[str, Json]) -> Iterator[str]:
    since, until = report.get("since"), report.get("until")
    if report.get("starting_equity") is None or not isinstance(since, int) or not isinstance(until, int):
        yield "No curve yet: nothing was closed in this time."
        return
    start, end = (shown(key, report.get(key)) for key in ("starting_equity", "ending_equity"))
    text = (
        f"The account went from {start} to {end}: {_signed(report.get('return_pct'))} in "
        f"{(until - since) / _MS_PER_DAY:,.1f} days"
    )
    held = section(report, "benchmark")
    symbols = held.get("symbols")
    if isinstance(symbols, Sequence) and symbols and isinstance(held.get("return_pct"), float):
        text += f"; holding {', '.join(map(cell, symbols))} without costs: {_signed(held.get('return_pct'))}"
    yield f"{text}."


def _luck(report: Mapping[str, Json]) -> Iterator[str]:
    found = section(report, "uncertainty")
    if not found:
        return
    if found.get("is_too_few_trades"):
        yield (
            f"Too few to mean anything: {_count(found.get('trades'), 'round trip')}, and fewer than "
            f"{cell(found.get('least_trades'))} say nothing about a strategy, whatever their ratios are."
        )
    if found.get("is_too_few_days"):
        yield (
            f"Too short to mean anything: {_count(found.get('days'), 'full day')}, and Sharpe ratios of fewer than "
            f"{cell(found.get('least_days'))} are noise."
        )
    yield from _expectancy(report, found)
    orders = section(report, "monte_carlo")
    if orders:
        yield (
            f"In another order the same trades would have fallen by {percent(orders.get('p50_pct'))} of the starting "
            f"equity in the middle, by {percent(orders.get('p95_pct'))} or more in one of 20 orders; "
            f"as they came: {percent(orders.get('observed_pct'))}."
        )


def _expectancy(report: Mapping[str, Json], found: Mapping[str, Json]) -> Iterator[str]:
    told = found.get("expectancy")
    if not isinstance(told, Sequence) or len(told) != 2:
        return
    low, high = (shown("expectancy", end) for end in told)
    text = (
        f"A round trip brought {shown('expectancy', report.get('expectancy'))} on average; another sample of this kind "
        f"would say {low} to {high} (95 %)"
    )
    needed = found.get("trades_to_tell")
    if found.get("is_expectancy_clear") and found.get("is_too_few_trades"):
        yield f"{text}; with so few of them even that is not to be relied on."
    elif found.get("is_expectancy_clear"):
        yield f"{text}: more than chance alone."
    elif isinstance(needed, int):
        yield f"{text}, so it cannot be told from nothing; it would take about {needed:,} such trades."
    else:
        yield f"{text}, so it cannot be told from nothing."


def _funding(assumed: Mapping[str, Json], estimates: Json) -> str:
    files = section(assumed, "funding")
    rate = assumed.get("funding_rate")
    hourly = f"{rate * 100:.5f} %" if isinstance(rate, int | float) else "-"
    known = ", ".join(f"{symbol} from {cell(name)}" for symbol, name in files.items())
    if not known:
        return f"Funding: {hourly} an hour, assumed for {cell(estimates)} hours; no file gives real rates."
    return f"Funding: {known}; {cell(estimates)} hours without a known rate paid {hourly}."


def _volume(share: Json) -> str:
    if not isinstance(share, int | float):
        return "Any size is filled, whatever a bar's volume."
    return f"Orders take at most {percent(share * 100)} of a bar's volume."


def _data_line(row: Mapping[str, Json]) -> str:
    bars = row.get("bars")
    count = f"{bars:,}" if isinstance(bars, int) else "-"
    return (
        f"Data: {count} bars of {cell(row.get('symbol'))} {cell(row.get('timeframe'))} from "
        f"{moment(row.get('since'))} to {moment(row.get('until'))}, {gaps_words(row)} "
        f"({PurePath(cell(row.get('file'))).name})."
    )


def _bps(assumed: Mapping[str, Json], key: str) -> str:
    value = assumed.get(key)
    return f"{value:g} bp" if isinstance(value, int | float) else "-"


def _signed(value: Json) -> str:
    text = percent(value)
    return f"+{text}" if isinstance(value, int | float) and value > 0 else text


def _count(value: Json, what: str) -> str:
    return f"{value:,} {what}{'' if value == 1 else 's'}" if isinstance(value, int) else f"- {what}s"
