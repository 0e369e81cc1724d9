"""A text that no log, repr, format, pickle or copy shows."""

from typing import NoReturn, Self

_SHOWN = "***"


class Secret:
    """A secret text; ``reveal`` alone gives it. It is not empty."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret is empty")
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: for whoever uses it, never for who tells of it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{_SHOWN}')"

    def __str__(self) -> str:
        return _SHOWN

    def __format__(self, _spec: str) -> str:
        return _SHOWN

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
