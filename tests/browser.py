"""A real browser, for tests of pages: what the scripts of one did when it was opened."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

_QUIET = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--virtual-time-budget=15000", *_QUIET)


def opened(folder: Path, page: str, view: str = "", size: str = "1200,700") -> tuple[dict[str, str], str]:
    """Open ``page`` in a browser; return what its scripts noted on the body, and all of it as it stands then."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("there is no chromium to open the page with")
    file = folder / "page.html"
    file.write_text(page)
    profile = f"--user-data-dir={folder / 'profile'}"
    command = (browser, *_FLAGS, f"--window-size={size}", profile, "--dump-dom", f"file://{file}{view}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    body = re.search(r"<body([^>]*)>", done.stdout)
    assert body is not None
    return dict(re.findall(r'data-(\w+)="([^"]*)"', body[1])), done.stdout
