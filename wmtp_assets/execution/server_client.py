"""Starts a fork server, asks it for children, and gathers what they write until they end."""

from __future__ import annotations

import io
import json
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from wmtp_assets.execution.harness import Request

_SIZES: Final = struct.Struct("!II")
_TAIL: Final = 8192  # bytes kept of what is only quoted


class ServerEndedError(Exception):
    """The fork server has ended: killed for memory, most likely."""


class NotConfinedError(Exception):
    """The fork server, or a child of it, could not be confined; nothing was executed."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: its exit status (negative: a signal), CPU seconds, its peak of resident
    memory in bytes, and what ended it: "exit" (itself), "wall", "memory", or "stopped"."""

    status: int
    cpu: float
    memory: int
    how: str


@dataclass
class Sink:
    """What arrives on a pipe: all of it up to `most` bytes, or only its end."""

    most: int
    tail: bool = False
    total: int = 0
    kept: bytearray = field(default_factory=bytearray)  # whoever writes decides how it is parted

    def add(self, data: bytes) -> None:
        self.total += len(data)
        if self.tail:
            self.kept += data
            del self.kept[:-_TAIL]
        elif self.total <= self.most:
            self.kept += data

    @property
    def data(self) -> bytes:
        return bytes(self.kept)


class ForkServer:
    """One bare interpreter that forks confined children, one test at a time.

    `folder`, which is empty, is where children write. `means` is
    `confinement.Means` as JSON; `kind` is empty, "numpy" and the folder that it is imported from,
    or "python2" and the interpreter's path.
    """

    def __init__(self, folder: Path, means: str, *kind: str) -> None:
        ours, theirs = socket.socketpair()
        script = Path(__file__).with_name("fork_server.py")
        arguments = [str(theirs.fileno()), str(folder), means, *kind]
        self._process = subprocess.Popen(  # noqa: S603  (our own script, our own arguments)
            [sys.executable, "-P", "-S", "-s", str(script), *arguments],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment(folder),
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours

    def close(self) -> None:
        """Ends the server and its children: it ends itself when its socket does."""
        self._socket.close()
        try:
            self._process.wait(0.3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(
        self,
        children: Sequence[tuple[Request, Sequence[int]]],
        sinks: Mapping[int, Sink],
        output_bytes: int,
        until: str = "",
    ) -> dict[str, Ended]:
        """Forks a child per request, which gets the descriptors that follow it, closed here then;
        reads the pipes `sinks` to their ends and closes them.

        Returns how each role ended. All are stopped when the sinks have more than `output_bytes`
        together, and when the role `until` has ended. Raises ServerEndedError, and
        NotConfinedError.
        """
        for request, descriptors in children:
            # Sources go past the server: what it has read stays in its memory, and so in that of
            # all whom it forks later.
            given = (*descriptors, in_memory(request.texts()))
            self._send(request.head(), given)
            for one in given:
                os.close(one)
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        for one in sinks:
            poller.register(one, select.POLLIN)
        open_sinks, ended = dict(sinks), dict[str, Ended]()
        stopped = False
        try:
            while open_sinks or len(ended) < len(children):
                for descriptor, _ in poller.poll():
                    if descriptor == self._socket.fileno():
                        reply = self._reply()
                        ended[reply["role"]] = _ended(reply)
                        if reply["role"] == until and not stopped:
                            stopped = self._stop()
                        continue
                    data = os.read(descriptor, 1 << 16)
                    if data:
                        open_sinks[descriptor].add(data)
                    else:
                        poller.unregister(descriptor)
                        del open_sinks[descriptor]
                if not stopped and sum(sink.total for sink in sinks.values()) > output_bytes:
                    stopped = self._stop()
        finally:
            for descriptor in sinks:
                os.close(descriptor)
        return ended

    def _stop(self) -> bool:
        self._send(b"stop", ())
        return True

    def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._socket, [_SIZES.pack(len(data), 0)], list(descriptors))
            self._socket.sendall(data)
        except OSError as error:
            raise ServerEndedError from error

    def _reply(self) -> dict[str, Any]:
        head = self._exactly(_SIZES.size)
        reply: dict[str, Any] = json.loads(self._exactly(_SIZES.unpack(head)[0]))
        return reply

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self._socket.recv(size)
            except OSError as error:
                raise ServerEndedError from error
            if not part:
                raise ServerEndedError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _ended(reply: Mapping[str, Any]) -> Ended:
    if reply["refused"]:
        raise NotConfinedError(reply["refused"])
    return Ended(reply["status"], reply["cpu"], reply["memory"], reply["how"])


def environment(folder: Path) -> dict[str, str]:
    """All of a child's environment: nothing of this process's own but what Python needs."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",  # the order of sets, and so a verdict, is the same each time
        "PYTHONINTMAXSTRDIGITS": "0",  # solutions were accepted before there was such a limit
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def in_memory(data: bytes) -> int:
    """An open file in memory that holds `data`, at its beginning."""
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC)
    with io.FileIO(descriptor, "w", closefd=False) as file:
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
