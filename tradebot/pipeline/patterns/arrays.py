"""The memory of kernels: named tuples of fixed-size arrays, made of ``array`` here and of numpy's when compiled."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast

Ints: TypeAlias = "array[int]"
Floats: TypeAlias = "array[float]"
State = TypeVar("State")

# Beyond every price and every mirrored one, and yet a number that JSON knows.
BELOW_ALL, ABOVE_ALL = -1e300, 1e300


def ints(*first: int, zeros: int = 0) -> Ints:
    """Return an array of whole numbers: ``first``, then that many zeros."""
    return array("q", first) + array("q", bytes(8 * zeros))


def floats(*first: float, zeros: int = 0) -> Floats:
    """Return an array of floats: ``first``, then that many zeros."""
    return array("d", first) + array("d", bytes(8 * zeros))


def as_views(state: State) -> State:
    """Return ``state`` with arrays of numpy's over the same memory, as compiled kernels take them fastest."""
    import numpy as np

    return map_arrays(state, lambda one: np.frombuffer(cast("Ints", one), cast("Ints", one).typecode))


def map_arrays(state: State, change: Callable[[object], object]) -> State:
    """Return ``state`` with each of its arrays, however deep, replaced by what ``change`` makes of it."""
    if isinstance(state, tuple):
        parts = (map_arrays(part, change) for part in state)
        return cast("State", type(state)(*parts))
    return cast("State", change(state))


@dataclass(frozen=True, slots=True)
class SavedArrays:
    """The numbers of a state, array by array, those of whole numbers and those of floats each in order."""

    ints: tuple[tuple[int, ...], ...]
    floats: tuple[tuple[float, ...], ...]


def save_arrays(state: object) -> SavedArrays:
    """Return all numbers of ``state``."""
    of_ints, of_floats = _leaves(state)
    return SavedArrays(tuple(map(tuple, of_ints)), tuple(map(tuple, of_floats)))


def load_arrays(shape: State, saved: SavedArrays) -> State:
    """Return a state of the form of ``shape`` with the numbers of ``saved``.

    Raises ``ValueError`` when it has another number of arrays.
    """
    of_ints, of_floats = _leaves(shape)
    if (len(saved.ints), len(saved.floats)) != (len(of_ints), len(of_floats)):
        raise ValueError("the saved state is that of another kernel")
    next_ints, next_floats = iter(saved.ints), iter(saved.floats)

    def restored(one: object) -> object:
        is_ints = cast("Ints", one).typecode == "q"
        return array("q", next(next_ints)) if is_ints else array("d", next(next_floats))

    return map_arrays(shape, restored)


def _leaves(state: object) -> tuple[list[Ints], list[Floats]]:
    of_ints: list[Ints] = []
    of_floats: list[Floats] = []

    def sort(one: object) -> object:
        if cast("Ints", one).typecode == "q":
            of_ints.append(cast("Ints", one))
        else:
            of_floats.append(cast("Floats", one))
        return one

    map_arrays(state, sort)
    return of_ints, of_floats
