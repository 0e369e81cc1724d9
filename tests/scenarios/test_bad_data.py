"""A bar file that cannot be trusted stops a daemon and a backtest before the first trade, naming the line."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recovery.lab import rows_of, run, write_config
from tradebot.cli.main import run as cli
from tradebot.store.upkeep import JOURNAL_NAME

HEADER = "ts_ms,open,high,low,close,volume\n"
ROWS = [f"{n * 60_000},100,101,99,100.5,1\n" for n in range(60)]
CROSS = '[[strategy]]\nkind = "sma_cross"\nfast = 3\nslow = 8\n'


def with_line(row: str) -> str:
    return HEADER + "".join([*ROWS[:30], row, *ROWS[31:]])


BAD = {
    "": ":1: the file is empty or has no header",
    HEADER: ":1: there is no bar after the header",
    "time,o,h,l,c,v\n" + ROWS[0]: ":1: the header is 'time,o,h,l,c,v'",
    HEADER + "".join([*ROWS[:10], ROWS[20], *ROWS[10:]]): ":13: ts_ms 600000 is before 1200000",
    HEADER + "".join([*ROWS[:10], *ROWS[9:]]): ":12: ts_ms 540000 stands on the line above too",
    with_line("1800000,nan,101,99,100,1\n"): ":32: a value is not a finite number",
    with_line("1800000,100,inf,99,100,1\n"): ":32: a value is not a finite number",
    with_line("1800000,-1,101,99,100,1\n"): ":32: open -1 is outside",
    with_line("1800000,100,99,101,100,1\n"): ":32: high 99 is below low 101",
    with_line("1800000,100,101,99,100,-1\n"): ":32: volume -1 is below 0",
    with_line("1800000,abc,101,99,100,1\n"): ":32: 'abc' is not a number",
    with_line("1800000,100,101\n"): ":32: 3 columns instead of 6",
    with_line("1800000,1e400,1e400,99,100,1\n"): ":32: 1e+400 is too large",
    with_line("\0\0\0\n"): ":32: 1 columns instead of 6",
}


def config_on(folder: Path, name: str) -> Path:
    feed = f'kind = "replay"\ndata = ["BTC:1m={name}"]'
    return write_config(folder, feed=feed, symbols=("BTC",), strategies=CROSS)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    words = capsys.readouterr().err
    assert "Traceback" not in words
    assert "mend: " in words
    return words.replace("\n  where: ", "@")


@pytest.mark.parametrize(("text", "fault"), BAD.items())
def test_a_bad_line_is_named_and_nothing_is_traded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, fault: str
) -> None:
    (tmp_path / "btc.csv").write_text(text)
    config = config_on(tmp_path, "btc.csv")
    assert run(tmp_path / "home", config) == 1
    assert f"btc.csv{fault}" in said(capsys)
    assert rows_of(tmp_path / "home") == []
    assert cli(["--config", str(config), "backtest"], {"HOME": str(tmp_path)}) == 1
    line, _, what = fault.partition(": ")
    words = said(capsys)
    assert what in words
    assert f"btc.csv{line}\n" in words
    # Once it is mended, the same home trades.
    (tmp_path / "btc.csv").write_text(HEADER + "".join(ROWS))
    assert run(tmp_path / "home", config) == 0


def test_a_cut_gzip_file_is_refused_and_repaired_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = gzip.compress((HEADER + "".join(f"{n * 60_000},100,101,99,100.5,1\n" for n in range(5000))).encode())
    (tmp_path / "btc.csv.gz").write_bytes(whole[: len(whole) // 2])
    config = config_on(tmp_path, "btc.csv.gz")
    words = ["--config", str(config), "backtest"]
    assert cli(words, {"HOME": str(tmp_path)}) == 1
    assert "cut off or damaged" in said(capsys)
    assert cli([*words, "--repair"], {"HOME": str(tmp_path)}) == 0
    assert "repaired: " in capsys.readouterr().err


def nothing(path: Path) -> None:
    del path


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    import os

    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "fault"),
    [(nothing, "no such file"), (folder, "is not a regular file"), (pipe, "is not a regular file")],
)
@pytest.mark.parametrize("command", [("backtest",), ("config", "check"), ("start",)])
def test_what_is_no_file_is_a_configuration_error(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], None],
    fault: str,
    command: tuple[str, ...],
) -> None:
    make(tmp_path / "btc.csv")
    config = config_on(tmp_path, "btc.csv")
    home = tmp_path / "home"
    assert cli(["--home", str(home), "--config", str(config), *command], {"HOME": str(tmp_path)}) == 78
    words = said(capsys)
    assert fault in words
    assert "bot.toml:" in words
    assert not (home / JOURNAL_NAME).exists()
