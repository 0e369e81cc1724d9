"""A shipped profile as a form: its text with its comments, in which values are filled in."""

import json
import re
from collections.abc import Collection

from tradebot.settings.toml import KeyPath, Locator

_ASSIGNMENT = re.compile(r"(?:# )?(?P<key>\w+) = (?P<value>.*?)(?P<comment>\s+#.*)?")
_HEADER = re.compile(r"\[+[^\]]+\]+")


def quoted(text: str) -> str:
    """Return ``text`` as a string of TOML."""
    return json.dumps(text)


class Form:
    """Lines of TOML with one assignment a line, as the shipped profiles have it."""

    def __init__(self, text: str) -> None:
        self._lines: list[str] = text.splitlines()

    @property
    def text(self) -> str:
        """The text as it is filled in."""
        return "\n".join(self._lines).rstrip() + "\n"

    def head(self, comment: str) -> None:
        """Replace the comment at the top by ``comment``."""
        self._lines = [*comment.splitlines(), *self._lines[self._lines.index("") :]]

    def put(self, path: KeyPath, value: str) -> None:
        """Give the key at ``path`` a value, written as TOML; one that stands in a comment is taken out of it.

        Raises ``KeyError`` where the form has no such key.
        """
        number = self._find(path)
        match = _ASSIGNMENT.fullmatch(self._lines[number])
        if match is None:
            raise KeyError(path)
        line = f"{match['key']} = {value}"
        comment = (match["comment"] or "").lstrip()
        column = max(len(line) + 2, self._lines[number].index(comment)) if comment else 0
        self._lines[number] = line.ljust(column) + comment

    def trade_only(self, symbols: Collection[str]) -> None:
        """Let every strategy trade all ``symbols``, and leave out the instruments of others."""
        located = self._located()
        gone = {line for path, line in located.items() if path[0] == "strategy" and path[2:] == ("symbols",)}
        for path in located:
            if path[0] == "instrument" and path[2:] == ("symbol",):
                first, last = self._table(located[path[:2]])
                if json.loads(self._lines[located[path]].partition(" = ")[2]) not in symbols:
                    gone.update(range(first, last))
        if gone.issuperset(number for path, number in located.items() if path[0] == "instrument"):
            first = min((number for path, number in located.items() if path == ("instrument", 0)), default=0)
            while first and self._lines[first - 1].startswith("#"):
                first -= 1
                gone.add(first)
        self._lines = [line for number, line in enumerate(self._lines) if number not in gone]

    def _located(self) -> dict[KeyPath, int]:
        return {path: line - 1 for path, line in Locator("\n".join(self._lines)).lines().items()}

    def _find(self, path: KeyPath) -> int:
        located = self._located()
        if path in located:
            return located[path]
        first, last = self._table(located[path[:-1]])
        commented = (number for number in range(first, last) if self._lines[number].startswith(f"# {path[-1]} = "))
        number = next(commented, None)
        if number is None:
            raise KeyError(path)
        return number

    def _table(self, first: int) -> tuple[int, int]:
        """Return the lines of the table whose header stands in line ``first``: from there up to the next header."""
        headers = (n for n in range(first + 1, len(self._lines)) if _HEADER.fullmatch(self._lines[n].strip()))
        return first, next(headers, len(self._lines))
