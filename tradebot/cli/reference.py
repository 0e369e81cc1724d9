"""The reference page of the commands, made of the table; ``python -m tradebot.cli.reference`` prints it."""

import sys

from tradebot.cli.table import COMMANDS, FLAG, GLOBALS, GROUPS, Argument, CommandSpec, Option
from tradebot.control.protocol import VERBS, VIEWS
from tradebot.model.errors import TradebotError

_HEAD = """\
<!-- Written by `make docs` from tradebot/cli/table.py: change that, not this. -->
# Commands

`tradebot COMMAND` speaks to the daemon of one home directory. Global options stand before or after the command.
`tradebot COMMAND --help` prints what is here, `tradebot --install-completion` teaches the shell to complete it.
"""

_EXITS = """\
## Exit codes

| code | meaning |
|---|---|
"""

_SOCKET = """\
## The control socket

The daemon listens on `<home>/control.sock` (under systemd in its runtime directory; where the path would be too long
for a socket, `<home>/control.path` names another). It speaks HTTP:

```
curl --unix-socket ~/.local/state/tradebot/control.sock http://tradebot/v1/status
curl --unix-socket ~/.local/state/tradebot/control.sock http://tradebot/v1/close -d '{"symbol": "BTC"}'
```

A reply is what the command prints with `--json`; an error is `{"error": {"code", "what", "where", "mend"}}`. A request
may hold 64 KiB and must be whole within 2 s; 8 connections may be open. Only the daemon's owner and root are heard.

| request | arguments |
|---|---|
"""


def cli_page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, "## Global options\n\n" + _options(GLOBALS)]
    for group in GROUPS:
        commands = [command for command in COMMANDS if command.group == group]
        parts.append(f"## {group.capitalize()}\n\n" + "\n".join(_command(command) for command in commands))
    parts.append(_EXITS + _exit_rows())
    parts.append(_SOCKET + _routes())
    return "\n".join(parts)


def _command(command: CommandSpec) -> str:
    words = [f"tradebot {command.name}", *(_usage(argument) for argument in command.arguments)]
    words += [_short_usage(option) for option in command.options]
    text = f"### {command.name}\n\n`{' '.join(words)}` - {command.help}.\n"
    if command.arguments or command.options:
        rows = [f"| `{argument.name.replace('|', ' or ')}` | {argument.help} |" for argument in command.arguments]
        text += "\n| | |\n|---|---|\n" + "\n".join(rows + [_row(option) for option in command.options]) + "\n"
    return text


def _usage(argument: Argument) -> str:
    name = argument.name if argument.is_required else f"[{argument.name}]"
    return name + ("..." if argument.is_repeatable else "")


def _short_usage(option: Option) -> str:
    value = "" if option.kind == FLAG else f" {option.metavar}"
    return f"[{option.name}{value}]" + ("..." if option.is_repeatable else "")


def _options(options: tuple[Option, ...]) -> str:
    return "| option | |\n|---|---|\n" + "\n".join(_row(option) for option in options) + "\n"


def _row(option: Option) -> str:
    value = "" if option.kind == FLAG else f" {option.metavar}"
    names = f"`{option.short}`, `{option.name}{value}`" if option.short else f"`{option.name}{value}`"
    choices = f": {', '.join(option.choices)}" if option.choices else ""
    return f"| {names} | {option.help}{choices} |"


def _exit_rows() -> str:
    meanings: dict[int, list[str]] = {0: ["done; `health`: well"], 1: ["any other error; `health`: not well"]}
    for error in _tree(TradebotError):
        meaning = (error.__doc__ or "").strip().splitlines()[0].rstrip(".")
        if error.exit_code != TradebotError.exit_code:
            meanings.setdefault(error.exit_code, []).append(meaning)
    meanings[130] = ["interrupted from the keyboard"]
    meanings[141] = ["the reader of the output went away"]
    return "".join(f"| {code} | {'; '.join(words)} |\n" for code, words in sorted(meanings.items()))


def _tree(error: type[TradebotError]) -> list[type[TradebotError]]:
    # Only the model's own: a subclass elsewhere is one of these to an operator.
    found = [child for child in error.__subclasses__() if child.__module__ == TradebotError.__module__]
    return [grandchild for child in found for grandchild in [child, *_tree(child)]]


def _routes() -> str:
    rows = [f"| `GET /v1/{view}` | {', '.join(keys) or '-'} |\n" for view, keys in VIEWS.items()]
    return "".join(rows + [f"| `POST /v1/{verb}` | {', '.join(keys) or '-'} |\n" for verb, keys in VERBS.items()])


if __name__ == "__main__":
    sys.stdout.write(cli_page())
