"""The files around the code: image, hooks, lock, make."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def copied_into_the_image() -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", read("Dockerfile"), re.MULTILINE)
    return [name for line in lines for name in line.split()]


@pytest.mark.parametrize("name", copied_into_the_image())
def test_what_the_image_copies_exists_and_is_not_ignored(name: str) -> None:
    assert (ROOT / name).exists()
    allowed = [line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")]
    assert any(name == rule or name.startswith(f"{rule}/") or fnmatch(name, rule) for rule in allowed)


def test_the_image_runs_as_a_plain_user_with_the_home_as_its_only_volume() -> None:
    final = read("Dockerfile").rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^VOLUME (.*)$", final, re.MULTILINE) == ["/state"]
    assert "TRADEBOT_HOME=/state" in final
    assert "RUN pip" not in final


def test_all_hooks_are_local_and_run_the_tools_of_the_environment() -> None:
    text = read(".pre-commit-config.yaml")
    assert set(re.findall(r"repo: (\S+)", text)) == {"local"}
    entries = re.findall(r"entry: (\S+)", text)
    assert entries
    assert all(entry.startswith((".venv/bin/", "scripts/")) for entry in entries)


def test_the_lock_files_are_whole() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check-lock")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_the_lock_files_name_no_host(name: str) -> None:
    assert "://" not in read(f"requirements/{name}")


def test_every_target_of_make_is_listed_by_help() -> None:
    text = read("Makefile")
    targets = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert targets is not None
    listed = subprocess.run(["make", "-C", str(ROOT), "-s", "help"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines() if not line.startswith("make")} == set(targets[1].split())


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_every_script_can_be_run_and_says_what_it_does(path: Path) -> None:
    if path.is_dir() or path.suffix:
        pytest.skip("not a command")
    lines = path.read_text().splitlines()
    assert path.stat().st_mode & 0o111
    assert lines[0].startswith("#!/usr/bin/env ")
    assert lines[1].startswith(("# ", '"""'))
