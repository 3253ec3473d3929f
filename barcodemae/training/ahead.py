"""Work done ahead of its use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2) -> Iterator[Result]:
    """Like `map`, with the next results made in a thread while the caller works on this one.

    Args:
        function: is called by one thread, in the order of the items.
        items: what it is called with; drawn by the caller's thread.
        depth: results that may wait.

    Returns:
        The results in order. What `function` raises is raised where its result would have come.
    """
    waiting: deque[Future[Result]] = deque()
    executor = ThreadPoolExecutor(1, "ahead")
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
