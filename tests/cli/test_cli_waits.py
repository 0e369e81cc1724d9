"""How long commands and the socket wait: the code has what the reference says."""

from pathlib import Path

from tradebot.cli.commands_halt import FLATTEN_TIMEOUT_S
from tradebot.cli.quick import STOP_TIMEOUT_S
from tradebot.cli.spawn import START_TIMEOUT_S
from tradebot.control.protocol import MAX_CONNECTIONS, MAX_FRAME, REQUEST_TIMEOUT_S

CLI = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()


def test_a_start_waits_for_a_minute_and_a_stop_for_half_of_one() -> None:
    assert (START_TIMEOUT_S, STOP_TIMEOUT_S) == (60, 30)
    assert "seconds to wait for its end (30)" in CLI


def test_a_flattening_waits_for_a_minute() -> None:
    assert FLATTEN_TIMEOUT_S == 60
    assert "seconds to wait for flat (60)" in CLI


def test_the_socket_takes_what_the_reference_says() -> None:
    assert (MAX_FRAME, MAX_CONNECTIONS, REQUEST_TIMEOUT_S) == (64 * 1024, 8, 2)
    assert "64 KiB and must be whole within 2 s; 8 connections" in CLI
