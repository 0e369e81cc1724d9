"""What an install says when it cannot be: the cause, and what mends it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOWHERE = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}


def install(lock: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    line = [str(ROOT / "scripts" / "install"), sys.prefix, str(lock)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=kept | NOWHERE | settings)


def test_without_a_registry_the_network_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"not-a-package==1.0 --hash=sha256:{'0' * 64}\n")
    done = install(lock)
    assert done.returncode == 1
    assert f"error: {lock} could not be installed" in done.stderr
    assert "mend: the registry was not reached" in done.stderr


def test_a_file_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "not_a_package-1.0-py3-none-any.whl").write_bytes(b"exchanged")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"not-a-package==1.0 --hash=sha256:{'0' * 64}\n")
    done = install(lock, PIP_FIND_LINKS=str(tmp_path), PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "mend: what was downloaded is not what was locked" in done.stderr
    assert not list(Path(sys.prefix).rglob("not_a_package*"))
