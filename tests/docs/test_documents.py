"""The documents hold together, and the check that says so finds each kind of fault."""

import io
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@cache
def script() -> dict[str, Any]:
    """The check itself, loaded once: as a process it would read the whole program for each fault."""
    return runpy.run_path(str(ROOT / "scripts" / "check-docs"), run_name="check_docs")


def check(copy: Path) -> tuple[int, str]:
    """Return the exit code of the check of ``copy``, and its faults."""
    errors, writes_bytecode = io.StringIO(), sys.dont_write_bytecode
    try:
        with redirect_stderr(errors), redirect_stdout(io.StringIO()):
            return script()["main"]([str(copy)]), errors.getvalue()
    finally:
        sys.dont_write_bytecode = writes_bytecode


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the documents alone."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "LICENSE").touch()
    (tmp_path / "systemd").mkdir()
    return tmp_path


def test_the_documents_hold_together() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "check-docs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "text", "fault"),
    [
        ("docs/index.md", "[gone](gone.md)", "broken link: gone.md"),
        ("docs/index.md", "[x](glossary.md#no-such-part)", "no such heading: glossary.md#no-such-part"),
        ("docs/index.md", "[over\nthe end](gone.md)", "broken link: gone.md"),
        ("docs/how-to/new.md", "# New", "cannot be reached"),
        ("README.md", "```\ntradebot stauts\n```", "does not parse: tradebot stauts"),
        ("README.md", "```\ntradebot close\n```", "does not parse: tradebot close"),
        ("README.md", "Use `tradebot stop --faltten`.", "does not parse: tradebot stop --faltten"),
        ("docs/glossary.md", "see /ro" + "ot/bots/x", "names a path of one machine"),
        ("docs/adr/0001-turns-through-tasks.md", "\n" * 60, "longer than 60 lines"),
        ("docs/reference/promises.md", "| more | 1 s | `x.py` | some test |", "a promise without a test"),
        ("docs/reference/promises.md", "| `tests/a.py::test_b` |", "there is no test tests/a.py::test_b"),
        ("docs/reference/cli.md", "more", "is out of date"),
        ("docs/reference/order-life.md", "more", "is out of date"),
    ],
)
def test_a_fault_is_found_and_named(copy: Path, page: str, text: str, fault: str) -> None:
    path = copy / page
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{text}\n")
    code, errors = check(copy)
    assert code == 1
    assert any(line.startswith(page) and fault in line for line in errors.splitlines()), errors


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("cli.md", "### state verify\n"),
        ("configuration.md", "## `instrument"),
        ("errors.md", "| `LockHeld` | 75 |"),
        ("log-events.md", "| `disk.low` |"),
        ("dependencies.md", "| aiosqlite "),
        ("alerts.md", "| `actions_low` |"),
        ("promises.md", "| `venue_lost` |"),
    ],
)
def test_what_is_not_documented_is_found(copy: Path, page: str, row: str) -> None:
    path = copy / "docs" / "reference" / page
    path.write_text(path.read_text().replace(row, ""))
    code, errors = check(copy)
    assert code == 1
    assert f"lacks {row.strip()}" in errors


def test_a_command_in_a_sentence_needs_no_arguments(copy: Path) -> None:
    path = copy / "docs" / "glossary.md"
    path.write_text(path.read_text() + "\nSee `tradebot why` and `tradebot COMMAND --help`.\n")
    assert "glossary.md" not in check(copy)[1]


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "write-docs"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
