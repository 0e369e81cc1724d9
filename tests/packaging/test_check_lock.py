"""A lock that is not whole is refused, whatever it lacks: an install would have to ask what was released since."""

import re
import shutil
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).parents[2]


def said_of(folder: Path) -> tuple[int, str]:
    return run_script("check-lock", folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def entry(name: str) -> str:
    return rf"(?m)^{name}==.*(?:\n .*)*\n"


def test_the_locks_of_the_project_are_whole(project: Path) -> None:
    assert said_of(project) == (0, "")


@pytest.mark.parametrize(
    ("file", "pattern", "put", "says"),
    [
        ("run.txt", entry("multidict"), "", "run.txt lacks multidict"),
        ("dev.txt", entry("coverage"), "", "dev.txt lacks coverage[toml]>=7.10.6, which pytest-cov asks for"),
        ("dev.txt", entry("pyarrow"), "", "dev.txt lacks pyarrow>=20, which pyproject.toml asks for"),
        ("run.txt", entry("setuptools"), "", "run.txt lacks setuptools"),
        ("peers.txt", entry("basana"), "", "peers.txt lacks basana==1.10.2"),
        ("audit.txt", entry("bandit"), "", "audit.txt lacks bandit>=1.9"),
        ("dev.txt", r"(?m)^numpy==.*>= '3\.12'.*(?:\n .*)*\n", "", "dev.txt lacks numpy"),
        ("run.txt", r"(?m)^rich==15\.0\.0", "rich>=15.0.0", "run.txt: rich>=15.0.0 is not pinned"),
        ("run.txt", r"(?m)^rich==15\.0\.0", "rich==15.*", "run.txt: rich==15.* is not pinned"),
        ("run.txt", r"(?m)^rich==15\.0\.0", "rich==13.9.4", "but "),
        (
            "dev.txt",
            r"(?m)^pydantic-core==\S+",
            "pydantic-core==2.0.0",
            "dev.txt has pydantic-core 2.0.0, but pydantic",
        ),
        ("dev.txt", r"(?m)^rich==15\.0\.0", "rich==15.0.1", "dev.txt has another rich than run.txt"),
        ("run.txt", r"(?m)^(rich==\S+)(.*\n    --hash.*)+", r"\1", "run.txt: rich has no hash"),
        ("run.txt", r"\A", "--index-url https://packages.example/simple\n", "run.txt names a host"),
        ("run.txt", r"(?m)^rich==\S+", "rich @ https://packages.example/rich.whl", "run.txt names a host"),
    ],
)
def test_a_lock_that_is_not_whole_is_refused(project: Path, file: str, pattern: str, put: str, says: str) -> None:
    path = project / "requirements" / file
    text, count = re.subn(pattern, put, path.read_text())
    assert count == 1
    path.write_text(text)
    code, error = said_of(project)
    assert code == 1
    assert says in error


def test_an_extra_that_was_added_without_locking_is_refused(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace('research = ["joblib', 'research = ["networkx>=3", "joblib'))
    assert "dev.txt lacks networkx>=3" in said_of(project)[1]
