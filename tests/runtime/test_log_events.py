"""The closed list of log events: each has a place that emits it, and nothing logs under another name."""

import re
from pathlib import Path

import pytest

import tradebot
from tradebot.model.logevent import LogEvent

SOURCES = {
    path: path.read_text() for path in Path(tradebot.__file__).parent.rglob("*.py") if path.name != "logevent.py"
}
EMITTED = {name for text in SOURCES.values() for name in re.findall(r"LogEvent\.([A-Z_]+)", text)}


@pytest.mark.parametrize("event", LogEvent)
def test_every_event_is_emitted_somewhere(event: LogEvent) -> None:
    assert event.name in EMITTED


def test_names_are_a_noun_and_a_past_verb() -> None:
    assert [event for event in LogEvent if not re.fullmatch(r"[a-z]+\.[a-z]+", event)] == []
    assert [event for event in LogEvent if event.name != event.replace(".", "_").upper()] == []
