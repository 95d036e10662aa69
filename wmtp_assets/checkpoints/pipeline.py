"""Threads that hand blocks of reused memory to each other, and fail together.

`Pipeline` runs functions in threads; `Channel` passes values between them in order; `Ring` is a
fixed set of page-aligned buffers that every block is lent from. When one thread fails, all that
wait on it stop, and leaving the `with` raises that first error. Memory is what the rings hold.
"""

from __future__ import annotations

import itertools
import mmap
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np

from wmtp_assets.checkpoints.tensors import Bytes

T = TypeVar("T")
_HUGE_PAGE = 2 << 20


class _Stopped(Exception):  # noqa: N818 - not an error: another thread has the error
    """Another thread failed, and this one was waiting for it."""


class Pipeline:
    """A group of threads with one fate. Use as a context manager; leaving it joins them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own."""

        def run() -> None:
            try:
                work()
            except _Stopped:
                pass
            except BaseException as error:
                self._fail(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self, ready: Callable[[], bool]) -> None:
        """With the lock held: sleep until `ready()`; stops this thread if another failed."""
        while self._error is None and not ready():
            self._changed.wait()
        if self._error is not None:
            raise _Stopped

    @property
    def lock(self) -> threading.Condition:
        """Guards every channel and ring of this pipeline; notify it after a change."""
        return self._changed

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, _Stopped):
            self._fail(error)
        for thread in self._threads:
            thread.join()
        if self._error is not None and self._error is not error:
            raise self._error from None


class Channel(Generic[T]):
    """Values from one thread to another, in order. Bounded by the rings that the values live in."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._values: deque[T | None] = deque()

    def put(self, value: T) -> None:
        """Hand a value on."""
        with self._pipeline.lock:
            self._values.append(value)
            self._pipeline.lock.notify_all()

    def close(self) -> None:
        """Tell the receiver that no more will come."""
        with self._pipeline.lock:
            self._values.append(None)
            self._pipeline.lock.notify_all()

    def take(self) -> T | None:
        """The next value; None when there will be no more."""
        with self._pipeline.lock:
            self._pipeline.wait(lambda: bool(self._values))
            return self._values.popleft()

    def __iter__(self) -> Iterator[T]:
        return in_turn([self])


def in_turn(channels: Sequence[Channel[T]]) -> Iterator[T]:
    """The first value of each channel, then the second of each, and so on until one has no more."""
    for channel in itertools.cycle(channels):
        value = channel.take()
        if value is None:
            return
        yield value


class Buffer:
    """A block of a ring's memory, lent to some users and free again when the last gives it back."""

    def __init__(self, ring: Ring, memory: Bytes) -> None:
        self.memory = memory
        self.users = 0
        self._ring = ring

    def give_back(self) -> None:
        """One user less."""
        self._ring.give_back(self)


class Ring:
    """`count` page-aligned buffers of `size` bytes; `lend` waits until one is free."""

    def __init__(self, pipeline: Pipeline, count: int, size: int) -> None:
        self._pipeline = pipeline
        memory = aligned_memory(count * size)
        self._free = deque(
            Buffer(self, memory[at : at + size]) for at in range(0, count * size, size)
        )

    def lend(self, users: int) -> Buffer:
        """A free buffer, which `users` will each give back once."""
        with self._pipeline.lock:
            self._pipeline.wait(lambda: bool(self._free))
            buffer = self._free.popleft()
            buffer.users = users
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """See `Buffer.give_back`."""
        with self._pipeline.lock:
            buffer.users -= 1
            if buffer.users == 0:
                self._free.append(buffer)
                self._pipeline.lock.notify_all()


def aligned_memory(size: int) -> Bytes:
    """Fresh memory that begins at a huge page, so that the kernel may move it without copying.

    Direct I/O needs page alignment, and was measured twice as fast into huge pages.
    """
    # Private: the kernel gives huge pages to shared memory only where it is told to elsewhere.
    mapped = mmap.mmap(-1, size + _HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        mapped.madvise(mmap.MADV_HUGEPAGE)
    memory: Bytes = np.frombuffer(mapped, dtype=np.uint8)
    start = -memory.ctypes.data % _HUGE_PAGE
    return memory[start : start + size]
