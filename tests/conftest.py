"""What all tests share."""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import localcontext

import pytest
from hypothesis import settings

from tests.virtual import VirtualLoop
from tradebot.model.money import MONEY_CONTEXT

# How long an example takes says more about the machine than about the code.
settings.register_profile("quick", deadline=None, max_examples=35)
settings.register_profile("deep", deadline=None, max_examples=1000)
settings.load_profile("quick")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give a test that is marked so a loop in which waiting costs nothing."""
    return {"loop": VirtualLoop if item.get_closest_marker("virtual_time") else asyncio.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long tests first: other workers take the rest over meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Spare the collector what all tests are made of: each daemon in this process has it look through everything."""
    gc.collect()
    gc.freeze()
    # For good: a daemon would freeze what only its test needs, and unfreeze all else.
    stay = pytest.MonkeyPatch()
    stay.setattr(gc, "freeze", lambda: None)
    stay.setattr(gc, "unfreeze", lambda: None)


@pytest.fixture(autouse=True)
def _same_tracer() -> Iterator[None]:
    """Give coverage its tracer back: interrupting a strategy that swallows everything takes it away."""
    tracer = sys.gettrace()
    yield
    if sys.gettrace() is not tracer:
        sys.settrace(tracer)


@pytest.fixture(autouse=True)
def _own_context() -> Iterator[None]:
    """Give each test the arithmetic of the program: libraries that are only oracles here change that of the process."""
    with localcontext(MONEY_CONTEXT):
        yield
