"""A bare interpreter that forks: `python -P -S -s fork_server.py CONTROL SCRATCH MEANS KIND PATH`.

CONTROL is the number of a socket, whose other end is `server_client.ForkServer`. SCRATCH is a
folder for the children, each of which has one of its own in it while it runs; MEANS is
`confinement.Means` as JSON. KIND and PATH may be missing. The server has imported a good part of
the standard library, what programs use most. With KIND "numpy" it has imported that too, from the
folder PATH; with "python2" its children become the interpreter PATH.

For each request it forks one child, which becomes what is asked for (`harness`); it watches time
and memory, ends what exceeds them, and reports. It never executes foreign code, and it never has a
source, a test or an expected output: these would be in the memory of children forked later. When
the other end of CONTROL is closed, the server and its children end.
"""

# ruff: noqa: E402, F401, I001  (what is imported is imported for those who are forked)
from __future__ import annotations

import sys

_ROOT = __file__.rpartition("/wmtp_assets/")[0]
sys.path.insert(0, _ROOT)

import abc
import array
import ast
import atexit
import bisect
import builtins
import calendar
import cmath
import collections
import collections.abc
import contextlib
import copy
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fcntl
import fractions
import functools
import gc
import hashlib
import heapq
import inspect
import io
import itertools
import json
import keyword
import linecache
import locale
import math
import numbers
import operator
import os
import pathlib
import pickle
import platform
import pprint
import queue
import random
import re
import resource
import select
import signal
import shutil
import socket
import site
import stat
import statistics
import string
import struct
import subprocess
import tempfile
import textwrap
import threading
import time
import timeit
import traceback
import types
import typing
import unicodedata
import uuid
import warnings
import weakref
import zlib
import encodings.ascii
import encodings.idna
import encodings.latin_1
import encodings.utf_8

from wmtp_assets.execution import calls, harness, limits
from wmtp_assets.execution.confinement import ConfinementError, Means, isolate
from wmtp_assets.execution.library import Interpreter

_STOP = b"stop"
_SIZES = struct.Struct("!II")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_WATCH_SECONDS = 0.05
_EXITING = 4  # PF_EXITING of linux/sched.h, in /proc/<pid>/stat
_WORKING_TICKS = 3  # of CPU time in a second: who has them does not wait for anything
_PATIENCE = 20  # times the wall-clock bound


class _Child:
    """A process that was forked, and what ended it."""

    def __init__(self, pid: int, request: harness.Request, folder: str, ready: int) -> None:
        self.pid = pid
        self.role = request.role
        self.folder = folder
        self.ready = ready
        self.deadline = time.monotonic() + request.limits.wall
        self.last = time.monotonic() + _PATIENCE * request.limits.wall
        self.ticks = 0
        self.limits = request.limits
        self.how = ""
        self.peak = 0

    def end(self, how: str) -> None:
        """Kills the process. What ended it is what did so first: killed, it may close what it has
        open long before it can be waited for, and whoever read from it ends, and is reported."""
        if not self.how:
            self.how = "exit" if how == "stopped" and _is_ending(self.pid) else how
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it cannot have started others

    def watch(self, used: int) -> None:
        """Ends the process where it exceeds a bound. `used` is the CPU time that all that run now
        have used, in hundredths of a second: tests wait while a solution computes."""
        if time.monotonic() > self.deadline:
            if used < self.ticks + _WORKING_TICKS or time.monotonic() > self.last:
                self.end("wall")
                return
            self.ticks = used  # it computes, on a busy machine: its CPU seconds are what ends it
            self.deadline += 1
        resident = limits.resident_bytes(self.pid)
        self.peak = max(self.peak, resident)
        if resident > self.limits.memory_bytes:
            self.end("memory")
        elif what := limits.overstepped(self.pid, pathlib.Path(self.folder), self.limits):
            self.end(what)


def _ticks(pid: int) -> int:
    """The CPU time of a process in hundredths of a second, as /proc gives it; 0 without /proc."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with io.FileIO(f"/proc/{pid}/stat") as file:
            fields = file.read(2000).rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])
    return 0


def _is_ending(pid: int) -> bool:
    """Whether every thread of a process is on its way out, by itself or since a signal killed it;
    False where /proc does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  (names, not paths)
            with io.FileIO(f"/proc/{pid}/task/{thread}/stat") as file:
                fields = file.read(2000).rpartition(b")")[2].split()
            if not int(fields[6]) & _EXITING:
                return False
        return True
    return False


def _reply(control: socket.socket, reply: dict[str, object]) -> None:
    data = json.dumps(reply).encode()
    with contextlib.suppress(ConnectionError):
        control.sendall(_SIZES.pack(len(data), 0) + data)


class Server:
    """The loop of the server."""

    def __init__(
        self,
        control: int,
        scratch: str,
        means: Means,
        readable: list[pathlib.Path],
        interpreter: Interpreter | None,
    ) -> None:
        self._means = means
        self._readable = readable
        self._interpreter = interpreter
        self._scratch = scratch
        self._count = 0
        self._control = socket.socket(fileno=control)
        self._children: dict[int, _Child] = {}
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)

    def run(self) -> tuple[harness.Request, str] | None:
        """Serves until the control socket ends, then None. In a child: its request and folder."""
        while True:
            timeout = None
            if self._children:
                nearest = min(child.deadline for child in self._children.values())
                left = max(0.0, nearest - time.monotonic())
                timeout = 1000 * min(left + 0.001, _WATCH_SECONDS)
            events = self._poller.poll(timeout)
            for descriptor, _ in events:
                if descriptor in self._children:
                    self._report(descriptor)
                elif descriptor == self._control.fileno():
                    received = self._receive()
                    if received is None:
                        self._stop("gone")
                        return None
                    data, descriptors = received
                    if data == _STOP:
                        self._stop("stopped")
                        continue
                    request = harness.request_of(data)
                    self._count += 1
                    folder = f"{self._scratch}/{self._count}"
                    pathlib.Path(folder).mkdir(0o700)
                    ready, theirs = os.pipe()
                    pid = os.fork()
                    if pid == 0:
                        self._control.detach()
                        return self._confined(request, folder, descriptors, theirs), folder
                    os.close(theirs)
                    for one in descriptors:
                        os.close(one)
                    handle = os.pidfd_open(pid)
                    self._children[handle] = _Child(pid, request, folder, ready)
                    self._poller.register(handle, select.POLLIN)
            if not events:
                used = sum(_ticks(child.pid) for child in self._children.values())
                for child in self._children.values():
                    child.watch(used)

    def _confined(
        self, request: harness.Request, folder: str, descriptors: list[int], ready: int
    ) -> harness.Request:
        try:
            return harness.become(
                request,
                folder,
                self._means,
                self._readable,
                self._interpreter,
                descriptors,
                ready,
            )
        except BaseException as error:
            harness.refuse(error)
            os._exit(1)

    def _stop(self, how: str) -> None:
        for child in self._children.values():
            child.end(how)

    def _report(self, handle: int) -> None:
        child = self._children.pop(handle)
        self._poller.unregister(handle)
        os.close(handle)
        _, status, usage = os.wait4(child.pid, 0)
        limits.clear(pathlib.Path(child.folder))
        with io.FileIO(child.ready) as stream:
            ready = stream.read()
        code = os.waitstatus_to_exitcode(status)
        how = (
            (child.how or "exit") if code == -signal.SIGKILL else "exit"
        )  # it may have ended first
        refused = ready != b"+" and how == "exit"
        reply = {
            "role": child.role,
            "status": code,
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": max(child.peak, usage.ru_maxrss * 1024),
            "how": how,
            "refused": f"{ready!r}, status {code}" if refused else "",
        }
        _reply(self._control, reply)

    def _receive(self) -> tuple[bytes, list[int]] | None:
        head, descriptors, _, _ = socket.recv_fds(self._control, _SIZES.size, 8)
        while head and len(head) < _SIZES.size:
            head += self._control.recv(_SIZES.size - len(head))
        if not head:
            return None
        left = _SIZES.unpack(head)[0]
        parts = []
        while left:
            part = self._control.recv(min(left, 1 << 20))
            if not part:
                return None
            parts.append(part)
            left -= len(part)
        return b"".join(parts), list(descriptors)


def _import_numpy(folder: str) -> list[pathlib.Path]:
    """Imports numpy from a folder, with the parts that it would import when they are used.

    A later import of another package in that folder fails, as it does where there is only numpy.
    Returns the folders that it reads.
    """
    sys.path.append(folder)
    import numpy
    import numpy.fft
    import numpy.linalg
    import numpy.polynomial
    import numpy.random

    sys.path.remove(folder)
    own = pathlib.Path(numpy.__file__).parent
    return [one for one in (own, own.with_name("numpy.libs")) if one.exists()]


def _serve(
    control: str, scratch: str, means: str, kind: str = "", path: str = ""
) -> tuple[harness.Request, str, Interpreter | None] | None:
    """As `Server.run`."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    site.setquit()  # `exit` and `quit`, which -S leaves out
    site.sethelper()
    interpreter = Interpreter.at(pathlib.Path(path)) if kind == "python2" else None
    readable = _import_numpy(path) if kind == "numpy" else []
    readable += interpreter.files if interpreter else ()
    sys.path.remove(_ROOT)
    scratch = os.path.realpath(scratch)  # links on the way to it are not in the view
    datetime.datetime.strptime("1", "%d")  # imports its module
    try:
        isolated = isolate(Means.from_json(means), pathlib.Path(scratch), readable=readable)
    except ConfinementError as error:
        _reply(socket.socket(fileno=int(control)), {"role": "", "refused": str(error)})
        return None
    gc.collect()
    gc.freeze()  # a collection in a child writes to none of these objects' pages
    asked = Server(int(control), scratch, isolated, readable, interpreter).run()
    return None if asked is None else (*asked, interpreter)


if __name__ == "__main__":
    _asked = _serve(*sys.argv[1:])
    if _asked is None:
        os._exit(0)
    _request, _folder, _interpreter = _asked
    if _interpreter is not None:
        harness.start(_interpreter)
    # From here on this is a child. Its code is executed at this level, so that it has as much of
    # the stack as a program of its own, but for two frames.
    _error: BaseException | None = None
    try:
        _code, _namespace = harness.prepare(_request, _folder)
        exec(_code, _namespace)  # noqa: S102
        harness.after(_request, _namespace)
    except BaseException as error:
        _error = error
        if _request.role == harness.TESTS:
            calls.report_failure(error)
    harness.leave(_error)
