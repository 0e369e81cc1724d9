"""The outcome of a check, as ``doctor`` tells it."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; ``mend`` is empty when nothing needs mending."""

    check: str
    grade: Grade
    what: str
    mend: str = ""
