"""A bar file that cannot be trusted stops a daemon and a backtest before the first trade, naming the line."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recovery.lab import rows_of, run, write_config
from tradebot.cli.main import run as cli
from tradebot.store.schema import JOURNAL_NAME

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


START_S = 1_735_689_600


def minutes(folder: Path, times: list[int], name: str = "btc.csv") -> list[str]:
    (folder / name).write_text(HEADER + "".join(f"{ts},100,101,99,100.5,1\n" for ts in times))
    return ["--home", str(folder / "home"), "--config", str(config_on(folder, name))]


def test_a_gap_is_said_by_check_backtest_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = minutes(tmp_path, [(START_S + n * 60) * 1000 for n in range(50) if not 20 <= n < 30])
    environ = {"HOME": str(tmp_path)}
    gap = "one gap of 10 bars from 2025-01-01 00:20:00"
    for command in (["config", "check"], ["doctor"], ["backtest"]):
        assert cli([*words, *command], environ) == 0
        assert gap in capsys.readouterr().out, command
    assert cli([*words, "config", "check", "--json"], environ) == 0
    [row] = json.loads(capsys.readouterr().out)["data"]
    assert (row["bars"], row["gaps"], row["missing"], row["first_ts"]) == (40, 1, 10, (START_S + 1200) * 1000)
    assert run(tmp_path / "home", tmp_path / "bot.toml") == 0
    capsys.readouterr()
    assert cli([*words, "report"], environ) == 0
    assert f"BTC 1m: {gap}" in capsys.readouterr().out
    assert cli([*words, "backtest", "--json"], environ) == 0
    tested = json.loads(capsys.readouterr().out)
    assert cli([*words, "report", "--json"], environ) == 0
    assert json.loads(capsys.readouterr().out)["gaps"] == tested["gaps"]
    assert tested["gaps"][0]["missing"] == 10


def test_seconds_are_named_and_repaired_without_losing_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = minutes(tmp_path, [START_S + n * 60 for n in range(40)])
    (tmp_path / "rates.csv").write_text(f"ts_ms,rate\n{START_S},0.0001\n{START_S + 3600},0.0001\n")
    config = tmp_path / "bot.toml"
    config.write_text(f'{config.read_text()}\n[venue]\nkind = "simulated"\nfunding = ["BTC=rates.csv"]\n')
    environ = {"HOME": str(tmp_path)}
    for command in (["backtest"], ["config", "check"]):
        assert cli([*words, *command], environ) == 1
        assert f"{START_S} looks like seconds, not milliseconds" in said(capsys)
    assert cli([*words, "backtest", "--json", "--repair"], environ) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["bars"] == 40
    assert "btc.csv: converted: 40 times from seconds" in err
    assert "rates.csv: converted: 2 times from seconds" in err


def test_a_repair_that_would_lose_much_is_refused_unless_it_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = minutes(tmp_path, [(START_S + n * 61) * 1000 for n in range(40)])
    environ = {"HOME": str(tmp_path)}
    assert cli([*words, "backtest"], environ) == 1
    assert "off the grid of 1m: 61s after the line above@" in said(capsys)
    page = tmp_path / "page.html"
    assert cli([*words, "backtest", "--repair", "--html", str(page)], environ) == 1
    assert "a repair would leave out 39 of 40 rows, more than 5 %" in said(capsys)
    assert not page.exists()
    assert cli([*words, "backtest", "--repair", "--force"], environ) == 0
    assert "left out" in capsys.readouterr().err
    assert cli([*words, "backtest", "--force"], environ) == 2
    assert "--force is for --repair" in said(capsys)


def test_bars_that_contradict_each_other_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = minutes(tmp_path, [(START_S + n * 60) * 1000 for n in range(60)])
    (tmp_path / "five.csv").write_text(
        HEADER + "".join(f"{(START_S + n * 300) * 1000},{100 + (n == 7) / 2},101,99,100.5,5\n" for n in range(12))
    )
    config = tmp_path / "bot.toml"
    config.write_text(config.read_text().replace('"BTC:1m=btc.csv"', '"BTC:5m=five.csv", "BTC:1m=btc.csv"'))
    note = "BTC 5m: one bar differs from the 1m bars of that time, first at 2025-01-01 00:35:00: open 100.5 for 100"
    environ = {"HOME": str(tmp_path)}
    assert cli([*words, "backtest", "--json"], environ) == 0
    out, err = capsys.readouterr()
    assert f"warning: {note}" in err
    assert json.loads(out)["data_notes"] == [note]
    assert cli([*words, "config", "check"], environ) == 0
    assert note.partition(": ")[2] in capsys.readouterr().out
    assert run(tmp_path / "home", config) == 0
    assert note in (tmp_path / "home" / "logs" / "tradebot.jsonl").read_text()


def test_a_symbol_whose_bars_end_early_is_said_with_what_stays_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in (("btc", 60), ("eth", 30)):
        prices = [100 - n if n < 10 else 80 + n for n in range(count)]
        lines = [f"{n * 60_000},{p},{p + 1},{p - 1},{p},1\n" for n, p in enumerate(prices)]
        (tmp_path / f"{name}.csv").write_text(HEADER + "".join(lines))
    feed = 'kind = "replay"\ndata = ["BTC:1m=btc.csv", "ETH:1m=eth.csv"]'
    strategies = '[[strategy]]\nkind = "sma_cross"\nfast = 3\nslow = 8\nstop = { kind = "atr", n = 3, mult = 9.0 }\n'
    config = write_config(tmp_path, feed=feed, symbols=("BTC", "ETH"), strategies=strategies)
    page = tmp_path / "page.html"
    words = ["--config", str(config), "backtest", "--html", str(page)]
    assert cli([*words, "--json"], {"HOME": str(tmp_path)}) == 0
    out, err = capsys.readouterr()
    [row] = json.loads(out)["ended_early"]
    assert (row["symbol"], row["ts"], row["until"], row["side"]) == ("ETH", 1_800_000, 3_600_000, "long")
    [held] = [each for each in json.loads(out)["open_positions"] if each["symbol"] == "ETH"]
    assert row["qty"] == held["qty"]
    ends = "ETH: the last bar closed at 1970-01-01 00:30:00, those of others go on to 1970-01-01 01:00:00"
    line = f"{ends}; long {row['qty']}"
    assert f"warning: {line} stays open" in err
    assert line in page.read_text()
    assert cli(words, {"HOME": str(tmp_path)}) == 0
    assert f"bars that end early\n{line} stays open" in capsys.readouterr().out
    # The last of the long bars is not over when the last short one is: that is no end.
    rows = [f"{n * 600_000},100,101,99,100,1\n" for n in range(5)]
    (tmp_path / "eth.csv").write_text(HEADER + "".join(rows))
    config.write_text(
        config.read_text()
        .replace("ETH:1m", "ETH:10m")
        .replace('kind = "sma_cross"', 'kind = "sma_cross"\nsymbols = ["BTC"]')
    )
    (tmp_path / "btc.csv").write_text(HEADER + "".join(ROWS[:59]))
    assert cli([*words, "--json"], {"HOME": str(tmp_path)}) == 0
    assert json.loads(capsys.readouterr().out)["ended_early"] == []


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
