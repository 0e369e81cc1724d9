"""The commands as a user gives them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.shelf import Shelf, bars
from tradebot.cli.main import run
from tradebot.settings.load import load_settings
from tradebot.settings.model import ReplayFeedSettings

CONFIG = """
[bot]
symbols = ["BTC"]
[feed]
kind = "replay"
{feed}
[venue]
kind = "simulated"
[[strategy]]
name = "s"
kind = "sma_cross"
symbols = ["BTC"]
timeframe = "5m"
"""


class Desk:
    """The command line, with a store of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.environ = {"XDG_DATA_HOME": str(folder), "TRADEBOT_HOME": str(folder / "home")}

    def run(self, *words: str) -> tuple[int, str, str]:
        code = run(words, self.environ)
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def ask(self, *words: str) -> Any:
        code, out, err = self.run("--json", *words)
        assert code == 0, err
        return json.loads(out)

    def write(self, rows: list[tuple[int, ...]], name: str = "bars.csv") -> str:
        path = self.folder / name
        path.write_text("ts_ms,open,high,low,close,volume\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
        return str(path)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_a_series_is_imported_listed_shown_and_exported(desk: Desk) -> None:
    name = desk.write(bars())
    code, out, _ = desk.run("data", "import", name, "--as", "binance:BTC/USDT:1m")
    assert code == 0
    assert "'ts_ms' as opening time in milliseconds, 'open' as open" in out
    assert "40 bars from 2025-01-01 00:00:00 to 2025-01-01 00:40:00, 40 new; 40 in the store" in out
    [row] = desk.ask("data", "list")
    assert (row["series"], row["bars"], row["gaps"], row["since"]) == ("binance:BTC/USDT:1m", 40, 0, bars()[0][0])
    [origin] = row["origins"]
    assert (origin["source"], origin["rows"], origin["added"], len(origin["sha256"])) == (name, 40, 40, 64)
    code, out, _ = desk.run("data", "show", "binance:BTC/USDT:1m", "--last", "1")
    assert "2025-01-01 00:00:00  100   102   99   101    1" in out
    assert "2025-01  ░" in out
    assert f"import of {name}" in out
    code, out, _ = desk.run("data", "list")
    assert "binance:BTC/USDT:1m  40" in out


@pytest.mark.parametrize("form", ["csv", "csv.gz", "json", "json.gz", "parquet"])
def test_what_is_exported_reads_back_the_same(desk: Desk, form: str) -> None:
    rows = [*bars()[:3], (bars()[3][0], 104, 105, 0.00000001, 104.25, 1234567890123)]  # type: ignore[list-item]
    desk.ask("data", "import", desk.write(rows), "--as", "a:BTC:1m")
    out = str(desk.folder / f"out.{form}")
    assert desk.ask("data", "export", "a:BTC:1m", out) == {"file": out, "series": "a:BTC:1m", "bars": 4}
    [done] = desk.ask("data", "import", out, "--as", "a:BTC:1m")
    assert (done["rows"], done["added"]) == (4, 0)


def test_a_part_is_exported(desk: Desk) -> None:
    desk.ask("data", "import", desk.write(bars()), "--as", "a:BTC:1m")
    out = str(desk.folder / "out.csv")
    span = ("--since", "2025-01-01T00:10Z", "--until", "2025-01-01T00:20Z")
    assert desk.ask("data", "export", "a:BTC:1m", out, *span)["bars"] == 10
    assert Path(out).read_text().splitlines()[1].startswith(str(bars()[10][0]))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("data", "import", "x.csv"), 2, "VENUE:SYMBOL:TIMEFRAME"),
        (("data", "import", "x.csv", "--as", "a:b:1m"), 1, "cannot be read: No such file"),
        (("data", "import", "x.csv", "--as", "a:b:1m", "--zone", "Nowhere/X"), 2, "no zone"),
        (("data", "import", "x.csv", "--as", "a:b:1m", "--columns", "opn=1"), 2, "did you mean open"),
        (("data", "import", "x.csv", "--as", "a:b:1m", "--separator", "ab"), 2, "one character"),
        (("data", "import", "x.csv", "--as", "a:b:1m", "--force"), 2, "--force is for --repair"),
        (("data", "show", "a:b:1m"), 1, "the store has no a:b:1m"),
        (("data", "export", "a:b:1m", "x.csv"), 1, "the store has no a:b:1m"),
        (("data", "show", "ab"), 2, "VENUE:SYMBOL:TIMEFRAME"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_mend(desk: Desk, words: tuple[str, ...], code: int, said: str) -> None:
    got, _, err = desk.run(*words)
    assert (got, said in err) == (code, True), err
    assert "mend:" in err


def test_an_ending_that_is_not_known_is_refused(desk: Desk) -> None:
    desk.ask("data", "import", desk.write(bars()), "--as", "a:BTC:1m")
    code, _, err = desk.run("data", "export", "a:BTC:1m", str(desk.folder / "out.xls"))
    assert code == 2
    assert ".csv.gz" in err
    assert not (desk.folder / "out.xls").exists()


def test_a_replay_of_the_store_is_that_of_the_file(desk: Desk) -> None:
    rows = [
        (ts, o + n % 9, h + 9, lo, c + n % 9, v) for n, (ts, o, h, lo, c, v) in enumerate(bars(400, step_ms=300_000))
    ]
    name = desk.write(rows)
    desk.ask("data", "import", name, "--as", "my-broker:BTC:5m")
    results = []
    for feed in (f'data = ["BTC:5m={name}"]', 'store = ["my-broker:BTC:5m"]'):
        config = desk.folder / "config.toml"
        config.write_text(CONFIG.format(feed=feed))
        document = desk.ask("--config", str(config), "backtest")
        results.append({key: value for key, value in document.items() if key not in ("wall_s", "bars_per_s", "data")})
    assert results[0] == results[1]
    assert results[0]["bars"] == 400


def test_a_series_that_the_store_lacks_is_named_where_it_stands(desk: Desk) -> None:
    config = desk.folder / "config.toml"
    config.write_text(CONFIG.format(feed='store = ["my-broker:BTC:5m"]'))
    code, _, err = desk.run("--config", str(config), "config", "check")
    assert code == 78
    assert "feed.store.0: the store has no my-broker:BTC:5m" in err
    assert f"{config}:6" in err


def test_a_replay_needs_files_or_series(desk: Desk) -> None:
    config = desk.folder / "config.toml"
    config.write_text(CONFIG.format(feed=""))
    code, _, err = desk.run("--config", str(config), "config", "check")
    assert code == 78
    assert "a replay needs bars" in err


def test_the_shown_configuration_can_be_read_back(desk: Desk) -> None:
    desk.ask("data", "import", desk.write(bars(step_ms=300_000)), "--as", "b:BTC:5m")
    config, shown = desk.folder / "config.toml", desk.folder / "shown.toml"
    config.write_text(CONFIG.format(feed='store = ["b:BTC:5m"]'))
    _, out, _ = desk.run("--config", str(config), "config", "show")
    shown.write_text(out)
    loaded = [load_settings(home=desk.folder, config_files=[path], environ=desk.environ) for path in (config, shown)]
    assert loaded[0].config_hash == loaded[1].config_hash
    feed = loaded[0].settings.feed
    assert isinstance(feed, ReplayFeedSettings)
    assert (
        feed.series[0].path == Shelf(desk.folder).folder / "tradebot/bars/venue=b/symbol=BTC/timeframe=5m/bars.parquet"
    )


def test_a_folder_that_is_no_series_of_ours_is_passed_over(desk: Desk) -> None:
    desk.ask("data", "import", desk.write(bars()), "--as", "b:BTC:1m")
    odd = desk.folder / "tradebot/bars/venue=x y/symbol=BTC/timeframe=99"
    odd.mkdir(parents=True)
    (odd / "bars.parquet").write_text("no")
    assert len(desk.ask("data", "list")) == 1


def test_a_damaged_series_is_said(desk: Desk) -> None:
    desk.ask("data", "import", desk.write(bars()), "--as", "b:BTC:1m")
    path = desk.folder / "tradebot/bars/venue=b/symbol=BTC/timeframe=1m/bars.parquet"
    path.write_bytes(path.read_bytes()[:100])
    code, _, err = desk.run("data", "list")
    assert code == 1
    assert "the file is damaged" in err


def test_a_series_is_validated_mended_and_resampled(desk: Desk) -> None:
    rows = bars(60)
    desk.ask("data", "import", desk.write(rows), "--as", "a:BTC:1m")
    assert desk.ask("data", "resample", "a:BTC:1m", "5m")["bars"] == 12
    code, out, _ = desk.run("--json", "data", "validate")
    assert (code, json.loads(out)) == (0, {"findings": []})
    coarse = str(desk.folder / "coarse.csv")
    desk.ask("data", "export", "a:BTC:5m", coarse)
    text = Path(coarse).read_text()
    Path(coarse).write_text(text.replace(",126,", ",127,", 1))
    specs = (f"BTC:1m={desk.write(rows)}", f"BTC:5m={coarse}")
    code, out, _ = desk.run("--json", "data", "validate", *specs)
    [found] = json.loads(out)["findings"]
    assert (code, found["kind"], found["timeframe"], found["symbol"]) == (1, "mismatch", "5m", "BTC")
    assert list(found) == ["kind", "symbol", "timeframe", "ts", "until", "detail"]
    code, out, _ = desk.run("data", "validate", *specs)
    assert "2025-01  m" in out
    desk.ask("data", "import", coarse, "--as", "a:BTC:5m", "--keep", "new")
    assert len(desk.ask("data", "repair", "a:BTC:5m")["actions"]) == 1
    code, out, _ = desk.run("data", "repair", "a:BTC:5m")
    assert "nothing to mend" in out


def test_a_file_is_mended_into_a_copy(desk: Desk) -> None:
    rows = bars(40)
    name = desk.write([*rows[:20], (*rows[20][:2], 1, 2, *rows[20][4:]), *rows[21:]])
    copy = desk.folder / "copy.csv"
    done = desk.ask("data", "repair", f"BTC:1m={name}", "--to", str(copy))
    assert (done["written"], len(done["actions"])) == (str(copy), 1)
    assert len(copy.read_text().splitlines()) == 40


def test_what_cannot_be_done_is_refused_in_words(desk: Desk) -> None:
    for words, said in (
        (("data", "repair", "a:BTC:1m", "--leave-out", "gap"), "gap is not left out"),
        (("data", "repair", "a:BTC:1m", "--to", "x"), "--to is for a file"),
        (("data", "repair", "BTC:1m=x.csv", "--leave-out", "flat"), "for a series of the store"),
        (("data", "resample", "a:BTC:1m", "5min"), "did you mean 5m"),
        (("data", "download", "kraken:BTC:1m"), "nothing can be fetched"),
        (("data", "validate", "nonsense"), "VENUE:SYMBOL:TIMEFRAME"),
    ):
        code, _, err = desk.run(*words)
        assert (code, said in err) == (2, True), err
