"""``tradebot scan``: the events of a file as lines and as a table."""

import csv
import json
import re

import pytest

from tests.patterns.series import interpreted, timed, walk
from tradebot.cli import main


@pytest.fixture
def rows():
    return timed(walk(11, 700, scale=1e-6))


@pytest.fixture
def file(tmp_path, rows):
    path = tmp_path / "walk.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("ts_ms", "open", "high", "low", "close", "volume"))
        writer.writerows(rows)
    return path


def run(capsys, *words):
    code = main.run([*map(str, words)], {})
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("flag", ["--jsonl", "--json"])
def test_lines_are_the_events_in_order_with_exact_prices(capsys, file, rows, flag):
    code, out, _ = run(capsys, "scan", file, flag)
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    expected = interpreted(rows)
    assert len(found) == len(expected) > 100
    for line, (kind, side, index, confirmed, ts, confirmed_ts, level, top, bottom, count) in zip(
        found, expected, strict=True
    ):
        wanted = {"kind": kind, "side": side, "index": index, "confirmed": confirmed}
        wanted |= {"ts": ts, "confirmed_ts": confirmed_ts}
        wanted |= {"top": top, "bottom": bottom} if top else {"level": level}
        wanted |= {"count": count} if count else {}
        assert line == wanted


def test_parameters_are_those_of_the_patterns(capsys, file, rows):
    code, out, _ = run(capsys, "scan", file, "--jsonl", "--param", "L=2", "--param", "pool_atr=1.5")
    assert code == 0
    assert len(out.splitlines()) == len(interpreted(rows, L=2, pool_atr=1.5))


@pytest.mark.parametrize(
    "param", ["L=0", "L=x", "L", "length=3", "zone_max_age=-1", "pool_atr=nan", "L=2.5", "atr_n=0"]
)
def test_a_bad_parameter_exits_2(capsys, file, param):
    code, out, err = run(capsys, "scan", file, "--param", param)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_the_table_counts_and_shows_the_newest(capsys, file, rows):
    code, out, _ = run(capsys, "scan", file, "--last", "3")
    assert code == 0
    swings = sum(event[0] == "swing_high" for event in interpreted(rows))
    assert re.search(rf"^swing_high +{swings} +0$", out, re.MULTILINE)
    assert len(out.split("\n\n")[-1].splitlines()) == 4


def test_a_chart_is_written_beside_the_lines(capsys, file, tmp_path):
    code, out, err = run(capsys, "scan", file, "--jsonl", "--html", tmp_path / "chart.html")
    assert code == 0
    assert out
    assert "wrote" in err
    assert "walk.csv" in (tmp_path / "chart.html").read_text()


def test_a_file_that_cannot_be_read_exits_1_with_its_line(capsys, file):
    file.write_text(file.read_text().replace("\n60000,", "\n0,"))
    code, _, err = run(capsys, "scan", file)
    assert code == 1
    assert ":3" in err


def test_what_is_neither_file_nor_symbol_exits_2(capsys, tmp_path):
    code, _, err = run(capsys, "--home", tmp_path, "--profile", "demo", "scan", "NOSUCH")
    assert code == 2
    assert "BTC" in err


def test_a_symbol_of_the_configuration_is_scanned(capsys, tmp_path, file):
    (tmp_path / "bot.toml").write_text(
        '[bot]\nname = "x"\nmode = "paper"\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:1m=walk.csv"]\n'
        '[[strategy]]\nkind = "sma_cross"\n[venue]\nkind = "simulated"\n'
    )
    code, out, _ = run(capsys, "--home", tmp_path, "--config", tmp_path / "bot.toml", "scan", "BTC", "--json")
    assert code == 0
    assert out == run(capsys, "scan", file, "--json")[1]


def test_a_symbol_with_a_slash_is_no_path_and_one_in_other_letters_is_guessed(capsys, tmp_path, file):
    (tmp_path / "bot.toml").write_text(
        '[bot]\nsymbols = ["BTC/USDT"]\n[feed]\nkind = "replay"\ndata = ["BTC/USDT:1m=walk.csv"]\n'
        '[[strategy]]\nkind = "sma_cross"\n'
    )
    given = ("--home", tmp_path, "--config", tmp_path / "bot.toml", "scan")
    code, out, _ = run(capsys, *given, "BTC/USDT", "--json")
    assert (code, out) == (0, run(capsys, "scan", file, "--json")[1])
    code, _, err = run(capsys, *given, "btc/usdt")
    assert code == 2
    assert "did you mean BTC/USDT?" in err


def test_a_generated_market_is_scanned(capsys, tmp_path):
    code, out, _ = run(capsys, "--home", tmp_path, "--profile", "demo", "scan", "BTC", "--bars", "500")
    assert code == 0
    assert out.startswith("500 bars from ")


def test_a_page_that_cannot_be_written_is_named(capsys, file, tmp_path):
    code, out, err = run(capsys, "scan", file, "--html", tmp_path / "nowhere" / "page.html")
    assert (code, out) == (2, "")
    assert "cannot write: No such file or directory" in err
    assert "nowhere/page.html" in err


def test_no_events_are_shown_where_none_are_asked_for(capsys, file):
    _, with_events, _ = run(capsys, "scan", file)
    code, counts, _ = run(capsys, "scan", file, "--last", "0")
    assert code == 0
    assert with_events.startswith(counts.rstrip("\n"))
    assert "confirmed" not in counts


def test_a_symbol_that_nobody_has_is_refused_with_those_there_are(capsys, tmp_path, file):
    config = tmp_path / "bot.toml"
    rest = '[venue]\nkind = "simulated"\n[[strategy]]\nkind = "sma_cross"\n'
    config.write_text(f'[bot]\nsymbols = ["BTC"]\n[feed]\nkind = "replay"\ndata = ["BTC:1m={file}"]\n{rest}')
    code, _, err = run(capsys, "--config", config, "scan", "ETH")
    assert code == 2
    assert "name a file with bars, or a symbol: known: BTC" in err
