"""What the core install must do without: the packages of the extras are loaded by who asks for them."""

import subprocess
import sys

BARRED = ("coincurve", "Crypto", "msgpack", "numpy", "numba", "pyarrow", "ccxt", "hyperliquid")
SCRIPT = f"""
import sys

class Barred:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BARRED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Barred())
from tradebot.cli.main import main
import tradebot.runtime.daemon, tradebot.runtime.backtest, tradebot.runtime.doctor, tradebot.cli.stored
"""


def test_the_daemon_and_the_cli_need_no_extra() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
