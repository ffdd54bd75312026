"""Work on files in child processes: a decoder that ends its process costs one file, and not the whole preparation.

The children are fresh Python processes and not forks, for a fork copies the locks of JAX's threads in whatever state
they are; nor do they import the user's own script again, as those of `multiprocessing` do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import queue
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, TypeVar

from mmjax.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 8  # items handed out for each child: results wait for whoever takes them, and must not fill the memory
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from mmjax.data.files import child_processes; child_processes.serve()"
)


@dataclasses.dataclass(frozen=True)
class Lost:
    """In place of the result of an item: what became of the work, in the words of a fault."""

    kind: str
    detail: str


def each(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result | Lost]]:
    """Yields (item, work(item)) in the order in which they are done, of child processes for this work alone.

    Args:
      work: picklable, as its items and results are; in a module that a child imports quickly.
      items: any number of them.
      workers: child processes.

    Raises:
      UserError: of `work`. Any other error costs its item, as a child's death does.
    """
    with Children(workers) as children:
        yield from children.each(work, items)


class Children:
    """Child processes for several rounds of work, each started when it is needed; a context, which ends them.

    Args:
      workers: how many.
    """

    def __init__(self, workers: int):
        self._children = [_Child() for _ in range(workers)]
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()  # one that has started comes first
        for child in self._children[::-1]:
            self._idle.put(child)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.close()

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Lost]]:
        """As the function `each`."""

        def one(item: Item) -> Result | Lost:
            mine = self._idle.get()
            try:
                return mine.ask(work, item)
            finally:
                self._idle.put(mine)

        waiting: dict[futures.Future[Any], Item] = {}
        pool = futures.ThreadPoolExecutor(len(self._children))
        try:
            for item in items:
                waiting[pool.submit(one, item)] = item
                if len(waiting) >= AHEAD * len(self._children):
                    yield from _done(waiting)
            while waiting:
                yield from _done(waiting)
        finally:
            if waiting:  # an error, or whoever asked wants no more
                for child in self._children:
                    child.kill()
            pool.shutdown(cancel_futures=True)


def _done(waiting: dict[futures.Future[Any], Item]) -> Iterator[tuple[Item, Any]]:
    for future in futures.wait(waiting, return_when=futures.FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


class _Child:
    """A process that is started when it is asked for the first time, and anew when it has died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, work: Any, item: Any) -> Any:
        process = self._process or self._start()
        try:
            pickle.dump((work, item), _pipe(process.stdin))
            _pipe(process.stdin).flush()
            good, result = pickle.load(_pipe(process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError):
            self._process = None
            return Lost("that ended its decoder", _ending(process))
        if good or isinstance(result, Lost):
            return result
        raise UserError(result)

    def kill(self) -> None:
        """Ends the process amid its work, which is then lost."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Ends the process when its work is done."""
        if self._process is not None:
            _pipe(self._process.stdin).close()
            self._process.wait()
            _pipe(self._process.stdout).close()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        pickle.dump(sys.path, _pipe(self._process.stdin))
        return self._process


def _pipe(stream: Any) -> Any:
    assert stream is not None
    return stream


def _ending(process: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(OSError):  # what was not sent need not arrive
        _pipe(process.stdin).close()
    _pipe(process.stdout).close()
    code = process.wait()
    return f"by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with exit status {code}"


def serve() -> None:
    """The child's side: answers until the parent closes its end. What the work prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches parent and children: the parent ends them
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            work, item = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = (True, work(item))
        except UserError as error:
            reply = (False, str(error))
        except Exception as error:
            reply = (False, Lost("unreadable", "".join(traceback.format_exception_only(error)).strip()))
        try:
            pickle.dump(reply, replies)
            replies.flush()
        except BrokenPipeError:  # the parent was ended amid the work
            os._exit(0)  # without another try to send what is still held back
