from pathlib import Path

import pytest

from tests.data.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A store of bars in a folder of its own."""
    return Shelf(tmp_path)
