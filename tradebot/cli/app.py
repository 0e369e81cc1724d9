"""The table as a typer application: help pages by groups and shell completion, and nothing else.

The words of a command line are read by ``parse`` alone, which lets global options stand anywhere and takes a
millisecond; typer takes a tenth of a second to import.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

import typer

from tradebot.cli.table import COMMANDS, FLAG, FLOAT, GLOBALS, INT, Argument, Option
from tradebot.model.errors import UsageError

_ABOUT = "A trading daemon: backtest, paper and live on one line of code."
_GROUP_HELP = {
    "account": "see an account at the exchange, and move money within it",
    "agent": "make, approve, list and end the keys that trade for an account",
    "config": "check, compare, put back and bring up to date the configuration",
    "data": "import, look at and export bars",
    "secrets": "keep, check and exchange keys, tokens and passwords",
    "service": "run as a service of systemd",
    "state": "look after the state on disk",
}
_OWN_OPTIONS = {"help"}


def build_app() -> typer.Typer:
    """Return the application. Its commands run nothing: they raise ``UsageError``."""
    app = typer.Typer(name="tradebot", help=_ABOUT, no_args_is_help=False, pretty_exceptions_enable=False)
    app.callback()(_function("tradebot", _ABOUT, GLOBALS, (), lambda: None))
    groups: dict[str, typer.Typer] = {}
    for command in COMMANDS:
        word, _, second = command.name.partition(" ")
        owner = app
        if second:
            if word not in groups:
                groups[word] = typer.Typer(no_args_is_help=False)
                app.add_typer(groups[word], name=word, help=_GROUP_HELP[word], rich_help_panel=command.group)
            owner = groups[word]
        function = _function(command.name, command.help, (*command.options, *GLOBALS), command.arguments, _run_nothing)
        owner.command(second or word, rich_help_panel=None if second else command.group)(function)
    return app


def call(app: typer.Typer, words: Sequence[str]) -> int:
    """Run ``app`` on ``words`` and return its exit code."""
    try:
        app(args=list(words), prog_name="tradebot", standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    sys.stdout.flush()
    return 0


def _run_nothing() -> None:
    raise UsageError("a completion option stands alone", mend="tradebot --install-completion")


def _function(
    name: str, text: str, options: Sequence[Option], arguments: Sequence[Argument], run: Callable[[], None]
) -> Callable[..., object]:
    """Return a function with the signature from which typer makes a help page and completes."""

    def function(**_values: Any) -> None:
        run()

    given = [_argument(argument) for argument in arguments]
    given += [_option(option) for option in options if option.key not in _OWN_OPTIONS]
    function.__name__ = name.replace(" ", "_").replace("-", "_")
    function.__doc__ = text
    function.__signature__ = inspect.Signature(given)  # type: ignore[attr-defined]  # inspect reads it
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in given}
    return function


def _argument(argument: Argument) -> inspect.Parameter:
    default = typer.Argument(... if argument.is_required else None, metavar=argument.name, help=argument.help)
    kind: Any = list[str] if argument.is_repeatable else str
    kind = kind if argument.is_required else kind | None
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
    # A word of the language, such as --as, is no name of a parameter.
    key = f"{option.key}_" if iskeyword(option.key) else option.key
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
