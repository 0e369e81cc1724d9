"""The tables of a result, read back by other programs."""

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tradebot.cli.main import run

parquet = pytest.importorskip("pyarrow.parquet", reason="the tables are read back by pyarrow")


def backtest(folder: Path, *words: str, expect: int = 0) -> None:
    home = str(folder / "home")
    assert run(["--home", home, "backtest", "--profile", "demo", "--bars", "3000", "--json", *words], {}) == expect


def test_csv_and_parquet_hold_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, trades = tmp_path / "tables", tmp_path / "trades.jsonl"
    backtest(tmp_path, "--csv", str(folder), "--parquet", str(folder), "--trades", str(trades))
    report = json.loads(capsys.readouterr().out)
    trips = [json.loads(line) for line in trades.read_text().splitlines()]
    table = {name: parquet.read_table(folder / f"{name}.parquet").to_pylist() for name in
             ("trades", "equity", "daily", "monthly", "report")}  # fmt: skip
    assert len(table["trades"]) == len(trips) > 50
    for row, trip in zip(table["trades"], trips, strict=True):
        assert row["exit_ts"] == datetime.fromtimestamp(trip["exit_ts"] / 1000, UTC)
        assert row["net_pnl"] == Decimal(trip["net_pnl"])
        assert (row["symbol"], row["exit_reason"]) == (trip["symbol"], trip["exit_reason"])
    assert [str(row["equity"].normalize()) for row in table["equity"][:2]] == ["1E+4", "1E+4"]
    assert [row["return"] for row in table["daily"]] == [value for _, value in report["daily_returns"]]
    assert table["monthly"] == report["monthly"]
    assert table["report"][0]["net_pnl"] == Decimal(report["net_pnl"])
    assert table["report"][0]["win_rate"] == report["win_rate"]
    with (folder / "trades.csv").open() as file:
        assert [row["net_pnl"] for row in csv.DictReader(file)] == [trip["net_pnl"] for trip in trips]
    with (folder / "daily.csv").open() as file:
        assert [float(row["return"]) for row in csv.DictReader(file)] == [value for _, value in report["daily_returns"]]


def test_a_folder_that_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    backtest(tmp_path, "--csv", str(tmp_path / "file"), expect=2)
    assert "cannot write" in capsys.readouterr().err
