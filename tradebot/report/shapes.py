"""JSON as Python sees it, and how to read a part of it that another process wrote."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias, Union

Json: TypeAlias = Union[bool, int, float, str, Sequence["Json"], Mapping[str, "Json"], None]  # noqa: UP007 - it names itself
Document: TypeAlias = dict[str, Json]
"""One JSON object, being built."""


def section(document: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """Return the object at ``key``; empty when it is absent or something else."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def rows(document: Mapping[str, Json], key: str) -> list[Mapping[str, Json]]:
    """Return the objects of the list at ``key``; empty when it is absent or something else."""
    value = document.get(key)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return []
    return [row for row in value if isinstance(row, Mapping)]
