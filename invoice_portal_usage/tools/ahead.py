"""Reading on while the database works. Plain Python, no environment."""

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
_END = object()
# After so many items, a thread lets go of the interpreter for so many seconds.
STRETCH = 100
PAUSE = 0.00002


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items: while one is worked on, the next is made in a thread of its own.

    What makes them must not touch what the caller works with: no environment, no cursor. Close it before what they are
    made of.
    """
    made, wanted = SimpleQueue(), threading.Semaphore(0)
    stopped = False
    error = None

    def make():
        nonlocal error
        try:
            for item in items:
                made.put(item)
                wanted.acquire()
                if stopped:
                    break
            if isinstance(items, Generator):
                items.close()
        except Exception as raised:
            # Raised where the items are asked for.
            error = raised
        made.put(_END)

    thread = threading.Thread(target=make, name="reading ahead", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not _END:
            wanted.release()
            yield item
        if error is not None:
            raise error
    finally:
        stopped = True
        wanted.release()
        thread.join()


def with_pauses(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, made ahead so that the caller gets the interpreter whenever the database has answered: otherwise
    it would wait each time for as long as Python lets a thread run, and what is meant to be beside comes before."""
    for count, item in enumerate(items, start=1):
        if not count % STRETCH:
            time.sleep(PAUSE)
        yield item
