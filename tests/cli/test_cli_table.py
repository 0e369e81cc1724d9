from importlib import import_module
from pathlib import Path

import pytest

from tradebot.cli.reference import cli_page
from tradebot.cli.table import COMMANDS, GLOBALS, GROUPS, CommandSpec

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
PROMISED = """
incident, init, doctor, strategies, new-strategy, start, stop, restart, reload, status, ps, health, logs, pause, resume,
reduce-only, halt, close, cancel, orders, positions, balance, signals, why, risk, report, trades, backtest, lookahead,
guard, service install, service uninstall, service show, service status,
config check, config show, config diff, config history, config rollback, config migrate, config schema,
state verify, state backup, state restore, state reset, devnet, scan,
agent create, agent approve, agent list, agent revoke, account show, account transfer,
data import, data list, data show, data export, data validate,
data repair, data resample, data download, secrets set, secrets rotate, secrets check, secrets list, secrets revoke
"""


def test_every_promised_command_is_there() -> None:
    assert {command.name for command in COMMANDS} == {name.strip() for name in PROMISED.split(",")}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_function_and_a_group(command: CommandSpec) -> None:
    module, _, function = command.run.partition(":")
    assert callable(getattr(import_module(f"tradebot.cli.{module}"), function))
    assert command.group in GROUPS


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_no_two_options_of_a_command_share_a_name(command: CommandSpec) -> None:
    names = [name for option in (*command.options, *GLOBALS) for name in (option.name, option.short) if name]
    keys = [option.key for option in (*command.options, *GLOBALS)] + [argument.key for argument in command.arguments]
    assert len(names) == len(set(names))
    assert len(keys) == len(set(keys))


def test_the_reference_page_is_fresh() -> None:
    assert PAGE.read_text() == cli_page(), "write it anew with: make docs"
