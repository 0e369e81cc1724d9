"""What all tests share."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("tradebot", deadline=None)
settings.load_profile("tradebot")


@pytest.fixture(autouse=True)
def _same_tracer() -> Iterator[None]:
    """Give coverage its tracer back: interrupting a strategy that swallows everything takes it away."""
    tracer = sys.gettrace()
    yield
    if sys.gettrace() is not tracer:
        sys.settrace(tracer)
