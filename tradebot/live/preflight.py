"""What can be asked of a venue before it is trusted with orders: each finding with what is, and the mend.

Nothing here signs or sends an action. It raises nothing: what cannot be asked is a finding too.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal, localcontext
from pathlib import Path

from tradebot.live.opening import FIRST_DEPOSIT
from tradebot.live.preflight_sizes import Basis, average_range, size_findings
from tradebot.model.errors import StorageFailed
from tradebot.model.finding import Finding, Grade
from tradebot.model.money import MONEY_CONTEXT, ZERO, Cash
from tradebot.pipeline.strategy.base import AtrStop, StrategySpec
from tradebot.ports import Connection, VenueChecks
from tradebot.settings.build import build_limits, build_size
from tradebot.settings.check import LIVE_TIMEFRAMES, build_specs
from tradebot.settings.load import Loaded
from tradebot.settings.model import RiskFractionSize, SimulatedVenueSettings
from tradebot.store.lock import holder
from tradebot.store.rows import JournalReader
from tradebot.store.schema import JOURNAL_NAME

TOTAL_S = 15.0
_MOST_SERIES = 8
_LOOKS, _LOOK_AGAIN_S = 3, 1.0
_SLOW = "try again; if it stays so, check network and firewall, and the server's status page"


def has_never_traded(home: Path) -> bool:
    """Return whether no account was ever opened in ``home``; one whose daemon runs is not fresh."""
    path = home / JOURNAL_NAME
    if not path.exists():
        return True
    if holder(home) is not None:
        return False
    try:
        with JournalReader(path) as journal:
            return next(iter(journal.rows(FIRST_DEPOSIT)), None) is None
    except StorageFailed:
        return False


async def red_lines(connection: Connection, loaded: Loaded, *, is_fresh: bool) -> Sequence[Finding]:
    """Return the findings with which nothing is armed, asked over ``connection`` and paid from its budget.

    What is red in one look and not in the next was an answer that got lost.
    """
    red: Sequence[Finding] = ()
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(_LOOK_AGAIN_S)
        checks = connection.checks(is_fresh=is_fresh, may_be_recent=not look)
        found = await preflight(checks, loaded, is_brief=not is_fresh)
        red = [finding for finding in found if finding.grade is Grade.FAIL]
        if not red:
            break
    return red


async def preflight(
    checks: VenueChecks, loaded: Loaded, *, is_brief: bool = False, total_s: float = TOTAL_S
) -> Sequence[Finding]:
    """Return the findings of every check of the venue, within ``total_s`` seconds.

    ``is_brief``: nothing is asked by which only a start that never traded is judged.
    """
    try:
        async with asyncio.timeout(total_s):
            if await checks.run():
                await checks.guarded("sizes", lambda: _sizes(checks, loaded, is_brief=is_brief))
    except TimeoutError:
        what = f"{checks.where}: not everything was answered within {total_s:g} s"
        checks.add(Finding("venue", Grade.FAIL, what, _SLOW))
    return checks.findings


async def _sizes(checks: VenueChecks, loaded: Loaded, *, is_brief: bool) -> None:
    settings = loaded.settings
    venue = settings.venue
    equity = Cash(venue.starting_cash) if isinstance(venue, SimulatedVenueSettings) else checks.equity
    if equity is None or equity <= 0:
        return
    specs = build_specs(loaded)
    is_linear = settings.risk.confidence_scale == "linear"
    is_ranged = isinstance(settings.risk.size, RiskFractionSize) and not is_brief
    basis = Basis(
        equity=equity,
        rule=build_size(settings.risk, settings.strategy),
        limits=build_limits(settings.risk, settings.bot.mode),
        min_confidence=settings.risk.min_confidence if is_linear else ZERO,
        ranges=await _ranges(checks, specs) if is_ranged else {},
    )
    worst = Grade.FAIL if settings.bot.mode == "live" else Grade.WARN
    with localcontext(MONEY_CONTEXT):
        for finding in size_findings(specs, checks.markets, basis, worst):
            checks.add(finding)


async def _ranges(checks: VenueChecks, specs: Sequence[StrategySpec]) -> dict[tuple[str, str], Decimal]:
    """Return the average true ranges that sizes by risk need, as far as the venue gives bars cheaply."""
    wanted = [
        (spec, symbol)
        for spec in specs
        for symbol in spec.symbols
        if symbol in checks.markets and spec.timeframe in LIVE_TIMEFRAMES
    ]
    found: dict[tuple[str, str], Decimal] = {}
    for spec, symbol in wanted[:_MOST_SERIES]:
        n = spec.stop.n if isinstance(spec.stop, AtrStop) else 0
        bars = await checks.bars(symbol, spec.timeframe, n + 2) if n else ()
        mean = average_range(bars, n)
        if mean is not None:
            found[spec.name, symbol] = mean
    return found
