"""Quick makers of frozen values, for kinds of which there are millions.

A frozen dataclass sets its fields through ``object.__setattr__``, which costs more than all the rest of making
one. So a twin of the same slots, but not frozen, is made and then becomes what it stands for.
"""

from collections.abc import Callable
from dataclasses import field, fields, make_dataclass
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that gives what calling ``cls`` gives: a dataclass, frozen, with slots, that checks nothing."""
    original = cast("Any", cls)
    if hasattr(original, "__post_init__"):
        raise TypeError(f"{original.__name__} checks its fields, which a maker would leave out")

    def become(self: Any) -> None:
        self.__class__ = original

    specs = [
        (f.name, f.type, field(default=f.default, default_factory=f.default_factory, kw_only=f.kw_only))
        for f in fields(original)
    ]
    twin = make_dataclass(
        original.__name__, specs, bases=original.__bases__, namespace={"__post_init__": become}, slots=True, eq=False
    )
    return cast("Callable[P, T]", twin)
