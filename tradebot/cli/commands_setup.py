"""Commands before there is a daemon: write, check and show a configuration; know the strategies."""

import os
import sys
from pathlib import Path

from tradebot.cli.context import Context
from tradebot.cli.options import load, load_options
from tradebot.model.errors import UsageError
from tradebot.report.shapes import Json, rows
from tradebot.report.table import listing


def init(context: Context) -> int:
    """Write a configuration, asking what a person at a terminal may want to choose."""
    from tradebot.settings.files import HOME_FILE
    from tradebot.settings.init import Kind, init_text, next_steps, questions, write_init
    from tradebot.settings.rewriting import write_config
    from tradebot.settings.schema import SCHEMA_NAME, schema_text

    kinds = [kind for kind in Kind if context.given.flag(kind.value)]
    if len(kinds) > 1:
        raise UsageError(f"--{kinds[0].value} and --{kinds[1].value} exclude each other", where="tradebot init")
    files = context.given.texts("config")
    path = Path(files[-1]).absolute() if files else context.home / HOME_FILE
    if path.exists():
        write_init(path, "")
    kind = kinds[0] if kinds else Kind.PAPER
    answers: dict[str, str] = {}
    text = init_text(kind, answers)
    if sys.stdin.isatty() and not context.given.flag("yes"):
        for question in questions(kind):
            answers[question.key] = input(f"{question.text} [{question.default}]: ").strip()
        text = init_text(kind, answers)
    write_init(path, text)
    write_config(path.with_name(SCHEMA_NAME), schema_text())
    _tell_path(context, path, "\n".join([f"wrote {path}", *next_steps(kind, path)]))
    return 0


def doctor(context: Context) -> int:
    """Check the machine, the home and the configuration; exit 1 when something must be mended."""
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.doctor import doctor_document, doctor_exit_code, run_doctor

    options = load_options(context)
    findings = run_doctor(
        context.home, lambda: options.load(context.home, context.environ), context.environ, SystemClock()
    )
    if context.is_json:
        context.write_json(doctor_document(findings))
    else:
        keys = ("check", "result", "what", "mend")
        found = [dict(zip(keys, (row.check, row.grade.value, row.what, row.mend), strict=True)) for row in findings]
        context.write(listing(keys, found, colour=context.is_colour, width=context.width))
    return doctor_exit_code(findings)


def config_check(context: Context) -> int:
    """Say whether the configuration can be used, its data and strategies included."""
    from tradebot.runtime.assumed import assumed_ticks, first_prices
    from tradebot.runtime.data_files import check_data
    from tradebot.settings.check import check_settings

    loaded = load(context)
    check_settings(loaded, is_live=loaded.settings.bot.mode == "live")
    data = check_data(loaded.settings)
    assumed = assumed_ticks(loaded.settings, first_prices(loaded.settings))
    for tick in assumed:
        context.note(f"warning: {tick}")
    files = [str(path) for path in loaded.files]
    if context.is_json:
        told = {"ok": True, "config_hash": loaded.config_hash, "files": files}
        context.write_json(told | data.document() | {"assumed_ticks": [tick.row for tick in assumed]})
    else:
        context.write(f"good: {', '.join(files)}  (hash {loaded.config_hash})")
        for line in data.lines():
            context.write(line)
    return 0


def config_show(context: Context) -> int:
    """Print the configuration as it takes effect, as TOML or JSON."""
    from tradebot.settings.load import shown_toml

    settings = load(context).settings
    context.write(settings.model_dump_json() if context.is_json else shown_toml(settings))
    return 0


def strategies(context: Context) -> int:
    """List the strategies with their parameters."""
    from tradebot.pipeline.strategy.registry import BUILT_IN, parameters_table

    keys = ("name", "type", "default", "range", "description")
    listed: list[dict[str, Json]] = [
        {
            "kind": kind,
            "description": (cls.__doc__ or "").strip().splitlines()[0] if cls.__doc__ else "",
            "parameters": [{key: getattr(row, key) for key in keys} for row in parameters_table(cls)],
        }
        for kind, cls in BUILT_IN.items()
    ]
    if context.is_json:
        context.write_json(listed)
        return 0
    for strategy in listed:
        context.write(f"{strategy['kind']}: {strategy['description']}")
        context.write(
            listing(keys, rows(strategy, "parameters"), colour=context.is_colour, width=context.width) + "\n\n"
        )
    context.write("your own: tradebot new-strategy FILE")
    return 0


def new_strategy(context: Context) -> int:
    """Write the template of a strategy; never over a file that is there."""
    from tradebot.pipeline.strategy.template import template

    name = context.given.text("file") or ""
    path = Path(name)
    if path.suffix != ".py":
        raise UsageError("a strategy is a Python file", where=name, mend="end its name in .py")
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise UsageError(
            "the file is there already; it was left as it is", where=name, mend="use another name"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror}", where=name, mend="use another folder") from error
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(template(path.name, _class_name(path.stem)))
    _tell_path(context, path.absolute(), f"wrote {path}")
    return 0


def _class_name(stem: str) -> str:
    words = "".join(char if char.isascii() and char.isalnum() else " " for char in stem).split()
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name.isidentifier() else "MyStrategy"


def _tell_path(context: Context, path: Path, words: str) -> None:
    if context.is_json:
        context.write_json({"path": str(path)})
    else:
        context.write(words)
