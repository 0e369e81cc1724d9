"""From words to a command and its values. Standard library only: the quick commands are parsed here too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tradebot.cli.table import COMMANDS, FLAG, FLOAT, GLOBALS, INT, CommandSpec, Option
from tradebot.model.errors import UsageError
from tradebot.model.near import nearest

Value = bool | int | float | str | list[str] | None


class Given(NamedTuple):
    """A command, ``None`` when none was named, with the values of its options and arguments.

    ``group_word`` is the first of two words when the second is missing, as in ``tradebot config``.
    """

    command: CommandSpec | None
    values: Mapping[str, Value]
    group_word: str = ""

    def flag(self, key: str) -> bool:
        """Return whether the flag was given."""
        return self.values.get(key) is True

    def text(self, key: str) -> str | None:
        """Return the text of an option or argument, or ``None``."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def texts(self, key: str) -> list[str]:
        """Return all texts of a repeatable option or argument."""
        value = self.values.get(key)
        return value if isinstance(value, list) else []

    def whole(self, key: str, default: int) -> int:
        """Return a whole number."""
        value = self.values.get(key)
        return value if isinstance(value, int) else default

    def number(self, key: str, default: float) -> float:
        """Return a number."""
        value = self.values.get(key)
        return value if isinstance(value, int | float) else default


def parse(words: Sequence[str]) -> Given:
    """Return what ``words`` ask for. Raises ``UsageError`` with what was probably meant."""
    return _Parser(words).parse()


class _Parser:
    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._values: dict[str, Value] = {}
        self._options = {name: option for option in GLOBALS for name in (option.name, option.short) if name}
        self._names: list[str] = []
        self._arguments: list[str] = []
        self._command: CommandSpec | None = None

    def parse(self) -> Given:
        """Read all words, then check that they are enough."""
        while self._words:
            word = self._words.pop(0)
            if word == "--":
                self._take_rest()
            elif word.startswith("--"):
                self._take_long(word)
            elif word.startswith("-") and len(word) > 1:
                self._take_short(word)
            else:
                self._take_plain(word)
        asks = self._values.get("help") is True or self._values.get("version") is True
        if self._command is None:
            if self._names and not asks:
                raise _incomplete(self._names[0])
            return Given(None, self._values, self._names[0] if self._names else "")
        self._bind(self._command, is_help=asks)
        return Given(self._command, self._values)

    def _take_plain(self, word: str) -> None:
        if self._command is not None:
            self._arguments.append(word)
            return
        self._names.append(word)
        name = " ".join(self._names)
        for command in COMMANDS:
            if command.name == name:
                self._command = command
                names = ((option, key) for option in command.options for key in (option.name, option.short) if key)
                self._options.update({key: option for option, key in names})
                return
        if not any(command.name.startswith(name + " ") for command in COMMANDS):
            raise UsageError(f"no such command: {name}", mend=_meant(name, _candidates(self._names)))

    def _take_rest(self) -> None:
        rest, self._words = self._words, []
        for word in rest:
            self._take_plain(word)

    def _take_long(self, word: str) -> None:
        name, has_value, value = word.partition("=")
        option = self._options.get(name)
        if option is None:
            raise self._unknown(name)
        if option.kind == FLAG:
            if has_value:
                raise UsageError(f"{name} takes no value", where=self._where())
            self._values[option.key] = True
        else:
            self._store(option, value if has_value else self._next(name))

    def _take_short(self, word: str) -> None:
        for position in range(1, len(word)):
            name = "-" + word[position]
            option = self._options.get(name)
            if option is None:
                raise self._unknown(name if len(word) == 2 else word)
            if option.kind != FLAG:
                self._store(option, word[position + 1 :] or self._next(name))
                return
            self._values[option.key] = True

    def _next(self, name: str) -> str:
        if not self._words:
            raise UsageError(f"{name} needs a value", where=self._where())
        return self._words.pop(0)

    def _store(self, option: Option, text: str) -> None:
        if option.choices and text not in option.choices:
            allowed = ", ".join(option.choices)
            near = nearest(text, option.choices)
            mend = "" if near is None else f"did you mean {near}?"
            raise UsageError(f"{option.name} {text}: must be one of {allowed}", where=self._where(), mend=mend)
        value: Value = _number(option, text) if option.kind in {INT, FLOAT} else text
        if option.is_repeatable:
            before = self._values.get(option.key)
            value = [*(before if isinstance(before, list) else []), text]
        self._values[option.key] = value

    def _bind(self, command: CommandSpec, *, is_help: bool) -> None:
        for argument in command.arguments:
            if self._arguments and argument.is_repeatable:
                rest: list[str] = self._arguments
                self._values[argument.key], self._arguments = rest, []
            elif self._arguments:
                self._values[argument.key] = self._arguments.pop(0)
            elif argument.is_required and not is_help:
                raise UsageError(f"{argument.name} is missing", where=self._where(), mend=f"name {argument.help}")
        if self._arguments and not is_help:
            raise UsageError(f"one argument too many: {self._arguments[0]}", where=self._where())

    def _unknown(self, name: str) -> UsageError:
        return UsageError(f"no such option: {name}", where=self._where(), mend=_meant(name, self._options))

    def _where(self) -> str:
        return f"tradebot {self._command.name}" if self._command is not None else "tradebot"


def _number(option: Option, text: str) -> int | float:
    try:
        value = int(text) if option.kind == INT else float(text)
    except ValueError:
        value = float("nan")
    if value != value or value in {float("inf"), float("-inf")}:
        wanted = "a whole number" if option.kind == INT else "a number"
        raise UsageError(f"{option.name} {text}: must be {wanted}")
    if option.at_least is not None and value < option.at_least:
        raise UsageError(f"{option.name} {text}: must be at least {option.at_least:g}")
    return value


def _candidates(names: Sequence[str]) -> list[str]:
    if len(names) == 1:
        return [command.name for command in COMMANDS] + [command.name.split()[0] for command in COMMANDS]
    return [command.name for command in COMMANDS if command.name.startswith(names[0] + " ")]


def _incomplete(word: str) -> UsageError:
    choices = [command.name.split()[1] for command in COMMANDS if command.name.startswith(word + " ")]
    return UsageError(f"tradebot {word} what?", mend=f"one of: {', '.join(choices)}")


def _meant(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return "tradebot --help lists what there is" if near is None else f"did you mean {near}?"
