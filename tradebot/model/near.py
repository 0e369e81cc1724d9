"""What was probably meant by a name that does not exist."""

from collections.abc import Iterable

_LONGEST_WORD = 80
_MOST_LISTED = 40


def nearest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the name of ``known`` that is most like ``wrong``, whatever their case; ``None`` when none is.

    >>> nearest("doge", ["BTC", "DOGE"]), nearest("new", ["new-strategy", "stop"]), nearest("xyz", ["BTC"])
    ('DOGE', 'new-strategy', None)
    """
    # The quick commands import this, and seldom need it.
    from difflib import get_close_matches

    word = wrong[:_LONGEST_WORD].lower()
    names: dict[str, str] = {}
    for name in sorted(known):
        names.setdefault(name.lower(), name)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return names[near[0]]
    begun = [name for name in names if word and name.startswith(word)]
    return names[begun[0]] if len(begun) == 1 else None


def did_you_mean(wrong: object, known: Iterable[str]) -> str:
    """Return a suggestion for ``wrong`` from ``known``, else a list of what is known.

    >>> did_you_mean("doge", ["BTC", "DOGE"]), did_you_mean("xyz", ["BTC", "DOGE"])
    ('did you mean DOGE?', 'known: BTC, DOGE')
    """
    names = sorted(known)
    near = nearest(str(wrong), names)
    if near is not None:
        return f"did you mean {near}?"
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"known: {', '.join(names[:_MOST_LISTED])}{more}"
