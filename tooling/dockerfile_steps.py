"""Executes a Dockerfile without a container engine: each stage in a root of its own, by chroot.

    sudo python3 tooling/dockerfile_steps.py --base ROOT --into DIR [--build-arg NAME=VALUE]
        [--mount PATH] [-- COMMAND...]

`--base` is the root that stands for every FROM of an image, such as `debootstrap` makes (with
python3, python3-venv and ca-certificates for this project's Dockerfile); it is copied, never
changed. The instructions are those that this project uses, and any other is an error. After the
last step, COMMAND is executed as the image would: its account, environment and folder, behind
ENTRYPOINT. `--mount` binds a file or folder of this machine, read-only, at the same path in every
root while steps run (an index of packages, its certificates).

What it does not check: layers, the size of the image, and that the base image of the Dockerfile has
what `--base` has.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_METADATA = {"VOLUME", "EXPOSE"}


class StepError(Exception):
    """An instruction that cannot be executed, with its text."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: its name in capitals, and the rest of it with continued lines joined."""

    name: str
    rest: str


def read(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        found.append(Instruction(name.upper(), rest.strip()))
    return found


@dataclass
class Stage:
    """A root that is being made, and what the image would remember."""

    root: Path
    name: str
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    account: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @property
    def values(self) -> dict[str, str]:
        """What `$NAME` means in an instruction: a variable wins over an argument."""
        return {"PATH": PATH} | self.arguments | self.variables


def expanded(text: str, values: dict[str, str]) -> str:
    """The text with `$NAME`, `${NAME}` replaced; what is not set is empty."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: values.get(m[1] or m[2], ""), text)


def allowed(name: str, rules: Sequence[str]) -> bool:
    """Whether .dockerignore lets a path of the context in: the last rule that matches decides."""
    kept = True
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("/").rstrip("/")
        parts = Path(name).parts
        prefixes = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        anywhere = pattern.removeprefix("**/")
        if any(fnmatch(one, pattern) for one in prefixes) or (
            anywhere != pattern and any(fnmatch(part, anywhere) for part in parts)
        ):
            kept = rule.startswith("!")
    return kept


class Builder:
    """Executes instructions in order; `stages` holds what became of them."""

    def __init__(
        self, context: Path, base: Path, into: Path, given: dict[str, str], mounts: Sequence[Path]
    ) -> None:
        self._context, self._base, self._into = context, base, into
        self._given, self._mounts = given, mounts
        self._before: dict[str, str] = {}  # the arguments before the first FROM
        ignore = context / ".dockerignore"
        text = ignore.read_text(encoding="utf-8") if ignore.is_file() else ""
        self._rules = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.stages: list[Stage] = []

    def build(self, instructions: Sequence[Instruction]) -> Stage:
        """Executes all of them; the last stage. Raises StepError."""
        for one in instructions:
            print(f"{one.name} {one.rest}", flush=True)
            do = getattr(self, f"_{one.name.lower()}", None)
            if one.name in _METADATA:
                continue
            if do is None:
                raise StepError(f"{one.name} is not among what this executes")
            do(one.rest)
        return self.stages[-1]

    def execute(self, stage: Stage, command: Sequence[str], account: str | None = None) -> None:
        """Executes a command in a stage's root. Raises StepError when it fails."""
        who = account or stage.account
        with self._mounted(stage.root):
            done = subprocess.run(  # noqa: S603 - the Dockerfile's own commands
                ["/usr/sbin/chroot", f"--userspec={who}", stage.root, "/bin/sh", "-c",
                 f"cd {shlex.quote(stage.folder)} && exec {shlex.join(command)}"],
                env=stage.values,
                check=False,
            )  # fmt: skip
        if done.returncode:
            raise StepError(f"exit status {done.returncode}: {shlex.join(command)}")

    @contextmanager
    def _mounted(self, root: Path) -> Iterator[None]:
        with ExitStack() as stack:
            for path in [Path("/proc"), Path("/dev"), Path("/etc/resolv.conf"), *self._mounts]:
                there = root / path.relative_to("/")
                if path.is_dir():
                    there.mkdir(parents=True, exist_ok=True)
                else:
                    there.parent.mkdir(parents=True, exist_ok=True)
                    there.touch()
                _call("mount", "--bind", path, there)
                stack.callback(_call, "umount", "--lazy", there)
                if path in self._mounts:
                    _call("mount", "-o", "remount,bind,ro", there)
            yield

    @property
    def _stage(self) -> Stage:
        if not self.stages:
            raise StepError("an instruction before FROM")
        return self.stages[-1]

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        known = self.stages[-1].arguments if self.stages else self._before
        known[name] = self._given.get(name, self._before.get(name, default))

    def _from(self, rest: str) -> None:
        words = expanded(rest, self._before).split()
        name = words[2] if len(words) == 3 else str(len(self.stages))
        root = self._into / name
        _call("cp", "--archive", self._base, root)
        python = root / "usr/local/bin/python"
        if not python.exists():  # as the images of Python call it
            python.symlink_to("/usr/bin/python3")
        self.stages.append(Stage(root, name))

    def _env(self, rest: str) -> None:
        for word in shlex.split(expanded(rest, self._stage.values)):
            name, _, value = word.partition("=")
            self._stage.variables[name] = value

    def _workdir(self, rest: str) -> None:
        self._stage.folder = rest
        (self._stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _user(self, rest: str) -> None:
        self._stage.account = rest

    def _entrypoint(self, rest: str) -> None:
        self._stage.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self._stage.command = json.loads(rest)

    def _run(self, rest: str) -> None:
        self.execute(self._stage, ["/bin/sh", "-c", rest])

    def _copy(self, rest: str) -> None:
        words = rest.split()
        source, rules = self._context, self._rules
        if words[0].startswith("--from="):
            name = words.pop(0).removeprefix("--from=")
            (source,) = (one.root for one in self.stages if one.name == name)
            rules = []
        *names, target = words
        place = self._stage.root / Path(self._stage.folder, target).relative_to("/")
        for name in names:
            path = source / name.lstrip("/")
            whole = path.is_dir()
            for one in path.rglob("*") if whole else [path]:
                relative = str(one.relative_to(source))
                if (one.is_dir() and not one.is_symlink()) or not allowed(relative, rules):
                    continue
                into = place / (one.relative_to(path) if whole else one.name)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(one, into, follow_symlinks=False)


def _call(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True)  # noqa: S603 - mount, umount, cp


def main() -> int:
    """Executes the Dockerfile of the working folder; the exit status."""
    parser = argparse.ArgumentParser(description="Executes a Dockerfile by chroot, as root.")
    parser.add_argument("--file", type=Path, default=Path("Dockerfile"))
    parser.add_argument("--base", type=Path, required=True, help="the root that FROM stands for")
    parser.add_argument("--into", type=Path, required=True, help="a new folder for the roots")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--mount", action="append", default=[], type=Path, metavar="PATH")
    parser.add_argument("command", nargs="*", help="executed in the image (default: its CMD)")
    given = parser.parse_args()
    if os.geteuid():
        parser.error("chroot and mount need root")
    given.into.mkdir()
    values = dict(one.split("=", 1) for one in given.build_arg)
    builder = Builder(Path(), given.base, given.into.resolve(), values, given.mount)
    try:
        image = builder.build(read(given.file.read_text(encoding="utf-8")))
        command = [*image.entrypoint, *(given.command or image.command)]
        print(f"in the image, as {image.account}: {shlex.join(command)}", flush=True)
        builder.execute(replace(image, arguments={}), command)
    except StepError as error:
        print(f"dockerfile_steps: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
