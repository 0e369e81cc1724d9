"""The table as a typer application: help pages by groups and shell completion.

The words themselves are read by ``parse``, which lets global options stand anywhere and takes a millisecond;
typer takes a tenth of a second to import. A test holds the two to the same reading.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from tradebot.cli.parse import Given
from tradebot.cli.table import COMMANDS, FLAG, FLOAT, GLOBALS, INT, Argument, Command, Option

_ABOUT = "A trading daemon: backtest, paper and live on one line of code."
_GROUP_HELP = {"config": "check or show the configuration", "state": "look after the state on disk"}
_OWN_OPTIONS = {"help"}


def build_app(run: Callable[[Given], int]) -> typer.Typer:
    """Return the application; a command calls ``run`` with what was given."""
    app = typer.Typer(name="tradebot", help=_ABOUT, no_args_is_help=False, pretty_exceptions_enable=False)
    app.callback()(_function("tradebot", _ABOUT, GLOBALS, (), lambda _values: None))
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        word, _, second = command.name.partition(" ")
        owner = app
        if second:
            if word not in groups:
                groups[word] = typer.Typer(no_args_is_help=False)
                app.add_typer(groups[word], name=word, help=_GROUP_HELP[word], rich_help_panel=command.group)
            owner = groups[word]
        owner.command(second or word, rich_help_panel=None if second else command.group)(_runner(command, run))
    return app


def call(app: typer.Typer, words: Sequence[str]) -> int:
    """Run ``app`` on ``words`` and return its exit code."""
    try:
        result = app(args=list(words), prog_name="tradebot", standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _runner(command: Command, run: Callable[[Given], int]) -> Callable[..., object]:
    def take(values: dict[str, Any]) -> int:
        given = {key: value for key, value in values.items() if value is not None and value is not False}
        return run(Given(command, {key: value for key, value in given.items() if value != []}))

    return _function(command.name, command.help, (*command.options, *GLOBALS), command.arguments, take)


def _function(
    name: str,
    text: str,
    options: Sequence[Option],
    arguments: Sequence[Argument],
    take: Callable[[dict[str, Any]], object],
) -> Callable[..., object]:
    """Return a function with the signature typer reads commands from."""

    def function(**values: Any) -> object:
        return take(values)

    given = [_argument(argument) for argument in arguments]
    given += [_option(option) for option in options if option.key not in _OWN_OPTIONS]
    function.__name__ = name.replace(" ", "_").replace("-", "_")
    function.__doc__ = text
    function.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]  # inspect reads it
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in given}
    return function


def _argument(argument: Argument) -> inspect.Parameter:
    default = typer.Argument(... if argument.is_required else None, metavar=argument.name, help=argument.help)
    kind = str if argument.is_required else str | None
    return inspect.Parameter(argument.key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _option(option: Option) -> inspect.Parameter:
    names = [option.name, *([option.short] if option.short else [])]
    complete = (lambda: list(option.choices)) if option.choices else None
    is_flag = option.kind == FLAG
    default = typer.Option(
        False if is_flag else None,
        *names,
        help=option.help,
        metavar="" if is_flag else option.metavar,
        min=option.at_least,
        autocompletion=complete,
        show_default=False,
        rich_help_panel="for every command" if option in GLOBALS else None,
    )
    kinds: dict[str, Any] = {FLAG: bool, INT: int | None, FLOAT: float | None}
    kind = list[str] | None if option.is_repeatable else kinds.get(option.kind, str | None)
    return inspect.Parameter(option.key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
