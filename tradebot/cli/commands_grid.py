"""The configuration in many sets of parameters, or on many files, over all processors."""

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tradebot.cli.context import Context
from tradebot.cli.options import load, load_options
from tradebot.cli.progress import progress_bar
from tradebot.model.errors import UsageError
from tradebot.report.shapes import Json, section
from tradebot.report.table import cell, money, table
from tradebot.settings.load import Loaded

if TYPE_CHECKING:
    from tradebot.research.sets import Pool

_FIGURES = {
    "net_pnl": money,
    "trades": cell,
    "win_rate": cell,
    "profit_factor": cell,
    "max_drawdown_pct": cell,
    "sharpe": cell,
}
_MOST_ROWS = 40
_MOST_TOLD = 10


def grid(context: Context) -> int:
    """Run every set and print its result; the exit code is 1 when one failed, or none can be.

    A set that the configuration refuses, such as a fast average slower than the slow one, is no failure: grids have
    such corners.
    """
    from tradebot.research.grid import file_axis, grid_axes, parameter_sets
    from tradebot.research.sets import GridRun, run_sets

    given = context.given
    for option in ("trades", "html", "csv", "parquet"):
        if given.text(option) is not None:
            what = f"--{option} is for a single run"
            raise UsageError(what, where="tradebot backtest --grid", mend="run the set that you want to see alone")
    loaded = load(context)
    files = file_axis(loaded.settings, given.texts("each"))
    axes = grid_axes(loaded.settings, given.texts("grid"))
    sets = list(parameter_sets([files, *axes] if files else axes, given.texts("data")))
    run = GridRun(
        options=load_options(context),
        home=context.home,
        environ=dict(context.environ),
        bars=given.whole("bars", 0) or None,
        repair=given.flag("repair"),
        force=given.flag("force"),
    )
    results = given.text("results")
    pool = _pool(context, loaded, len(sets))
    rows = []
    out = sys.stdout.buffer
    # What strategies print, or a cluster says of its machines, is no part of the result.
    with progress_bar("sets") as progress, redirect_stdout(sys.stderr):
        lines = run_sets(run, loaded, sets, pool=pool, results=Path(results) if results else None, progress=progress)
        for line in lines:
            row = orjson.loads(line)
            rows.append({key: row.get(key) for key in ("params", "error", "disabled", *_FIGURES)})
            if context.is_json:
                out.write(line)
                out.flush()
    if not context.is_json:
        context.write(grid_text(rows, context.is_colour))
    refused = [row for row in rows if _code(row) == "config"]
    failed = [row for row in rows if row["error"] is not None and row not in refused]
    for word, some in (("refused", refused), ("failed", failed)):
        for row in some[:_MOST_TOLD]:
            context.note(f"{word}: {_words(row)}: {section(row, 'error').get('what')}")
        if some:
            context.note(f"{len(some)} of {len(rows)} sets {word}")
    disabled = sum(bool(row["disabled"]) for row in rows)
    if disabled:
        context.note(f"warning: in {disabled} of {len(rows)} sets a strategy was disabled; run one alone to see why")
    return 1 if failed or len(refused) == len(rows) else 0


def _pool(context: Context, loaded: Loaded, count: int) -> "Pool":
    address, workers = context.given.text("cluster"), context.given.whole("workers", 0)
    if address is None:
        from tradebot.research.sets import local_pool

        return local_pool(workers or min(_processors(), count))
    if workers:
        what = "--workers is for this machine"
        raise UsageError(what, where="tradebot backtest --cluster", mend="a cluster uses all that its machines have")
    from tradebot.research.cluster import cluster_pool

    return cluster_pool(address, loaded.settings)


def grid_text(rows: list[dict[str, Json]], colour: bool) -> str:
    """Return the sets for a person, the best net P&L first."""
    done = sorted((row for row in rows if row["error"] is None), key=_net_pnl, reverse=True)
    if not done:
        return "no set has a result"
    names = list(section(done[0], "params"))
    body = [
        [
            *(cell(section(row, "params").get(name)) for name in names),
            *(show(row[key]) for key, show in _FIGURES.items()),
        ]
        for row in done[:_MOST_ROWS]
    ]
    parts = [table([*names, *_FIGURES], body, colour=colour)]
    if len(done) > _MOST_ROWS:
        parts.append(f"and {len(done) - _MOST_ROWS} more; --json or --results FILE has all of them")
    if len(done) > 1:
        parts.append(f"The best of {len(done)} is in part the luckiest: try it on bars that it was not chosen by.")
    return "\n\n".join(parts)


def _net_pnl(row: Mapping[str, Json]) -> float:
    return float(str(row["net_pnl"]))


def _code(row: Mapping[str, Json]) -> Json:
    return section(row, "error").get("code")


def _words(row: Mapping[str, Json]) -> str:
    return " ".join(f"{name}={value}" for name, value in section(row, "params").items())


def _processors() -> int:
    return len(os.sched_getaffinity(0))
