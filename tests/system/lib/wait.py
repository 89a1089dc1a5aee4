"""Waiting for conditions, never for time to pass.

A test states what must become true and gets a generous deadline; a slow machine makes the test
slow, not red. The only sleeps of the whole suite are the pauses between two looks, below.
"""

import time

DEADLINE = 30.0


class Timeout(AssertionError):
    """The condition did not come true in time."""


def until(condition, what, deadline=DEADLINE, pause=0.02):
    """Call condition() until it returns something true, and return that.

    An AssertionError, OSError, ValueError, KeyError or IndexError raised by the condition counts
    as "not yet" and is shown if the deadline passes: a condition may be written as the plain
    assertion or look-up it will be once the world has settled. pause is the first time between two
    looks; give a long one where looking disturbs.
    """
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = f"last value {value!r}"
        except (AssertionError, OSError, ValueError, KeyError, IndexError) as error:
            last = f"last error {type(error).__name__}: {error}"
        if time.monotonic() > end:
            raise Timeout(f"waited {deadline:g} s for {what}; {last}")
        time.sleep(pause)
        pause = max(pause, min(pause * 1.5, 0.25))
