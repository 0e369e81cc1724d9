"""The base of the frozen values of which there are millions: made, compared and read back by compiled code."""

from msgspec import Struct


class Value(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A frozen value. It holds others like it, numbers and text, never what could hold it: the collector passes by."""
