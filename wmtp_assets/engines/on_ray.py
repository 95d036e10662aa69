"""Work on a Ray cluster: one that runs already (RAY_ADDRESS), or processes of this machine.

A task takes one core. Ray calls it again where its worker was killed; then nothing of the first try
is left but what is kept by contents. Ray is imported only here, and only when it is chosen.

Ray executes what its clients send, whoever they are. Of a cluster that is started here, the
dashboard stays off, telemetry too, its ports ask for a token that only its own processes know, and
its sockets and logs lie in a folder that no other account may enter, and that is removed with it;
of a cluster that runs already, docs/cluster.md says how to have the same.
"""

from __future__ import annotations

import os
import platform
import secrets
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from wmtp_assets.engines.engine import (
    EngineError,
    EngineName,
    Function,
    Result,
    Task,
    Worker,
    nobody,
)
from wmtp_assets.engines.ray_internals import log_instead_of_printing
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage.digests import cores
from wmtp_assets.storage.socket_folder import socket_folder

ADDRESS: Final = "RAY_ADDRESS"
"""The variable by which Ray's own commands find a cluster."""
TRIES: Final = 4
_PATIENCE: Final = 10.0  # seconds for a connection to a cluster that runs already
_AHEAD: Final = 2  # tasks that each worker has waiting
_PARTS_EACH: Final = 4  # tasks that each worker gets: one that has more to do gets fewer
_OBJECTS: Final = 256 << 20  # bytes of memory for results, of a cluster that is started here
LONGEST_SOCKET: Final = "/r/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store"
"""The longest path of a socket that Ray makes below its folder."""
_has_token = False  # Ray was imported with it
_TOKEN: Final = secrets.token_hex(32)  # Ray reads it once in a process


class RayEngine:
    """See the module. `workers` is the number of those of a cluster that is started here; None is
    one per core. In a process that has joined a cluster already, it is that one. Raises EngineError
    at the start."""

    name: Final[EngineName] = "ray"

    def __init__(self, workers: int | None = None) -> None:
        self._most = workers or cores()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            address = os.environ.get(ADDRESS)
            if address:
                _require_listener(address)
            # Before Ray is imported, which reads them then.
            stack.enter_context(_Environment(joins=bool(address)))
            self._ray = _imported(joins=bool(address))
            if not self._ray.is_initialized():
                self._start(stack, address)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack: ExitStack, address: str | None) -> None:
        own: dict[str, Any] = {}
        try:
            if not address:
                own = {"num_cpus": self._most, "object_store_memory": _OBJECTS}
                # Ray's sockets ask for no token, and it lets every account into the folder that it
                # is given: here a folder in one that only this account may enter.
                named = os.environ.get("RAY_TMPDIR")
                parent = Path(named).absolute() if named else None
                folder = socket_folder("wmtp-ray-", len(LONGEST_SOCKET), parent)
                own["_temp_dir"] = str(stack.enter_context(folder) / "r")
            self._ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                configure_logging=False,
                log_to_driver=False,
                **own,
            )
        except WmtpError:
            raise
        except Exception as error:  # a node that is not up within half a minute has no class
            raise _unreachable(address, error) from error
        stack.callback(self._ray.shutdown)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def workers(self) -> int:
        """How many tasks are worked on at once."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    @property
    def parts(self) -> int:
        """As of `Engine`."""
        return _PARTS_EACH * self.workers

    def map(
        self, function: Function, tasks: Sequence[Task], tell: Callable[[int], None] = nobody
    ) -> Iterator[Result]:
        """As of `Engine`; `tell` is never called. What has been begun is called off where the
        results are not wanted any more."""
        remote = self._ray.remote(num_cpus=1, max_retries=TRIES - 1)(_attempt)
        coming, most = iter(tasks), _AHEAD * self.workers
        begun: deque[Any] = deque()
        try:
            while True:
                while len(begun) < most and (task := next(coming, None)) is not None:
                    begun.append(remote.options(name=function.__name__).remote(function, task))
                if not begun:
                    return
                yield self._received(begun.popleft())
        finally:
            for one in begun:
                self._ray.cancel(one, force=True)

    def _received(self, reference: Any) -> Result:
        try:
            done: Result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.LocalRayletDiedError as error:
            raise EngineError(
                "The node of Ray that this process was connected to is gone",
                found=" ".join(str(error).split())[:300],
                where=os.environ.get(ADDRESS),
                hint="start it again, look at it with `ray status`, and repeat this command: "
                "finished work is kept.",
            ) from error
        except self._ray.exceptions.RayError as error:
            raise EngineError(
                f"A worker of Ray died each of the {TRIES} times that it had a certain part",
                expected="its result",
                found=" ".join(str(error).split())[:300],
                hint="if memory ran out, have fewer workers on each machine (`ray start "
                "--num-cpus N`), or use WMTP_ENGINE=local; then try again.",
            ) from error
        if "refused" in done:
            said = done["refused"]
            raise EngineError(
                f"A worker of Ray refuses its part: {said['problem']}",
                expected=said["expected"],
                found=said["found"],
                where=f"{done['node']}, {said['where']}" if said["where"] else done["node"],
                hint=said["hint"],
            )
        found: Result = done["result"]
        return found


def _attempt(function: Function, task: Task) -> dict[str, Any]:
    """In a worker: the result, or the words of an error that a person must act on."""
    try:
        return {"result": function(task, Worker())}
    except WmtpError as error:
        said = {name: getattr(error, name) for name in ("problem", "hint")}
        said |= {
            name: None if value is None else str(value)
            for name in ("expected", "found", "where")
            for value in [getattr(error, name)]
        }
        return {"refused": said, "node": platform.node()}


def _require_listener(address: str) -> None:
    """Raises EngineError where nothing listens at `host:port`: Ray would try for many minutes."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdecimal() or "/" in address:
        raise EngineError(
            f"{ADDRESS} is no address of a cluster",
            expected="host:port, or auto",
            found=f"{address!a:.200}",
            where=f"the variable {ADDRESS} of the environment",
            hint=f"correct {ADDRESS}, or unset it: Ray is then started on this machine.",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> EngineError:
    return EngineError(
        "Ray does not answer" if address else "Ray cannot be started",
        expected=f"the cluster that {ADDRESS} names, and its token in this environment"
        if address
        else None,
        found=" ".join(str(error).split())[:300],
        where=address,
        hint=f"look at it with `ray status`; without {ADDRESS} this machine is used, and with "
        "WMTP_ENGINE=local no Ray.",
    )


def _imported(*, joins: bool) -> Any:
    """Ray, which must not have been imported without the token of a cluster that is started here.

    Raises EngineError where it was, or is not installed.
    """
    global _has_token
    was_there = sys.modules.get("ray") is not None
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise EngineError(
            "WMTP_ENGINE asks for Ray, which is not installed",
            found=str(error),
            hint="`pip install 'wmtp-assets[ray]'`, or unset WMTP_ENGINE.",
        ) from error
    log_instead_of_printing()
    if not was_there:
        _has_token = not joins
    elif not (joins or _has_token or ray.is_initialized()):
        raise EngineError(
            "Ray was imported before it could be given a token, and is not started without one",
            expected="a process that has not imported ray, or one that has joined a cluster",
            hint="call ray.init() first, or leave the import of ray to this package.",
        )
    return ray


class _Environment:
    """Variables of Ray's while the block runs: no telemetry; for a cluster of our own a token."""

    def __init__(self, joins: bool) -> None:
        self._ours = {"RAY_USAGE_STATS_ENABLED": "0"}
        if not joins:
            self._ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _TOKEN}

    def __enter__(self) -> None:
        self._before = {name: os.environ.get(name) for name in self._ours}
        os.environ.update(self._ours)

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
