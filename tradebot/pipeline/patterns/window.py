"""The greatest of the last values, in constant time a value: a queue of those that can still become it."""

from typing import NamedTuple

from tradebot.pipeline.patterns.arrays import Floats, Ints, floats, ints

# Places in the whole numbers: length of the window, start and length of the queue, values seen; then the queue.
SIZE, HEAD, COUNT, SEEN, QUEUE = 0, 1, 2, 3, 4
# Places in the floats: the greatest; then the values of the queue.
GREATEST, VALUES = 0, 1


class Window(NamedTuple):
    """The state of a window."""

    ints: Ints
    floats: Floats


def new_window(size: int) -> Window:
    """Return the window over the last ``size`` values, >= 1, before the first."""
    return Window(ints(size, 0, 0, 0, zeros=size), floats(0.0, zeros=size))


def push(window: Window, x: float) -> int:
    """Take in a value; return the position of the greatest in the window, the oldest of equals.

    Positions count the values from 0. The greatest itself is then ``window.floats[GREATEST]``.
    """
    queue = window.ints
    values = window.floats
    size = queue[SIZE]
    head = queue[HEAD]
    count = queue[COUNT]
    now = queue[SEEN]
    queue[SEEN] = now + 1
    if count > 0 and queue[QUEUE + head] <= now - size:
        head += 1
        if head == size:
            head = 0
        queue[HEAD] = head
        count -= 1
    back = head + count - 1
    if back >= size:
        back -= size
    while count > 0 and values[VALUES + back] < x:
        count -= 1
        back -= 1
        if back < 0:
            back = size - 1
    back += 1
    if back == size:
        back = 0
    queue[QUEUE + back] = now
    values[VALUES + back] = x
    queue[COUNT] = count + 1
    values[GREATEST] = values[VALUES + head]
    return queue[QUEUE + head]


def find_swing(window: Window, strength: int, x: float) -> int:
    """Take in a high; return 1 when it confirms the swing ``strength`` bars before, whose level is the greatest.

    The window is over twice as many bars and one. A swing low is one of mirrored lows.
    """
    now = window.ints[SEEN]
    return 1 if push(window, x) == now - strength and now >= 2 * strength else 0
