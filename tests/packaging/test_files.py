"""The files around the code: image, hooks, lock, make."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tradebot.cli.parse import parse

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


def test_compose_confines_each_service_and_says_live_only_where_it_is_asked_for() -> None:
    compose = yaml.safe_load(read("compose.yaml"))
    bot, live = compose["services"]["bot"], compose["services"]["live"]
    assert bot["user"] == "10001:10001"
    assert (bot["read_only"], bot["init"], bot["cap_drop"]) == (True, True, ["ALL"])
    assert bot["security_opt"] == ["no-new-privileges:true"]
    assert (bot["pids_limit"], bot["mem_limit"], bot["ulimits"]) == (64, "512m", {"core": 0})
    assert bot["tmpfs"] == ["/tmp:noexec,nosuid,size=16m"]
    assert bot["healthcheck"]["test"] == ["CMD", "tradebot", "health"]
    assert bot["stop_grace_period"] == "60s"
    assert "state:/state" in bot["volumes"]
    assert (live["extends"], live["profiles"], live["secrets"]) == ("bot", ["live"], ["agent.key"])
    assert live["environment"]["TRADEBOT__VENUE__KEY_FILE"] == "/run/secrets/agent.key"
    assert parse(bot["command"]).flag("live") is False
    assert parse(live["command"]).flag("live") is True
    assert set(compose["volumes"]) == {"state", "live"}


def test_what_bandit_finds_is_excused_with_a_reason() -> None:
    for path in sorted((ROOT / "tradebot").rglob("*.py")):
        for line in path.read_text().splitlines():
            if "# nosec" in line:
                assert re.search(r"[-#] (?!noqa|type:)[a-zA-Z][^#]*# nosec B\d{3}(, B\d{3})*$", line), f"{path}: {line}"


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
