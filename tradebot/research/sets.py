"""The sets of a grid as jobs: each is a backtest of its own, and ends as a line of JSON whatever becomes of it."""

import hashlib
import json
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import chain, starmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import orjson

from tradebot import __version__
from tradebot.control.protocol import error_document
from tradebot.model.errors import ConfigError, InvariantError, TradebotError
from tradebot.model.time import DAY
from tradebot.report.curve import Curve
from tradebot.report.document import document
from tradebot.report.shapes import Json
from tradebot.research.grid import ParameterSet
from tradebot.research.jobs import Done, run_jobs
from tradebot.research.results import ResultsFile, params_key, run_digest
from tradebot.runtime.backtest import run_backtest, with_feed
from tradebot.settings.load import Loaded, LoadOptions
from tradebot.settings.model import ReplayFeedSettings, SimulatedVenueSettings
from tradebot.store.shared_columns import SharedColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRun:
    """What the sets of a grid have in common: the configuration below them, and how each is run."""

    options: LoadOptions
    home: Path
    environ: Mapping[str, str]
    bars: int | None = None
    repair: bool = False
    force: bool = False
    version: str = __version__
    shared: Path | None = None
    """Where processes of one machine share the bars that they have read."""
    is_bundled: bool = False
    """Whether all files lie below the working directory, each at its own path."""


class SetJob(NamedTuple):
    """One set to run."""

    run: GridRun
    one: ParameterSet


Pool = Callable[[Mapping[int, SetJob]], Iterator[Done[bytes]]]
"""Runs jobs by ``run_set`` somewhere and gives what becomes of each, by its number, as they are done."""


def local_pool(workers: int) -> Pool:
    """Return the pool of so many processes of this machine."""

    def run(jobs: Mapping[int, SetJob]) -> Iterator[Done[bytes]]:
        with TemporaryDirectory(prefix="tradebot-bars-") as folder:
            shared = {number: job._replace(run=replace(job.run, shared=Path(folder))) for number, job in jobs.items()}
            yield from run_jobs(run_set, shared, workers)

    return run


def run_sets(
    run: GridRun,
    loaded: Loaded,
    sets: Sequence[ParameterSet],
    *,
    pool: Pool,
    results: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[bytes]:
    """Give a line of JSON for each set, in their order wherever ``pool`` runs them.

    It holds ``params`` and the report, or ``params`` and ``error``: a set that fails ends no other. With ``results``
    they are kept there as they come; what is there is not run again, unless it failed. Raises ``UsageError`` for a
    file that holds something else.
    """
    with ExitStack() as stack:
        kept = None if results is None else stack.enter_context(ResultsFile(results, _names(run, loaded, sets)))
        known = {} if kept is None else {number: kept.line(one.params) for number, one in enumerate(sets)}
        lines = {number: line for number, line in known.items() if line is not None and not is_failed(line)}
        jobs = {number: SetJob(run, one) for number, one in enumerate(sets) if number not in lines}
        due = 0
        for done in chain(starmap(Done, list(lines.items())), pool(jobs)):
            line = _lost(sets[done.number]) if done.result is None else done.result
            if kept is not None and done.number in jobs:
                kept.add(sets[done.number].params, line)
            lines[done.number] = line
            while due in lines:
                yield lines.pop(due)
                due += 1
            if progress is not None:
                progress(due + len(lines), len(sets))
        if kept is not None:
            kept.order(one.params for one in sets)


def is_failed(line: bytes) -> bool:
    """Return whether a set has no report."""
    return "error" in orjson.loads(line)


def run_set(job: SetJob) -> bytes:
    """Return what becomes of one set, a line of JSON."""
    run, one = job
    # What a strategy prints is no part of the result, and a thousand of them no help.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            line = _line(one, _report(run, one))
        except TradebotError as error:
            line = _line(one, orjson.loads(error_document(error)))
        except Exception as error:
            line = _line(one, orjson.loads(error_document(InvariantError(f"{type(error).__name__}: {error}"))))
    return line.replace(json.dumps(os.getcwd())[1:-1].encode(), b"") if run.is_bundled else line


def _report(run: GridRun, one: ParameterSet) -> Mapping[str, Json]:
    if run.version != __version__:
        what = f"this machine has tradebot {__version__}, and the grid is run by {run.version}"
        raise ConfigError(what, mend="install the same everywhere")
    options = replace(run.options, overrides={**run.options.overrides, **one.overrides})
    loaded, read = options.load(run.home, run.environ), _shared(run.shared).read
    found = run_backtest(loaded, data=one.data, bars=run.bars, repair=run.repair, force=run.force, read=read)
    return {**found.document, "equity_curve": _daily(found.document["equity_curve"])}


@lru_cache(maxsize=1)
def _shared(folder: Path | None) -> SharedColumns:
    return SharedColumns(folder)


def _daily(curve: object) -> list[Json]:
    """Return the first and last point, and the last at or before each 00:00 UTC: of all sets all are too many."""
    assert isinstance(curve, Curve)  # noqa: S101 - of a report that is not yet a document  # nosec B101
    first, last = curve.ts[0], curve.ts[-1]
    midnights = range((first // DAY + 1) * DAY, last, DAY)
    ends = sorted({0, *(bisect_right(curve.ts, midnight) - 1 for midnight in midnights), len(curve) - 1})
    return [list(curve[index]) for index in ends]


def _lost(one: ParameterSet) -> bytes:
    what = "the process that ran this set died"
    mend = "run this set alone; a strategy may call what crashes, or memory may be short: --workers 1"
    return _line(one, orjson.loads(error_document(InvariantError(what, mend=mend))))


def _line(one: ParameterSet, found: Mapping[str, Json]) -> bytes:
    return document({"params": one.params, **found})


def _names(run: GridRun, loaded: Loaded, sets: Sequence[ParameterSet]) -> Mapping[str, str]:
    """Return by ``params_key`` a digest of all that a set depends on beside its parameters."""
    digest = cache(_digest)
    strategies = [Path(one.kind.rpartition(":")[0]) for one in loaded.settings.strategy if ":" in one.kind]

    def name(data: tuple[str, ...]) -> str:
        settings = with_feed(loaded.settings, data, run.bars)
        feed, venue = settings.feed, settings.venue
        files: list[Path] = []
        if isinstance(feed, ReplayFeedSettings):
            files += [*(one.path for one in feed.series), *(one.path for one in feed.ticks[1])]
        files += [one.path for one in venue.funding_files] if isinstance(venue, SimulatedVenueSettings) else []
        common = [__version__, loaded.config_hash, str(run.bars), str(run.repair), str(run.force)]
        return run_digest([*common, *map(digest, files), *map(digest, strategies)])

    named = cache(name)
    return {params_key(one.params): named(one.data) for one in sets}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        # Whoever runs it says what is wrong with it.
        return ""
