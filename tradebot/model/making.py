"""Quick makers of frozen values, for kinds of which there are millions.

A frozen dataclass sets its fields through ``object.__setattr__``, and a call of a class with keywords builds a
dict of them: together they cost more than what most stages do. So a maker is a plain function, which fills a twin
of the same slots, not frozen, that then becomes what it stands for.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """Return a function that gives what calling ``cls`` gives: a dataclass, frozen, with slots, that checks nothing."""
    original = cast("Any", cls)
    if hasattr(original, "__post_init__"):
        raise TypeError(f"{original.__name__} checks its fields, which a maker would leave out")
    specs = fields(original)
    twin = type(original.__name__, original.__bases__, {"__slots__": original.__slots__})
    names: dict[str, Any] = {"original": original, "twin": twin, "new": object.__new__, "MISSING": MISSING}
    names |= {f"default_{f.name}": f.default for f in specs} | {f"factory_{f.name}": f.default_factory for f in specs}
    parameters = [_parameter(f) for f in specs if not f.kw_only]
    keywords = [_parameter(f) for f in specs if f.kw_only]
    head = ", ".join([*parameters, *(["*"] if keywords else []), *keywords])
    body = "".join(f"    self.{f.name} = {_value(f)}\n" for f in specs)
    source = f"def make({head}):\n    self = new(twin)\n{body}    self.__class__ = original\n    return self\n"
    # As dataclasses themselves do; there is nothing in it but the names of fields.
    exec(source, names)  # noqa: S102
    return cast("Callable[P, T]", names["make"])


def _parameter(spec: "Field[Any]") -> str:
    if spec.default_factory is not MISSING:
        return f"{spec.name}=MISSING"
    return spec.name if spec.default is MISSING else f"{spec.name}=default_{spec.name}"


def _value(spec: "Field[Any]") -> str:
    if spec.default_factory is MISSING:
        return spec.name
    return f"factory_{spec.name}() if {spec.name} is MISSING else {spec.name}"
