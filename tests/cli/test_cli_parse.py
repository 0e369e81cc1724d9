from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.cli.app import build_app, call
from tradebot.cli.parse import Given, Value, parse
from tradebot.cli.table import COMMANDS, FLAG, FLOAT, GLOBALS, INT, CommandSpec, Option
from tradebot.model.errors import UsageError

WORDS = st.text("abcXYZ019.:/_", min_size=1, max_size=8).filter(lambda word: not word.startswith("-"))


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[CommandSpec, list[str], list[str]]:
    """A command with valid values: the words of its own options and arguments, and those of global options."""
    command = draw(st.sampled_from(COMMANDS))
    own = [draw(WORDS) for argument in command.arguments if argument.is_required or draw(st.booleans())]
    for option in command.options:
        if draw(st.booleans()):
            own += draw(option_words(option))
    globals_ = [option for option in GLOBALS if option.key not in {"help", "version"} and draw(st.booleans())]
    return command, own, [word for option in globals_ for word in draw(option_words(option))]


@st.composite
def option_words(draw: st.DrawFn, option: Option) -> list[str]:
    name = draw(st.sampled_from([name for name in (option.name, option.short) if name]))
    if option.kind == FLAG:
        return [name]
    if option.choices:
        value = draw(st.sampled_from(option.choices))
    elif option.kind in {INT, FLOAT}:
        value = str(draw(st.integers(int(option.at_least or 0), 1000)))
    else:
        value = draw(WORDS)
    times = draw(st.integers(1, 2)) if option.is_repeatable else 1
    return [name, value] * times


@settings(deadline=None, max_examples=60)
@given(command_lines())
def test_what_is_completed_can_be_parsed(line: tuple[CommandSpec, list[str], list[str]]) -> None:
    command, own, globals_ = line
    words = [*command.name.split(), *own, *globals_]
    with pytest.raises(UsageError, match="a completion option stands alone"):
        call(build_app(), words)
    assert parse(words).command is command


@settings(deadline=None)
@given(command_lines())
def test_global_options_stand_anywhere(line: tuple[CommandSpec, list[str], list[str]]) -> None:
    command, own, globals_ = line
    name = command.name.split()
    assert parse([*globals_, *name, *own]) == parse([*name, *globals_, *own]) == parse([*name, *own, *globals_])


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=6) | st.sampled_from(["stop", "why", "--json", "-n", "--", "state", "-h"]), max_size=6)
)
def test_any_words_are_a_command_or_a_usage_error(words: list[str]) -> None:
    with suppress(UsageError):
        assert isinstance(parse(words), Given)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("stop --timeout=5", {"timeout": 5.0}),
        ("logs -fn5", {"follow": True, "last": 5}),
        ("logs -n 5 -f", {"follow": True, "last": 5}),
        ("--config a --config b status", {"config": ["a", "b"]}),
        ("why -- --odd", {"symbol": "--odd"}),
        ("cancel", {}),
        ("why BTC -n 3", {"symbol": "BTC", "last": 3}),
        ("state restore x.db", {"file": "x.db"}),
    ],
)
def test_values_are_found(words: str, values: dict[str, Value]) -> None:
    assert parse(words.split()).values == values


@pytest.mark.parametrize(
    ("words", "what", "mend"),
    [
        ("statsu", "no such command: statsu", "did you mean status?"),
        ("state verfy", "no such command: state verfy", "did you mean state verify?"),
        ("stop --flaten", "no such option: --flaten", "did you mean --flatten?"),
        ("status -x", "no such option: -x", ""),
        ("STATUS", "no such command: STATUS", "did you mean status?"),
        ("new", "no such command: new", "did you mean new-strategy?"),
        ("logs --level warn", "--level warn: must be one of debug, info, warning, error", "did you mean warning?"),
        ("config", "tradebot config what?", "one of: check, show"),
        ("close", "SYMBOL is missing", ""),
        ("close BTC ETH", "one argument too many: ETH", ""),
        ("stop --timeout", "--timeout needs a value", ""),
        ("stop --timeout x", "--timeout x: must be a number", ""),
        ("stop --timeout nan", "--timeout nan: must be a number", ""),
        ("stop --timeout -1", "--timeout -1: must be at least 0", ""),
        ("backtest --bars 1.5", "--bars 1.5: must be a whole number", ""),
        ("report --by hour", "--by hour: must be one of day, week, month, symbol, strategy", ""),
        ("status --json=yes", "--json takes no value", ""),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(words: str, what: str, mend: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words.split())
    assert caught.value.what == what
    assert mend in caught.value.mend


def test_help_needs_no_arguments() -> None:
    assert parse(["close", "--help"]).flag("help")
    assert parse(["config", "--help"]).group_word == "config"
