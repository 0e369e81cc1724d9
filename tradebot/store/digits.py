"""Rows of text as whole numbers, in loops that are compiled like the kernels of the line."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_PLAIN = -1
NUMBERS = 5
MOST_DIGITS, MOST_PLACES = 18, 36
_NEWLINE, _RETURN, _COMMA, _MINUS, _POINT, _ZERO, _NINE, _LARGE_E, _SMALL_E = b"\n\r,-.09Ee"
_MOST = 2**62


def read_whole(text: bytes, at: int, times: "NDArray[np.int64]", row: int) -> int:
    """Read digits into ``times``; return the place of what follows, ``NOT_PLAIN`` where there are none or too many."""
    first, time = at, 0
    while _ZERO <= text[at] <= _NINE:
        time = time * 10 + text[at] - _ZERO
        at += 1
    times[row] = time
    return at if 0 < at - first <= MOST_DIGITS else NOT_PLAIN


def read_number(text: bytes, at: int, numbers: "NDArray[np.int64]", own: "NDArray[np.int8]", row: int) -> int:
    """Read a number as its digits and how many of them stand behind the point; return the place of what follows."""
    number = digits = places = 0
    has_point = has_digit = False
    while text[at] == _POINT or _ZERO <= text[at] <= _NINE:
        if text[at] != _POINT:
            number = number * 10 + text[at] - _ZERO
            has_digit = True
            digits += number > 0
            places += has_point
        elif has_point:
            return NOT_PLAIN
        else:
            has_point = True
        at += 1
    if (text[at] == _SMALL_E or text[at] == _LARGE_E) and text[at + 1] == _MINUS:
        first = at = at + 2
        exponent = 0
        while _ZERO <= text[at] <= _NINE and exponent <= MOST_PLACES:
            exponent = exponent * 10 + text[at] - _ZERO
            at += 1
        places += exponent if at > first else MOST_PLACES + 1
    numbers[row] = number
    own[row] = min(places, MOST_PLACES)
    return at if has_digit and digits <= MOST_DIGITS and places <= MOST_PLACES else NOT_PLAIN


def read_rows(
    text: bytes, size: int, row: int, times: "NDArray[np.int64]",
    numbers: "NDArray[np.int64]", own: "NDArray[np.int8]",
) -> int:  # fmt: skip
    """Read lines of a time and five numbers into the places from ``row`` on; return the one behind the last.

    Of ``12.50`` the number is 1250, and 2 its places. ``NOT_PLAIN``: there is anything but digits, a point, and an
    exponent below 0, or more digits than 64 bits hold.
    """
    at = 0
    while at < size:
        at = read_whole(text, at, times, row)
        for column in range(NUMBERS):
            if at == NOT_PLAIN or text[at] != _COMMA:
                return NOT_PLAIN
            at = read_number(text, at + 1, numbers[column], own[column], row)
        if at != NOT_PLAIN and text[at] == _RETURN:
            at += 1
        if at == NOT_PLAIN or text[at] != _NEWLINE:
            return NOT_PLAIN
        at += 1
        row += 1
    return row


def read_floats(values: "NDArray[np.float64]", numbers: "NDArray[np.int64]", own: "NDArray[np.int8]", row: int) -> int:
    """Read floats as the digits of their shortest text into the places from ``row`` on; return 1 if all have few.

    The shortest text of ``82765.0`` has one place. A quotient of two numbers that are floats themselves is the float
    next to it: so the first number of places with which it comes out is that of the text.
    """
    for at in range(len(values)):
        value = values[at]
        power, places = 10.0, 1
        while True:
            number = round(value * power)
            if not 0.0 <= value < 1e16 or places > MOST_DIGITS or number >= 1e15:
                return 0
            if number / power == value:
                break
            power *= 10.0
            places += 1
        numbers[row + at] = number
        own[row + at] = places
    return 1


def scale(numbers: "NDArray[np.int64]", own: "NDArray[np.int8]", count: int, places: int) -> int:
    """Bring a column to multiples of 10 ** -``places``; return 1, or 0 where 64 bits do not hold them."""
    for at in range(count):
        number = numbers[at]
        for _ in range(places - own[at]):
            if number >= _MOST // 10:
                return 0
            number *= 10
        numbers[at] = number
    return 1


def are_bars(numbers: "NDArray[np.int64]", count: int) -> int:
    """Return 1 where all prices are above 0 and none contradicts another."""
    for at in range(count):
        o, h, lo, c = numbers[0, at], numbers[1, at], numbers[2, at], numbers[3, at]
        if not (0 < lo <= o <= h and lo <= c <= h):
            return 0
    return 1


def is_steady(times: "NDArray[np.int64]", at: int, until: int, step: int) -> int:
    """Return 1 where each time is ``step`` after the one before."""
    for place in range(at + 1, until):
        if times[place] - times[place - 1] != step:
            return 0
    return 1


LOOPS: tuple[Callable[..., object], ...] = (read_whole, read_number, read_rows, read_floats, scale, are_bars, is_steady)
