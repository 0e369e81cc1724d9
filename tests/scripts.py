"""The project's own checks, run in this process: what is tested is what they say, not that Python starts."""

import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_script(name: str, folder: Path) -> tuple[int, str]:
    """Run a script on ``folder``; return its exit code and what it wrote to stderr."""
    said, code = StringIO(), None
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), redirect_stdout(StringIO()):
        patch.setattr(sys, "argv", [name, str(folder)])
        try:
            runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")
        except SystemExit as ended:
            code = ended.code
    return (1, f"{code}\n") if isinstance(code, str) else (code or 0, said.getvalue())
