"""What nothing but tests uses is refused by name."""

from pathlib import Path

import pytest

from tests.scripts import run_script

CODE = """
from enum import StrEnum


class Level(StrEnum):
    HIGH = "high"
    LOW = "low"


class Guard:
    def allows(self):
        return self.allows() or Level.HIGH

    @property
    def left(self):
        return 0


def make():
    return Guard().left


def spare():
    return spare()
"""


def said_of(folder: Path) -> tuple[int, list[str]]:
    code, said = run_script("check-callers", folder)
    return code, [line.partition(" uses ")[2].partition(";")[0] for line in said.splitlines()]


def program(folder: Path, **files: str) -> Path:
    (folder / "tradebot").mkdir()
    for name, text in files.items():
        (folder / "tradebot" / f"{name}.py").write_text(text)
    return folder


def test_what_only_names_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("from tradebot.part import spare\nspare()\n")
    code, faults = said_of(program(tmp_path, part=CODE, main="from tradebot.part import make\n"))
    assert (code, faults) == (
        1,
        ["tradebot.part.Level.LOW", "tradebot.part.Guard.allows", "tradebot.part.spare"],
    )


@pytest.mark.parametrize(
    "use",
    [
        "from tradebot.part import make, spare\nLevel = 1\nGuard.allows\nLevel.LOW\n",
        "from tradebot import part\nfrom tradebot.part import make, Level\npart.spare, part.Guard.allows, Level('x')\n",
        "import tradebot.part as p\np.make, p.spare, p.Guard().allows, p.Level.LOW\n",
    ],
)
def test_a_use_by_another_module_is_seen_however_it_is_written(tmp_path: Path, use: str) -> None:
    assert said_of(program(tmp_path, part=CODE, main=use)) == (0, [])
