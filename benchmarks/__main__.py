"""``python -m benchmarks [name ...]``: run the benchmarks named, or all; print their figures beside the aims.

A benchmark is a module of this package with ``run() -> Iterable[Figure]``; its docstring says what it measures.
``--json FILE`` writes the figures too. Exit 1 when a benchmark failed; an aim that is missed is only shown.
"""

import argparse
import importlib
import importlib.util
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import Figure

NAMES = (
    "pump",
    "backtest",
    "risk_stage",
    "latency",
    "messages",
    "boot",
    "memory",
    "patterns",
    "live",
    "weight",
    "private",
    "gates",
    "kill",
    "guard",
    "agreement",
    "grid",
    "bars",
)
_MARKS = {True: "met", False: "MISSED", None: ""}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    figures: dict[str, list[Figure]] = {}
    failed = []
    for name in options.names or NAMES:
        figures[name], is_done = _run(name)
        if not is_done:
            failed.append(name)
    if options.json is not None:
        document = {name: [asdict(figure) for figure in found] for name, found in figures.items()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(name: str) -> tuple[list[Figure], bool]:
    if importlib.util.find_spec(f"benchmarks.{name}") is None:
        print(f"\n{name}: not there")
        return [], True
    begin = time.perf_counter()
    found: list[Figure] = []
    try:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{name}: {(module.__doc__ or '').split(chr(10))[0]}", flush=True)
        for figure in module.run():
            found.append(figure)
            print(_row(figure), flush=True)
    except Exception:  # one that fails must not hide the others
        traceback.print_exc()
        return found, False
    print(f"  ({time.perf_counter() - begin:.0f} s)", flush=True)
    return found, True


def _row(figure: Figure) -> str:
    value = "-" if figure.value is None else _number(figure.value)
    aim = "" if figure.aim is None else f"{'>=' if figure.is_least else '<='} {_number(figure.aim)}"
    return (
        f"  {figure.what:<58} {value:>12} {figure.unit:<8} {aim:<12} {_MARKS[figure.is_met]:<7} {figure.note}".rstrip()
    )


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
