"""A grid over two machines: two real Ray nodes of this one, each with files of its own."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.waiting import wait_until
from tradebot.cli import main

pytest.importorskip("ray", reason="the extra cluster is not installed")

pytestmark = pytest.mark.soak

CONFIG = """
[bot]
name = "grid"
symbols = ["BTC"]
[feed]
kind = "replay"
data = ["BTC:5m=bars.csv"]
[venue]
funding = ["BTC=rates.csv"]
[[strategy]]
kind = "odd.py:Odd"
name = "odd"
stop = "none"
[risk]
size = { kind = "notional", notional = "1000" }
"""
STRATEGY = """
import os
from tradebot.pipeline.strategy.base import Enter, Exit, Field, Params, PositionSide


class Odd:
    class Params(Params):
        n: int = Field(0, ge=0, le=100)

    def __init__(self, params):
        self.n, self.count = params.n, 0

    def on_bar(self, bar, position):
        self.count += 1
        if self.count == 50 and self.n == 2:
            os._exit(9)
        if self.count % (self.n + 5):
            return []
        return [Enter(PositionSide.LONG)] if position is None else [Exit()]
"""
VARYING = ("wall_s", "bars_per_s")


def node(*words: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("ray")), "start", *words, "--num-cpus=1", "--block"]
    command += ["--node-ip-address=127.0.0.1", "--disable-usage-stats", "--object-store-memory=100000000"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def is_listening(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def alive(address: str) -> list[str]:
    import ray

    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        return [one["NodeID"] for one in ray.nodes() if one["Alive"]]
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Give the address of a cluster of two machines, and the process that is the second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The sockets of Ray lie below its folder, and must not be too long.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        head = node("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
        try:
            wait_until(lambda: is_listening(port), pause_s=0.2)
            second = node(f"--address=127.0.0.1:{port}")
            try:
                wait_until(lambda: len(alive(f"127.0.0.1:{port}")) == 2, pause_s=0.5)
                yield f"127.0.0.1:{port}", second
            finally:
                end(second)
        finally:
            end(head)


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG)
    (tmp_path / "odd.py").write_text(STRATEGY)
    rows = "".join(f"{300_000 * n},{100 + n % 7},{108 + n % 7},{93 + n % 7},{100 + n % 5},1\n" for n in range(600))
    (tmp_path / "bars.csv").write_text("ts_ms,open,high,low,close,volume\n" + rows)
    (tmp_path / "rates.csv").write_text("ts_ms,rate\n0,0.0001\n3600000,0.0002\n")

    def call(*words):
        code = main.run(["backtest", "--config", "c.toml", "--json", *words], {})
        out = capfd.readouterr().out
        found = [json.loads(line) for line in out.splitlines()]
        return code, [{key: value for key, value in row.items() if key not in VARYING} for row in found]

    return call


def test_the_lines_are_those_of_one_machine(cluster, run):
    words = ("--grid", "n=0,1,3,4,5,6", "--grid", "direction=long,both,sideways")
    expected = run(*words, "--workers", "1")
    assert run(*words, "--cluster", cluster[0]) == expected
    assert sum(row.get("trades", 0) > 0 for row in expected[1]) == 12
    each = ("--each", "BTC:5m=b*.csv", "--grid", "n=1,3")
    assert run(*each, "--cluster", cluster[0]) == run(*each, "--workers", "1")


def test_a_job_that_kills_its_process_ends_alone(cluster, run):
    code, rows = run("--grid", "n=1,2,3", "--cluster", cluster[0])
    assert code == 1
    assert ["error" in row for row in rows] == [False, True, False]


def test_a_machine_that_goes_away_loses_nothing(cluster, run):
    address, second = cluster
    words = ("--grid", "n=" + ",".join(str(n) for n in range(3, 60)))
    expected = run(*words, "--workers", "1")
    ends = threading.Timer(4, end, (second,))
    ends.start()
    assert run(*words, "--cluster", address) == expected
    ends.join()
    assert len(alive(address)) == 1


def test_where_no_cluster_is_nobody_waits_for_one(run):
    assert run("--grid", "n=1", "--cluster", "127.0.0.1:1")[0] == 1
    assert run("--grid", "n=1", "--cluster", "nowhere")[0] == 2
    assert run("--grid", "n=1", "--workers", "2", "--cluster", "127.0.0.1:1")[0] == 2
