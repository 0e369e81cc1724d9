"""``tradebot backtest --grid``: one line a set, the same by however many workers, and none lost by another."""

import json
import resource

import pytest

from tradebot.cli import main
from tradebot.research import results

pytest.importorskip("joblib", reason="the extra research is not installed")

pytestmark = pytest.mark.long

CONFIG = """
[bot]
name = "grid"
symbols = ["BTC"]
[feed]
kind = "generated"
bars = 3000
[[strategy]]
kind = "sma_cross"
name = "cross"
fast = 5
slow = 20
[risk]
size = { kind = "notional", notional = "1000" }
"""
STRATEGY = """
import os
from pydantic import BaseModel


class Odd:
    class Params(BaseModel):
        n: int = 0

    def __init__(self, params):
        self.n, self.count = params.n, 0

    def on_bar(self, bar, position):
        print("a strategy may print")
        self.count += 1
        if self.count == 50 and self.n == 1:
            raise ValueError("one is too few")
        if self.count == 50 and self.n == 2:
            os._exit(9)
"""
VARYING = ("wall_s", "bars_per_s")
# Thousands of samples of each set would take longer than the sets.
DRAWN = ("uncertainty", "monte_carlo")
GRID = ("--grid", "fast=3,5,25", "--grid", "slow=20,30")


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG)

    def call(*words):
        code = main.run(["backtest", "--config", "c.toml", *words], {})
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def rows(out):
    found = [json.loads(line) for line in out.splitlines()]
    return [{key: value for key, value in row.items() if key not in VARYING} for row in found]


def test_lines_are_the_reports_of_single_runs_by_however_many_workers(run):
    code, out, err = run(*GRID, "--json", "--workers", "1")
    assert code == 0
    assert "2 of 6 sets" not in err
    found = rows(out)
    assert [row["params"] for row in found] == [
        {"fast": fast, "slow": slow} for fast in (3, 5, 25) for slow in (20, 30)
    ]
    assert run(*GRID, "--json", "--workers", "2")[1].count("\n") == 6
    assert rows(run(*GRID, "--json", "--workers", "2")[1]) == found
    single = json.loads(run("--json")[1])
    (same,) = (row for row in found if row["params"] == {"fast": 5, "slow": 20})
    assert single.keys() - {*VARYING, *DRAWN} == same.keys() - {"params"}
    differing = {key for key in same.keys() - {"params"} if same[key] != single[key]}
    assert differing == {"equity_curve"}
    curve = single["equity_curve"]
    assert same["equity_curve"][0] == curve[0]
    assert same["equity_curve"][-1] == curve[-1]
    day_ms = 86_400_000
    ends = {ts: equity for ts, equity in curve if ts % day_ms == 0}
    assert ends
    assert ends.items() <= dict(same["equity_curve"]).items()


def test_a_corner_that_the_configuration_refuses_is_told_and_no_failure(run):
    code, out, err = run(*GRID, "--json", "--workers", "1")
    assert code == 0
    refused = [row for row in rows(out) if "error" in row]
    assert [row["params"] for row in refused] == [{"fast": 25, "slow": 20}]
    assert refused[0]["error"]["code"] == "config"
    assert "refused: fast=25 slow=20" in err
    assert "1 of 6 sets refused" in err
    assert run("--grid", "fast=25,30", "--workers", "1")[0] == 1, "none can be run"


def test_the_table_has_the_best_first_and_says_what_that_is_worth(run):
    code, out, _ = run(*GRID, "--workers", "1")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["fast", "slow", "net_pnl"]
    gains = [float(line.split()[2].replace(",", "")) for line in lines[1:6]]
    assert gains == sorted(gains, reverse=True)
    assert "the luckiest" in out


def test_a_set_that_dies_or_fails_ends_no_other(run, tmp_path):
    (tmp_path / "odd.py").write_text(STRATEGY)
    text = CONFIG.replace('"sma_cross"', '"odd.py:Odd"').replace("fast = 5\nslow = 20\n", "")
    (tmp_path / "c.toml").write_text(text)
    code, out, err = run("--grid", "n=0,1,2,3", "--json", "--workers", "2")
    assert code == 1
    found = rows(out)
    assert [row["params"]["n"] for row in found] == [0, 1, 2, 3]
    assert ["error" in row for row in found] == [False, False, True, False]
    assert found[2]["error"]["code"] == "internal"
    assert found[1]["disabled"]
    assert "failed: n=2: the process that ran this set died" in err
    assert "in 1 of 4 sets a strategy was disabled" in err


def test_a_run_that_was_cut_short_goes_on_with_its_results(run, tmp_path, monkeypatch):
    whole = run(*GRID, "--json", "--workers", "1")[1]
    code, out, _ = run(*GRID, "--json", "--workers", "1", "--results", "r.jsonl")
    assert (code, rows(out)) == (0, rows(whole))
    kept = (tmp_path / "r.jsonl").read_bytes()
    assert [json.loads(line)["params"] for line in kept.splitlines()] == [row["params"] for row in rows(whole)]
    # Cut within a line, as a kill may do, and with the lines as they came.
    lines = kept.splitlines(keepends=True)
    (tmp_path / "r.jsonl").write_bytes(lines[3] + lines[0] + lines[1][:40])
    first = json.loads(out.splitlines()[0])
    code, out, _ = run(*GRID, "--json", "--workers", "2", "--results", "r.jsonl")
    assert (code, rows(out)) == (0, rows(whole))
    assert json.loads(out.splitlines()[0]) == first, "taken from the file, with the time it took then"
    again = (tmp_path / "r.jsonl").read_bytes()
    assert [json.loads(line)["params"] for line in again.splitlines()] == [row["params"] for row in rows(whole)]


def test_results_of_a_smaller_grid_are_used_and_kept_by_a_larger(run, tmp_path):
    small = run("--grid", "fast=3", "--grid", "slow=20", "--json", "--workers", "1", "--results", "r.jsonl")[1]
    other = run("--grid", "slow=40", "--json", "--workers", "1", "--results", "r.jsonl")[1]
    large = run(*GRID, "--json", "--workers", "1", "--results", "r.jsonl")[1]
    assert large.splitlines()[0] == small.splitlines()[0]
    kept = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(kept) == 7
    assert kept[-1]["params"] == json.loads(other)["params"]


def test_results_of_another_run_are_never_mixed_in(run, tmp_path):
    assert run("--grid", "fast=3,4", "--workers", "1", "--results", "r.jsonl")[0] == 0
    text = (tmp_path / "c.toml").read_text()
    (tmp_path / "c.toml").write_text(text.replace('"1000"', '"2000"'))
    code, _, err = run("--grid", "fast=3,4", "--workers", "1", "--results", "r.jsonl")
    assert code == 2
    assert "r.jsonl:1" in err
    assert "another configuration, other data or another version" in err


def test_changed_data_is_another_run(run, tmp_path):
    head, row = "ts_ms,open,high,low,close,volume\n", "{},100,101,99,{},1\n"
    text = CONFIG.replace('kind = "generated"\nbars = 3000', 'kind = "replay"\ndata = ["BTC:5m=b.csv"]')
    (tmp_path / "c.toml").write_text(text)
    (tmp_path / "b.csv").write_text(head + "".join(row.format(300_000 * n, 100) for n in range(60)))
    words = ("--grid", "fast=3,4", "--workers", "1", "--results", "r.jsonl")
    assert run(*words)[0] == 0
    assert run(*words)[0] == 0
    (tmp_path / "b.csv").write_text(head + "".join(row.format(300_000 * n, 100.5) for n in range(60)))
    assert run(*words)[0] == 2
    assert run("--each", "BTC:5m=b*.csv", *words[2:4], "--results", "each.jsonl")[0] == 0


@pytest.mark.parametrize("content", ["hello\n", "[1]\n", '{"run":"x"}\n', "\xff\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(run, tmp_path, content):
    (tmp_path / "r.jsonl").write_text(content)
    code, _, err = run("--grid", "fast=3,4", "--workers", "1", "--results", "r.jsonl")
    assert code == 2
    assert "no result of a grid" in err
    assert (tmp_path / "r.jsonl").read_text() == content


@pytest.mark.parametrize("path", ["nowhere/r.jsonl", ".", "/dev/full"])
def test_results_that_cannot_be_written_are_said_at_once(run, path):
    code, _, err = run("--grid", "fast=3,4", "--workers", "1", "--results", path)
    assert code == 2
    assert "cannot write" in err


@pytest.fixture
def _small_files():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_small_files")
def test_results_that_can_be_written_no_more_are_said(run):
    code, _, err = run("--grid", "fast=3,4", "--json", "--workers", "1", "--results", "r.jsonl")
    assert code == 2
    assert "cannot write: there is no more room" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--workers", "2"), "--workers is for many runs"),
        (("--results", "r.jsonl"), "--results is for many runs"),
        (("--grid", "fast=3", "--trades", "t.jsonl"), "--trades is for a single run"),
        (("--grid", "fast=3", "--html", "t.html"), "--html is for a single run"),
        (("--grid", "fast=3", "--force"), "--force is for --repair"),
    ],
)
def test_options_that_do_not_fit_are_refused(run, words, says):
    code, _, err = run(*words)
    assert code == 2
    assert says in err


def test_the_name_of_a_set_does_not_depend_on_the_order_of_its_axes():
    assert results.params_key({"a": 1, "b": 2}) == results.params_key({"b": 2, "a": 1})
