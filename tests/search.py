"""How wide a law is searched whose every example is costly."""

from hypothesis import settings


def examples(quick: int) -> int:
    """Return ``quick``, or under another profile as many times more as of any other law.

    With a number alone such a law would be searched no wider by ``make soak`` than by ``make test``.
    """
    ordinary = settings.get_profile("quick").max_examples
    return quick * settings.default.max_examples // ordinary
