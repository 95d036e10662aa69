"""Threads that fail together: the first error comes out, and nobody is left waiting."""

from __future__ import annotations

import threading

import pytest

from wmtp_assets.checkpoints.pipeline import Buffer, Channel, Pipeline, Ring, aligned_memory


def test_values_arrive_in_order_and_buffers_are_reused() -> None:
    seen: list[int] = []
    buffers: set[int] = set()
    with Pipeline() as pipeline:
        ring = Ring(pipeline, 2, 4096)
        channel: Channel[tuple[int, Buffer]] = Channel(pipeline)

        def produce() -> None:
            for number in range(100):
                buffer = ring.lend(1)
                buffer.memory[0] = number
                channel.put((number, buffer))
            channel.close()

        pipeline.start("produce", produce)
        for number, buffer in channel:
            assert buffer.memory[0] == number
            seen.append(number)
            buffers.add(id(buffer))
            buffer.give_back()
    assert seen == list(range(100))
    assert len(buffers) == 2


def test_an_error_in_a_thread_reaches_the_caller_who_was_waiting() -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    def wait() -> None:
        with Pipeline() as pipeline:
            pipeline.start("fail", fail)
            list(Channel[int](pipeline))

    with pytest.raises(OSError, match="the disk is gone"):
        wait()


def test_an_error_of_the_caller_ends_a_thread_that_waits_for_a_buffer() -> None:
    def starve() -> None:
        with Pipeline() as pipeline:
            ring = Ring(pipeline, 1, 4096)
            ring.lend(1)
            pipeline.start("starved", lambda: ring.lend(1).give_back())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        starve()
    assert not [thread for thread in threading.enumerate() if thread.name == "starved"]


def test_buffers_begin_at_pages() -> None:
    assert aligned_memory(10_000).ctypes.data % 4096 == 0
    with Pipeline() as pipeline:
        ring = Ring(pipeline, 3, 8192)
        lent = [ring.lend(1) for _ in range(3)]
    assert [buffer.memory.ctypes.data % 4096 for buffer in lent] == [0, 0, 0]
