"""What can be known before a byte is fetched: the machine, the token, the gates.

Every answer is a `Fact`; nothing here raises for what it finds. Without a network the answer
comes once, within seconds, not once per repository.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from wmtp_assets.errors import TransientError, WmtpError
from wmtp_assets.hub.files import UNPINNED, RemoteFile, WantedFile, WantedRepo, is_fixed
from wmtp_assets.hub.refusals import ClientSetupError, HubError, public_url
from wmtp_assets.hub.retry import Policy
from wmtp_assets.hub.source import Hub, open_hub
from wmtp_assets.storage.preflight import gigabytes

State = Literal["ok", "warning", "problem"]

_HURRIED = Policy(tries=1, connect=3.0, stall=6.0, answer=10.0)
_DEADLINE = 14.0  # seconds for all requests to the Hub together; a name server may hang longer
_ALONGSIDE = 4  # repositories asked at a time
Select = Callable[[Hub, WantedRepo, Sequence[RemoteFile]], Sequence[WantedFile]]
"""The files that are wanted of a repository's listing. Raises WmtpError when they are not there."""

_PACKAGES = ("torch", "safetensors", "huggingface_hub", "datasets", "pyarrow", "dagster")


@dataclass(frozen=True)
class Fact:
    """One line of what the doctor says. A `problem` means that a full run would fail.

    `where` is a place on this machine, for a reader at it.
    """

    name: str
    state: State
    found: str
    expected: str = ""
    hint: str = ""
    where: str = ""


def diagnose(
    spec: str | None,
    wanted: Sequence[WantedRepo],
    disk: Mapping[Path, int],
    memory: int,
    select: Select = lambda hub, one, listing: one.files,
    is_sample: bool = False,
) -> list[Fact]:
    """Everything that a run of `wanted` needs, and whether it is there.

    `spec` and `is_sample` as in `open_hub`; `disk` maps folders (which need not exist) to the bytes
    that will be written there, `memory` is the bytes that the largest step wants. `select` adds the
    files that are named by patterns. Takes at most 20 s.
    """
    return [
        *_versions(),
        *_disk(disk),
        _memory(memory),
        _token(spec, wanted),
        *_upstream(spec, wanted, select, is_sample),
        *_licences(wanted),
    ]


def _versions() -> list[Fact]:
    running = platform.python_version()
    facts = [
        Fact(
            "python",
            "ok" if sys.version_info >= (3, 11) else "problem",
            running,
            "3.11 or newer",
            "" if sys.version_info >= (3, 11) else "install Python 3.11 and make .venv anew.",
            f"at {sys.executable}",
        )
    ]
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        facts.append(
            Fact(
                "packages",
                "problem",
                f"not installed: {', '.join(missing)}",
                "all that pyproject.toml names",
                "run `make run` once, or `pip install -e . -c constraints.txt`.",
            )
        )
    else:
        facts.append(Fact("packages", "ok", ", ".join(found)))
    return facts


def _disk(disk: Mapping[Path, int]) -> list[Fact]:
    """One fact per file system, however many of the folders are on it."""
    needs: dict[int, tuple[Path, int]] = {}
    for folder, count in disk.items():
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        device = there.stat().st_dev
        place, sum_so_far = needs.get(device, (there, 0))
        needs[device] = place, sum_so_far + count
    facts = []
    for place, needed in needs.values():
        free = shutil.disk_usage(place).free
        enough = free >= needed
        facts.append(
            Fact(
                "disk",
                "ok" if enough else "problem",
                f"{gigabytes(free)} free",
                gigabytes(needed),
                "" if enough else "free some space, or set WMTP_STORAGE to a larger disk.",
                f"on the file system of {place}",
            )
        )
        if not os.access(place, os.W_OK | os.X_OK):
            facts.append(
                Fact(
                    "disk_writable",
                    "problem",
                    f"this user may not write in {place}",
                    hint="give the right to, or set WMTP_STORAGE to another folder.",
                )
            )
    return facts


def _memory(needed: int) -> Fact:
    available = _available_memory()
    enough = available is None or available >= needed
    return Fact(
        "memory",
        "ok" if enough else "problem",
        "cannot be determined here" if available is None else f"{gigabytes(available)} available",
        gigabytes(needed),
        "" if enough else "end other programs, or use a machine with more memory.",
    )


def _available_memory() -> int | None:
    """Bytes that could be used without swapping, by the kernel's estimate (Linux)."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _token(spec: str | None, wanted: Sequence[WantedRepo]) -> Fact:
    gated = [str(one.repo) for one in wanted if one.gated]
    if spec is not None:
        return Fact("token", "ok", "not needed: files come from a directory")
    from wmtp_assets.hub import client_settings

    try:
        token = client_settings.token()
    except ClientSetupError as error:
        return Fact("token", "problem", _said(error), str(error.expected or ""), error.hint or "")
    if token is not None:
        return Fact("token", "ok", "there is one (it is not shown)")
    if gated and client_settings.is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return Fact(
            "token",
            "problem",
            f"none is sent: HF_HUB_DISABLE_IMPLICIT_TOKEN is set; gated: {', '.join(gated)}",
            "a token with read access",
            "unset HF_HUB_DISABLE_IMPLICIT_TOKEN.",
        )
    if not gated:
        return Fact("token", "ok", "none; everything wanted is public")
    return Fact(
        "token",
        "problem",
        f"none, and gated: {', '.join(gated)}",
        "a token with read access",
        "make one at https://huggingface.co/settings/tokens and set HF_TOKEN (or run "
        "`hf auth login`).",
    )


def _client(spec: str | None) -> tuple[list[Fact], bool]:
    """What is out of the ordinary in the environment, and whether a request can be made in it."""
    if spec is not None:
        return [], True
    from wmtp_assets.hub import client_settings
    from wmtp_assets.hub.addresses import Address, BadAddressError
    from wmtp_assets.hub.remote import RemoteHub

    facts: list[Fact] = []
    usable = True
    try:
        home = Address.of(RemoteHub(_HURRIED).endpoint)
    except (HubError, BadAddressError):
        return [], True  # reported where the Hub is opened
    try:
        if client_settings.token() and home.scheme == "http" and not home.is_loopback:
            facts.append(
                Fact(
                    "token_unencrypted",
                    "warning",
                    f"the token is sent to {home.authority} without encryption",
                    "https",
                    "name an https:// address in HF_ENDPOINT, or set "
                    "HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to send none.",
                )
            )
    except ClientSetupError:
        usable = False  # reported for the token
    for name, check in (
        ("offline", client_settings.require_online),
        ("certificates", client_settings.tls),
        ("proxy", lambda: client_settings.proxy_for(*home.origin)),
    ):
        try:
            found = check()
        except ClientSetupError as error:
            usable = False
            facts.append(
                Fact(name, "problem", _said(error), str(error.expected or ""), error.hint or "")
            )
        else:
            if name == "proxy" and found is not None:
                facts.append(Fact(name, "ok", f"{home.authority} is reached by way of a proxy"))
    return facts, usable


def _said(error: WmtpError) -> str:
    """An error's problem, and what was found, in one line."""
    found = f": {error.found}" if error.found is not None else ""
    where = f" ({error.where})" if error.where is not None else ""
    return f"{error.problem}{found}{where}"


def _licences(wanted: Sequence[WantedRepo]) -> list[Fact]:
    return [
        Fact(
            "licence",
            "ok",
            f"{one.repo}: {one.licence}" + (" (gated: must be accepted)" if one.gated else ""),
        )
        for one in wanted
    ]


def _upstream(
    spec: str | None, wanted: Sequence[WantedRepo], select: Select, is_sample: bool
) -> list[Fact]:
    """Whether the source answers, and then what it says of each repository."""
    client, usable = _client(spec)
    if not wanted or not usable:
        return client
    try:
        hub = open_hub(spec, _HURRIED, is_sample)
    except WmtpError as error:
        return [Fact("upstream", "problem", error.problem, str(error.expected), error.hint or "")]
    deadline = time.monotonic() + _DEADLINE
    first: list[Fact | WmtpError] = _together(hub, wanted[:1], select, deadline)
    if isinstance(first[0], WmtpError):
        trouble = first[0]
        return [
            *client,
            Fact(
                "upstream",
                "problem",
                str(trouble.problem) + (f": {trouble.found}" if trouble.found else ""),
                f"an answer from {public_url(hub.spec) if spec is None else hub.spec}",
                f"{trouble.hint or 'try again later.'} None of the {len(wanted)} repositories "
                "was asked.",
            ),
        ]
    rest = _together(hub, wanted[1:], select, deadline)
    facts = client
    for one, answer in zip(wanted, [*first, *rest], strict=True):
        if isinstance(answer, Fact):
            facts.append(answer)
        else:
            facts.append(_unclear(one, answer))
    return facts


def _together(
    hub: Hub, wanted: Sequence[WantedRepo], select: Select, deadline: float
) -> list[Fact | WmtpError]:
    """Ask of every repository at once, and wait no longer than until `deadline`."""
    answers: dict[int, Fact | WmtpError] = {}
    waiting = list(enumerate(wanted))
    guard = threading.Lock()

    def ask() -> None:
        while True:
            with guard:
                if not waiting:
                    return
                index, one = waiting.pop(0)
            answers[index] = _ask(hub, one, select)

    # Daemons: one that hangs in a name server must not keep the process from ending.
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(_ALONGSIDE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = TransientError("No answer in time", found=f"silence for {_DEADLINE:g} s")
    return [answers.get(index, late) for index in range(len(wanted))]


def _ask(hub: Hub, one: WantedRepo, select: Select) -> Fact | WmtpError:
    """Whether a repository's pin, files and gate are as the catalog says."""
    name = "repository"
    try:
        commit = hub.resolve(one.repo, one.revision)
        listing = hub.files(one.repo, commit)
        listed = {file.path: file for file in listing}
        missing = [file.path for file in one.files if file.path not in listed]
        if missing:
            return Fact(
                name,
                "problem",
                f"{one.repo} has no {', '.join(missing)}",
                f"{_files(len(one.files))} at {one.revision}",
                "correct the catalog.",
            )
        files = select(hub, one, listing)
        if files:
            hub.locate(one.repo, commit, files[0].path)  # asked at the gate itself
    except (TransientError, ClientSetupError) as error:
        return error
    except WmtpError as error:
        expected = str(error.expected or "open to this token")
        return Fact(name, "problem", _said(error), expected, error.hint or "")
    size = gigabytes(sum(listed[file.path].size or file.size or 0 for file in files))
    pinned = "" if is_fixed(one.revision) else f"; {one.revision} is {commit} now"
    if commit == UNPINNED:
        pinned = "; a mirror that records no commit"
    return Fact(name, "ok", f"{one.repo}: open, {_files(len(files))}, {size}{pinned}")


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def _unclear(one: WantedRepo, error: WmtpError) -> Fact:
    return Fact(
        "repository",
        "problem",
        f"{one.repo}: {error.problem}",
        "an answer",
        error.hint or "run the doctor again later.",
    )
